"""Codestream: the part of a JPEG 2000 file that holds its pixels (ISO 15444-1)."""

import struct
from typing import IO

from PIL import Image

from p2s.data.pixels.depth import DEEP

START, END = b"\xff\x4f\xff\x51", b"\xff\xd9"  # SOC and SIZ, EOC
SIZES = 42  # bytes of a codestream before the depths of its channels, of three bytes each


def require_shallow(picture: Image.Image) -> None:
    """ValueError for a JPEG 2000 whose channels Pillow rounds to 8 bits: in it white is black."""
    if picture.format != "JPEG2000" or not picture.tile or picture.mode in DEEP:
        return
    bits = _depth(picture.fp)
    if bits > 8:
        told = f"mode {picture.mode} with {bits} bits a channel in a JPEG 2000"
        raise ValueError(f"{told} (valid: 8, of grey 10 to 16): save it as 8 bits, or as PNG")


def is_whole(file: IO[bytes]) -> bool:
    """Whether a JPEG 2000's codestream ends as one does."""
    _, end = _ends(file)
    file.seek(max(0, end - len(END)))
    return file.read(len(END)) == END


def _depth(file):
    """The bits of the deepest channel."""
    begin, _ = _ends(file)
    file.seek(begin)
    head = file.read(SIZES)
    channels = file.read(3 * int.from_bytes(head[SIZES - 2 :], "big"))
    return max((depth & 0x7F for depth in channels[::3]), default=-1) + 1  # less one, and a sign


def _ends(file: IO[bytes]) -> tuple[int, int]:
    """Where the codestream begins, and the byte behind it by its box; 0 and 0 if there is none."""
    size, here = file.seek(0, 2), 0
    file.seek(0)
    if file.read(len(START)) == START:
        return 0, size
    while here + 16 <= size:
        file.seek(here)
        short, kind, long = struct.unpack(">I4sQ", file.read(16))
        end = here + (long if short == 1 else short) if short else size
        if kind == b"jp2c":
            return here + (16 if short == 1 else 8), end
        here = max(end, here + 8)
    return 0, 0
