"""Annotation files: their text, JSON in UTF-8.

Fast and light on purpose, as `health` is.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from p2s.files import BOM, bytes_of

MOST = 2**33  # bytes: of the published ones none has them
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read(path: str | Path) -> bytes:
    """The bytes of a regular file; ValueError, at once, for what may not end or is too large."""
    with Path(path).open("rb") if Path(path).is_file() else nullcontext() as file:
        _refuse_encoding(file.read(4) if file else b"")
    return bytes_of(path, MOST)


def parsed(text: bytes) -> Any:
    """What is in a JSON text in UTF-8, with or without byte order mark; ValueError says why not."""
    _refuse_encoding(text[:4])
    try:
        return from_json(text.removeprefix(BOM), cache_strings="keys")
    except ValueError as error:
        raise ValueError(f"not valid JSON: {error}") from None


def _refuse_encoding(start):
    if start.startswith(UTF_16) or b"\0" in start:
        raise ValueError("written in UTF-16 or UTF-32 (valid: UTF-8): save it as UTF-8")
