"""Ends: what stands behind the pixels of a PNG, and whether all of it is there."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, PngImagePlugin

TEXTS = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")  # chunks of a PNG that may say how it is turned
_LENGTHENING = threading.Lock()


@contextmanager
def long_texts() -> Iterator[None]:
    """A text or a profile of a PNG may unpack to what Pillow lets all have, for one at a time."""
    with _LENGTHENING:
        before, most = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
        PngImagePlugin.MAX_TEXT_CHUNK = most
        try:
            yield
        finally:
            PngImagePlugin.MAX_TEXT_CHUNK = before


def read_behind(picture: Image.Image) -> None:
    """Texts behind a PNG's pixels are its own too; ValueError if its chunks do not end in IEND."""
    file, name, here = picture.fp, b"", 8  # behind the signature
    pixels = file.tell()
    while name != b"IEND":
        start = os.pread(file.fileno(), 8, here)  # of thousands: a seek takes three times as long
        length, name = int.from_bytes(start[:4], "big"), start[4:]
        if len(start) < 8 or not name.isalpha():
            raise ValueError("image file is truncated: its chunks do not end in IEND")
        if name in TEXTS and here > pixels:
            file.seek(here + 8)
            with long_texts():
                picture.png.call(name, here + 8, length)
        here += length + 12  # and a sum of 4 bytes
    file.seek(pixels)
    for text in TEXTS:  # not a second time when the pixels are decoded
        setattr(picture.png, f"chunk_{text.decode()}", lambda _, count: file.seek(count, 1))
