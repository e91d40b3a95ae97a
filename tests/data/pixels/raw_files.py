"""Raw files: pictures of kinds that Pillow reads, or does not, but never writes."""

import struct
import zlib
from pathlib import Path

import numpy as np

FORMATS = {"u": 1, "i": 2, "f": 3}  # of samples: TIFF 6.0


def tiff(
    path: Path,
    values: np.ndarray,
    *,
    photometric: int,
    planes: int = 1,
    zipped: bool = False,
    more: dict[int, list[int]] | None = None,
) -> Path:
    """A TIFF of an array (H, W) or (H, W, C) as it is, big-endian if that is; with more tags.

    Of several planes (2) one channel lies behind the other.
    """
    order = ">" if values.dtype.byteorder == ">" else "<"
    height, width, channels = values.reshape(*values.shape[:2], -1).shape
    apart = planes == 2 and values.ndim == 3
    parts = [part.tobytes() for part in (np.moveaxis(values, 2, 0) if apart else [values])]
    parts = [zlib.compress(part) if zipped else part for part in parts]
    tags = {
        256: [width], 257: [height], 258: [8 * values.dtype.itemsize] * channels,
        259: [8 if zipped else 1], 262: [photometric], 273: [0] * len(parts), 277: [channels],
        279: [*map(len, parts)], 284: [planes], 339: [FORMATS[values.dtype.kind]] * channels,
        **(more or {}),
    }  # fmt: skip
    start = 8 + 2 + 12 * len(tags) + 4
    begin = start + 4 * sum(map(len, tags.values()))
    tags[273] = [begin + sum(tags[279][:k]) for k in range(len(parts))]
    entries, behind = b"", b""
    for tag, numbers in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        where = struct.pack(f"{order}I", start + len(behind)) if len(numbers) > 1 else packed
        entries += struct.pack(f"{order}HHI", tag, 4, len(numbers)) + where
        behind += packed if len(numbers) > 1 else b""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    path.write_bytes((head + entries + bytes(4) + behind).ljust(begin, b"\0") + b"".join(parts))
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


def ppm(path: Path, values: np.ndarray, *, plain: bool = False) -> Path:
    """A PPM of 16 bits a channel of an array (H, W, 3), in bytes or in words."""
    head = b"P%d %d %d 65535\n" % (3 if plain else 6, values.shape[1], values.shape[0])
    words = " ".join(map(str, values.ravel())).encode()
    path.write_bytes(head + (words if plain else values.astype(">u2").tobytes()))
    return path


def sgi(path: Path, values: np.ndarray) -> Path:
    """An SGI of 16 bits a channel of an array (H, W, C) of 1, 3 or 4 channels."""
    height, width, channels = values.shape
    head = struct.pack(">hBBHHHH", 474, 0, 2, 3 if channels > 1 else 2, width, height, channels)
    planes = np.moveaxis(values[::-1], 2, 0).astype(">u2")
    path.write_bytes(head.ljust(512, b"\0") + planes.tobytes())
    return path
