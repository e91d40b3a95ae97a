"""Drawing: boxes with their classes in pictures."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def drawn(image: np.ndarray, boxes: list[dict]) -> Image.Image:
    """A picture of an image (H, W, 3) with labelled boxes, the first of them on top.

    A box is a dict with "box" (x1, y1, x2, y2), "class" and, if it has one, "score".
    """
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(max(10, picture.width // 50))
    for row in reversed(boxes):
        color, label = _color(row["class"]), row["class"]
        label += f" {row['score']:.2f}" if "score" in row else ""
        left, top, right, bottom = row["box"]
        pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=color, width=2)
        corner = (left + 2, max(0, top - font.size - 3))
        pen.rectangle(pen.textbbox(corner, label, font=font), fill=color)
        pen.text(corner, label, fill="white", font=font)
    return picture


def _color(name):
    hue = sum(map(ord, name)) * 0.618034 % 1  # the golden ratio keeps the hues of classes apart
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.9, 0.75))
