"""Raw files: TIFFs and PNGs of kinds that Pillow reads, or does not, but never writes."""

import struct
import zlib
from pathlib import Path

import numpy as np

FORMATS = {"u": 1, "i": 2, "f": 3}  # of samples: TIFF 6.0


def tiff(path: Path, values: np.ndarray, *, photometric: int, planes: int = 1) -> Path:
    """An uncompressed TIFF of an array (H, W) or (H, W, C) as it is, big-endian if that is.

    Of several planes (2) one channel lies behind the other.
    """
    order = ">" if values.dtype.byteorder == ">" else "<"
    channels = values.reshape(*values.shape[:2], -1).shape[2]
    stored = np.moveaxis(values, 2, 0) if planes == 2 else values
    parts = channels if planes == 2 else 1
    bits, size, start = 8 * values.dtype.itemsize, values.nbytes // parts, 8 + 2 + 12 * 10 + 4
    lists = [
        [bits] * channels,
        [0] * parts,
        [size] * parts,
        [FORMATS[values.dtype.kind]] * channels,
    ]
    begin = start + 4 * sum(map(len, lists))
    lists[1] = [begin + k * size for k in range(parts)]
    tags = {
        256: [values.shape[1]], 257: [values.shape[0]], 258: lists[0], 259: [1], 262: [photometric],
        273: lists[1], 277: [channels], 279: lists[2], 284: [planes], 339: lists[3],
    }  # fmt: skip
    entries, behind = b"", b""
    for tag, numbers in tags.items():
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        where = struct.pack(f"{order}I", start + len(behind)) if len(numbers) > 1 else packed
        entries += struct.pack(f"{order}HHI", tag, 4, len(numbers)) + where
        behind += packed if len(numbers) > 1 else b""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    body = (head + entries + bytes(4) + behind).ljust(begin, b"\0")
    path.write_bytes(body + stored.tobytes())
    return path


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(path: Path, values: np.ndarray) -> Path:
    """A PNG of 16 bits a channel of an array (H, W, C) of 1 to 4 channels."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in values.astype(">u2"))
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    return path
