"""Tiles: parts of a picture that overlap, and what was found in them and in the whole as one.

A box that ends where its tile ends, and the picture does not, is of an object that is cut: one of
less than OVERLAP of a tile is whole in another tile, a larger one is found in the whole picture.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import batched_nms

from p2s.deploy.detections import COLUMNS, Detections, Proposals
from p2s.deploy.pictures import Seen
from p2s.spec import Test

LEAST = 64  # pixels of a tile's side
OVERLAP = 0.25  # of a tile's side, that two neighbours share at least
BORDER = 1.0  # pixels from its end within which a box ends there


class Place(NamedTuple):
    """Where a tile is in its picture, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, seen: Seen) -> Seen:
        """This tile of a picture."""
        rows = slice(self.top, self.top + self.height)
        columns = slice(self.left, self.left + self.width)
        return Seen(seen.picture, seen.pixels[rows, columns], (self.height, self.width))


def places(height: int, width: int, edge: int) -> list[Place]:
    """Tiles of at most `edge` pixels a side that cover a picture; none if it is one itself."""
    if max(height, width) <= edge:
        return []
    tops, lefts = (_starts(side, edge) for side in (height, width))
    return [Place(*start, min(edge, height), min(edge, width)) for start in product(tops, lefts)]


def joined(whole: Detections, parts: Sequence[tuple[Place, Detections]], test: Test) -> Detections:
    """What was found in a picture and in its tiles: whole objects, each class by the test's NMS.

    A column of `Detections` each, the highest scores first, at most `test.detections`.
    """
    kept = [whole, *(_whole(place, found, whole.size) for place, found in parts)]
    columns = {name: np.concatenate([getattr(one, name) for one in kept]) for name in COLUMNS}
    boxes, scores, labels = (
        torch.from_numpy(columns[name]) for name in ("boxes", "score", "class_index")
    )
    best = batched_nms(boxes, scores, labels, test.nms)[: test.detections].numpy()
    chosen = {name: values[best] for name, values in columns.items()}
    return replace(whole, **chosen, proposals=_proposals([one.proposals for one in kept]))


def _starts(side, edge):
    """Where tiles begin along a side, evenly spaced."""
    if side <= edge:
        return [0]
    count = 1 + math.ceil((side - edge) / (edge * (1 - OVERLAP)))
    return np.linspace(0, side - edge, count).round().astype(int).tolist()


def _whole(place: Place, found: Detections, size: tuple[int, int]) -> Detections:
    """Detections of a tile in the picture's pixels, without those that are cut."""
    shift = np.tile([place.left, place.top], 2).astype(np.float32)
    inside = found[_is_whole(place, found.boxes, size)]
    seen = found.proposals
    uncut = _is_whole(place, seen.boxes, size)
    proposals = Proposals(seen.boxes[uncut] + shift, seen.p_object[uncut])
    return replace(inside, boxes=inside.boxes + shift, proposals=proposals)


def _is_whole(place: Place, boxes: NDArray, size: tuple[int, int]) -> NDArray:
    height, width = size
    inner = np.array(  # sides of the tile that are none of the picture
        [
            place.left > 0,
            place.top > 0,
            place.left + place.width < width,
            place.top + place.height < height,
        ]
    )
    near = np.hstack(
        [boxes[:, :2] < BORDER, boxes[:, 2:] > np.array([place.width, place.height]) - BORDER]
    )
    return ~(near & inner).any(1)


def _proposals(parts: Sequence[Proposals]) -> Proposals:
    boxes, likely = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(-likely, kind="stable")
    return Proposals(boxes[order], likely[order])
