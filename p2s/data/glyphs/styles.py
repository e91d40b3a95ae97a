"""Styles: ways to draw a character that make a class of each, by what surrounds and marks it.

A mask is an "L" picture. Upright characters are styled, before they are turned and resized.
"""

import math

from PIL import Image, ImageChops, ImageDraw

INK = 255
STROKE, GAP = 0.1, 0.08  # of the longer side of what is surrounded or marked
CORNERS = 0.85  # of a character's diagonal in a round surround: few have ink in a corner


def styled(mask: Image.Image, style: int) -> Image.Image:
    """The mask of an upright character in style number `style`; 0 is the character itself."""
    surround, mark = STYLES[style]
    mask = _surrounded(mask, SURROUNDS[surround]) if surround else mask
    return _marked(mask, above=mark == "overlined") if mark else mask


def _surrounded(mask, draw):
    """The character in the middle of a surround, cut out of one that is solid."""
    round_one = draw in (_ring, _disc)
    reach = CORNERS * math.hypot(*mask.size) if round_one else max(mask.size)
    side = round(reach * (1 + 2 * (STROKE + GAP)))
    ground, inner = Image.new("L", (side, side)), Image.new("L", (side, side))
    draw(ImageDraw.Draw(ground), side - 1, round(STROKE * side))
    inner.paste(mask, tuple((side - length) // 2 for length in mask.size))
    return ImageChops.difference(ground, inner)


def _marked(mask, above):
    """The character with a line above or below it."""
    line, gap = (round(share * max(mask.size)) for share in (STROKE, GAP))
    marked = Image.new("L", (mask.width, mask.height + gap + line))
    marked.paste(mask, (0, gap + line if above else 0))
    top = 0 if above else mask.height + gap
    ImageDraw.Draw(marked).rectangle((0, top, mask.width, top + line - 1), INK)
    return marked


def _block(pen, last, line):
    pen.rectangle((0, 0, last, last), INK)


def _ring(pen, last, line):
    pen.ellipse((0, 0, last, last), outline=INK, width=line)


def _rails(pen, last, line):
    pen.rectangle((0, 0, line - 1, last), INK)
    pen.rectangle((last - line + 1, 0, last, last), INK)


def _disc(pen, last, line):
    pen.ellipse((0, 0, last, last), INK)


def _frame(pen, last, line):
    pen.rectangle((0, 0, last, last), outline=INK, width=line)


SURROUNDS = {"block": _block, "ring": _ring, "rails": _rails, "disc": _disc, "frame": _frame}
STYLES = [
    (surround, mark) for mark in ("", "underlined", "overlined") for surround in ("", *SURROUNDS)
]
