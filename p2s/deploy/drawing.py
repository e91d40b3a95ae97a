"""Drawing: boxes with their classes in pictures."""

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from p2s.deploy.fonts import font_of, readable


def drawn(image: np.ndarray, boxes: list[dict], classes: Sequence[str]) -> Image.Image:
    """A picture of an image (H, W, 3) with labelled boxes, the first of them on top.

    A box is a dict with "box" (x1, y1, x2, y2), "class" and, if it has them, "score" and "note", a
    word before the class. A class whose name no font has all glyphs of is told by its number among
    the `classes`.
    """
    picture = Image.fromarray(image)
    pen, size = ImageDraw.Draw(picture), max(10, picture.width // 50)
    for row in reversed(boxes):
        color = _color(row.get("note", "") + row["class"])
        label, path = readable(row["class"], f"class {classes.index(row['class'])}")
        font = font_of(path, size)
        label = row.get("note", "") + label
        label += f" {row['score']:.2f}" if "score" in row else ""
        left, top, right, bottom = row["box"]
        pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=color, width=2)
        corner = (left + 2, max(0, top - size - 3))
        pen.rectangle(pen.textbbox(corner, label, font=font), fill=color)
        pen.text(corner, label, fill="white", font=font)
    return picture


def _color(name):
    hue = sum(map(ord, name)) * 0.618034 % 1  # the golden ratio keeps the hues of classes apart
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.9, 0.75))
