"""Layout: how many glyphs of which size stand where in a scene, and what hides what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from PIL import Image

from p2s.data.glyphs import ink
from p2s.data.glyphs.statistics import numpy_iou

LEAST = 8  # pixels: strokes vanish in smaller glyphs
TRIES = 12  # places an object tries; if each hides too much of others, it is left out
SHRINK = 0.8  # a planned object is not left out but tries again, smaller, in front of all others
AGAIN = 300  # times an image, as an end to it


@dataclass(frozen=True)
class Crowding:
    """How many objects of which size: computed to match COCO's statistics, see statistics.py."""

    mean: float = 7.2  # objects an image, of which some find no place
    shape: float = 1.6  # of the gamma distribution behind their number: smaller is more uneven
    most: int = 30
    median: float = 0.27  # size in image sides where the image has `mean` objects
    spread: float = 0.46  # standard deviation of the size's logarithm
    thinning: float = 0.15  # n objects have sizes in proportion to n ** -thinning
    smallest: float = 0.06
    largest: float = 0.9


CROWDING = Crowding()
Stamp = tuple[Image.Image, tuple[int, int], ink.Colour]  # mask, corner, colour


def count(rng: np.random.Generator, crowding: Crowding = CROWDING) -> int:
    """How many objects an image is to have: the first that is drawn of it."""
    extra = rng.gamma(crowding.shape, (crowding.mean - 1) / crowding.shape)
    return int(min(1 + rng.poisson(extra), crowding.most))


def arrange(
    rng: np.random.Generator,
    ground: ink.Ground,
    classes: int,
    planned: Sequence[int] | None = None,
    crowding: Crowding = CROWDING,
) -> tuple[list[Stamp], list[dict]]:
    """Stamps (mask, corner, colour) from the back to the front, and their annotations.

    Labels are drawn from all `classes` alike, or are those `planned`: as many as `count` tells.
    """
    side = ground.side
    owner = np.zeros((side, side), np.uint8)  # 1 + the object on top; 0 is paper
    spare = np.full(crowding.most + 1, owner.size)  # ink of each that may still be hidden
    placed = np.zeros((0, 4))  # xyxy, with what is hidden
    stamps, labels, again = [], [], []
    drawn = iter(lambda: int(rng.integers(classes)), None) if planned is None else planned
    for size, label in chain(zip(_sizes(rng, side, crowding), drawn, strict=False), again):
        mask = ink.glyph(rng, label, size, side)
        inked = ink.is_ink(mask)
        corners = _places(rng, side, inked.shape, placed)
        if (corner := _first_fair(corners, owner, inked, spare)) is None:
            if planned is not None and len(again) < AGAIN:
                again.append((max(SHRINK * size, LEAST), label))
            continue
        labels.append(label)
        placed = np.vstack([placed, [*corner, *np.add(corner, mask.size)]])
        _window(owner, corner, inked)[inked] = len(labels)
        spare[len(labels)] = (1 - ink.DIFFICULTY.visible) * inked.sum()
        stamps.append((mask, corner, ink.colour(rng, ground)))
    boxes = [_box(owner == k) for k in range(1, len(labels) + 1)]
    return stamps, [{"bbox": box, "label": label} for box, label in zip(boxes, labels, strict=True)]


def scattered(
    rng: np.random.Generator,
    stamps: list[Stamp],
    labels: range,
    mean: float,
    ground: ink.Ground,
    cut: Callable = lambda _, mask: mask,
) -> list[Stamp]:
    """About `mean` glyphs of `labels` an object as stamps; with a higher mean the same and more.

    They are as large as objects and stand anywhere; `cut` makes of each what is printed of it.
    """
    stray = []
    for _ in range(int(mean * len(stamps) + rng.random())):
        label, size = labels[rng.integers(len(labels))], _size_of_one(rng, stamps)
        mask = cut(rng, ink.glyph(rng, label, size, ground.side))
        x, y = rng.integers(0, np.subtract(ground.side + 1, mask.size)).tolist()
        stray.append((mask, (x, y), ink.colour(rng, ground)))
    return stray


def _size_of_one(rng, stamps):
    model = stamps[rng.integers(len(stamps))][0]
    return (model.width * model.height) ** 0.5


def _sizes(rng, side, crowding):
    """Sizes in pixels of the objects of one image, the largest first."""
    objects = count(rng, crowding)
    median = crowding.median * (crowding.mean / objects) ** crowding.thinning
    sizes = median * np.exp(crowding.spread * rng.standard_normal(objects))
    pixels = np.maximum(side * sizes.clip(crowding.smallest, crowding.largest), LEAST)
    return np.sort(pixels)[::-1]


def _places(rng, side, shape, placed):
    """Random corners (TRIES, 2) for a box, the one with the least overlap first."""
    corners = rng.integers(0, np.subtract(side + 1, shape[::-1]), (TRIES, 2))
    boxes = np.hstack([corners, corners + shape[::-1]])
    overlap = numpy_iou(boxes, placed).max(1, initial=0)
    return corners[np.argsort(overlap, kind="stable")]


def _first_fair(corners, owner, inked, spare):
    """The first corner (x, y) that keeps every earlier object visible enough, or None."""
    for corner in corners.tolist():
        hidden = np.bincount(_window(owner, corner, inked)[inked], minlength=len(spare))
        if (hidden <= spare).all():
            spare -= hidden
            return tuple(corner)
    return None


def _window(owner, corner, inked):
    x, y = corner
    return owner[y : y + inked.shape[0], x : x + inked.shape[1]]


def _box(mask):
    """COCO's [x, y, width, height] around a boolean (H, W) mask."""
    x, y = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return [int(v) for v in (x[0], y[0], x[-1] - x[0] + 1, y[-1] - y[0] + 1)]
