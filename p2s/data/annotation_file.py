"""Annotation files: their text, JSON in UTF-8.

Fast and light on purpose, as `health` is.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from p2s.files import BOM, bytes_of

MOST = 2**33  # bytes: of the published ones none has them
WIDE = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")  # byte order marks of UTF-16 and UTF-32
ZEROS = ("x0x0", "0x0x", "x000", "000x")  # among their first four bytes without a mark
PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zX": "xz"}


def read(path: str | Path) -> bytes:
    """The bytes of a regular file; ValueError, at once, for what may not end or is too large."""
    with Path(path).open("rb") if Path(path).is_file() else nullcontext() as file:
        _refuse_start(file.read(4) if file else b"")
    return bytes_of(path, MOST)


def parsed(text: bytes) -> Any:
    """What is in a JSON text in UTF-8, with or without byte order mark; ValueError says why not."""
    _refuse_start(text[:4])
    try:
        return from_json(text.removeprefix(BOM), cache_strings="keys")
    except ValueError as error:
        raise ValueError(f"not valid JSON: {error}") from None


def _refuse_start(start):
    for magic, name in PACKED.items():
        if start.startswith(magic):
            raise ValueError(f"compressed by {name} (valid: JSON): unpack it")
    zeros = "".join("x" if byte else "0" for byte in start)
    if start.startswith(WIDE) or zeros in ZEROS and start.strip(b"\0")[0] in b"{[ \t\r\n":
        raise ValueError("written in UTF-16 or UTF-32 (valid: UTF-8): save it as UTF-8")
