"""Annotation files: their text, JSON in UTF-8.

Fast and light on purpose, as `health` is.
"""

from typing import Any

from pydantic_core import from_json

BOM = b"\xef\xbb\xbf"  # of UTF-8: some editors write one
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def parsed(text: bytes) -> Any:
    """What is in a JSON text in UTF-8, with or without byte order mark; ValueError says why not."""
    if text.startswith(UTF_16) or b"\0" in text[:4]:
        raise ValueError("written in UTF-16 or UTF-32 (valid: UTF-8): save it as UTF-8")
    try:
        return from_json(text.removeprefix(BOM), cache_strings="keys")
    except ValueError as error:
        raise ValueError(f"not valid JSON: {error}") from None
