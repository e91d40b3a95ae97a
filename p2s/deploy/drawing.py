"""Drawing: boxes in pictures, with their classes, or with numbers beside them."""

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from p2s.deploy.fonts import LATIN, font_of, readable

LEGIBLE, MUCH = 640, 1280  # pixels of a long side: a picture with numbers is between them
TAG = (24, 18)  # width and height of a number's ground in pixels


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


def numbered(image: np.ndarray, boxes: Sequence[Sequence[float]]) -> Image.Image:
    """A picture of an image (H, W, 3) with boxes (x1, y1, x2, y2) and their numbers, from 1 on.

    A number stands outside of its box, where it covers least of the others and of their numbers;
    around the picture there is room for it. A small image is enlarged, a very large one shrunk.
    """
    longest = max(image.shape[:2])
    times = max(-(-LEGIBLE // longest), 1) * min(1, MUCH / longest)
    inner = Image.fromarray(image).resize([round(times * side) for side in image.shape[1::-1]])
    picture = Image.new("RGB", [side + 2 * TAG[1] for side in inner.size], "white")
    picture.paste(inner, (TAG[1], TAG[1]))
    pen, font, taken = ImageDraw.Draw(picture), font_of(LATIN, TAG[1] - 4), []
    frames = [[TAG[1] + times * side for side in box] for box in boxes]
    for number, frame in enumerate(frames, 1):
        tag = _free(_beside(frame, picture.size), [*taken, *frames])
        taken.append(tag)
        color = _color(chr(number))
        pen.rectangle(frame, outline=color, width=2)
        pen.rectangle(tag, fill=color)
        middle = (tag[0] + TAG[0] / 2, tag[1] + TAG[1] / 2)
        pen.text(middle, str(number), fill="white", font=font, anchor="mm")
    return picture


def _beside(frame, size):
    """The places for a number around a frame that are inside a picture."""
    left, top, right, bottom = frame
    (wide, high), (width, height) = TAG, size
    rows, columns = (top, (top + bottom - high) / 2, bottom - high), (left, right - wide)
    corners = [(x, y) for y in (top - high, bottom + 1) for x in columns]
    corners += [(x, y) for x in (right + 1, left - wide) for y in rows]
    places = [(x, y, x + wide - 1, y + high - 1) for x, y in corners]
    return [p for p in places if min(p[:2]) >= 0 and p[2] < width and p[3] < height]


def _free(places, others):
    """That of the places which the others cover least, the first of equals."""
    return min(places, key=lambda place: sum(_shared(place, other) for other in others))


def _shared(one, other):
    wide, high = (min(one[k + 2], other[k + 2]) - max(one[k], other[k]) for k in (0, 1))
    return max(wide, 0) * max(high, 0)


def _color(name):
    hue = sum(map(ord, name)) * 0.618034 % 1  # the golden ratio keeps the hues of classes apart
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.9, 0.75))
