"""Fonts: which of two has all glyphs of a text: DejaVu, else Noto Sans CJK, which is 30 MB."""

import unicodedata
from functools import cache
from importlib.resources import files
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

LATIN = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
CJK = Path(str(files("manimgx_fonts_cjk") / "NotoSansCJK-VF.otf.ttc"))
WEIGHT = "Regular"  # the first of the latter is Thin


def readable(text: str, instead: str) -> tuple[str, Path]:
    """A text and the font that has all its glyphs, else what is told instead of it."""
    for font in (LATIN, CJK):
        if text.strip() and all(_has(font, letter) for letter in text):
            return text, font
    return instead, LATIN


@cache
def font_of(path: Path, size: int) -> ImageFont.FreeTypeFont:
    """A font of a size in pixels."""
    font = ImageFont.truetype(path, size)
    if path == CJK:
        font.set_variation_by_name(WEIGHT)
    return font


def _has(font, letter):
    is_shown = letter.isprintable() or unicodedata.category(letter) == "Zs"  # a space of any width
    return is_shown and _face(font).get_char_index(ord(letter)) > 0


@cache
def _face(font):
    return FT2Font(str(font))
