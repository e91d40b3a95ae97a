"""Annotation files: the JSON of a regular file in UTF-8, read within its size.

Fast and light on purpose, as `health` is.
"""

import stat
from pathlib import Path
from typing import Any

from pydantic_core import from_json

BOM = b"\xef\xbb\xbf"  # of UTF-8: some editors write one
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def bytes_of(path: str | Path) -> bytes:
    """The bytes of a regular file; ValueError, at once, for a pipe or a device: it may not end."""
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file (valid: a file of JSON)")
    with Path(path).open("rb") as file:
        return file.read(status.st_size)  # no more, should it grow


def parsed(text: bytes) -> Any:
    """What is in a JSON text in UTF-8, with or without byte order mark; ValueError says why not."""
    if text.startswith(UTF_16) or b"\0" in text[:4]:
        raise ValueError("written in UTF-16 or UTF-32 (valid: UTF-8): save it as UTF-8")
    try:
        return from_json(text.removeprefix(BOM), cache_strings="keys")
    except ValueError as error:
        raise ValueError(f"not valid JSON: {error}") from None
