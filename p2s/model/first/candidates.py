"""Candidates: the likeliest predictions of each level, and which of them leave a first stage.

N images, L levels, A locations (all levels, concatenated), K classes, R candidates.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from p2s.maths.selection import select, to_logit
from p2s.spec import Test


@dataclass(frozen=True)
class Selection:
    """Which predictions leave: likely enough, the best of a level, after NMS, at most so many."""

    floor: float  # probability that must be exceeded
    pre_nms: int  # candidates a level
    nms: float  # IoU above which the less likely box of a class goes
    keep: int  # boxes an image
    clip: bool = True  # cut boxes at the image's border


def proposal_selection(test: Test) -> Selection:
    """That of proposals in test."""
    limits = test.proposal_nms, test.proposals
    return Selection(test.proposal_floor, test.pre_nms, *limits, test.clip)


def detection_selection(test: Test) -> Selection:
    """That of a one-stage detector's detections."""
    return Selection(test.score_threshold, test.pre_nms, test.nms, test.detections, test.clip)


@dataclass(frozen=True)
class Candidates:
    """Boxes of an image, or of N with a leading dimension, with their logits, classes, levels."""

    boxes: Tensor  # (R, 4)
    logit: Tensor  # (R,)
    classes: Tensor  # (R,): boxes of a class compete in NMS
    level: Tensor  # (R,): log2 of the stride, 3 for P3; of an RPN the index of a map

    def __getitem__(self, rows):
        fields = (self.boxes, self.logit, self.classes, self.level)
        return Candidates(*(field[rows] for field in fields))


class Likeliest(NamedTuple):
    """The likeliest of each level and image, one level after the other: (N, R) each."""

    logit: Tensor
    location: Tensor
    classes: Tensor
    level: Tensor  # index of a map


def likeliest(logit: Tensor, counts: tuple[int, ...], most: int) -> Likeliest:
    """At most so many of each level of logits (N, A, K), whose levels have `counts` locations."""
    classes, levels = logit.shape[-1], []
    borders = pairwise(accumulate(counts, initial=0))
    for level, (start, end) in enumerate(borders):
        flat = logit[:, start:end].flatten(1)  # (N, (end - start) K)
        best, index = flat.topk(min(most, flat.shape[1]), 1)
        places = start + index // classes, index % classes, torch.full_like(index, level)
        levels.append((best, *places))
    return Likeliest(*(torch.cat(field, 1) for field in zip(*levels, strict=True)))


def rows_at(values: Tensor, location: Tensor) -> Tensor:
    """Rows (N, R, 4) of values (N, A, 4) at locations (N, R)."""
    return values.gather(1, location[..., None].expand(-1, -1, values.shape[-1]))


def suppress(
    candidates: Candidates,
    image_size: tuple[int, int],
    selection: Selection,
    select: Callable = select,
) -> Candidates:
    """Candidates of an image above the floor, after NMS by class, the likeliest first.

    `select` is `p2s.maths.selection.select` or its like.
    """
    boxes = candidates.boxes
    if selection.clip:
        boxes = clip_boxes_to_image(boxes, image_size)
    is_box = (boxes[:, 2:] > boxes[:, :2]).all(-1)
    scores = candidates.logit.masked_fill(~is_box, -torch.inf)
    limits = to_logit(selection.floor), selection.nms, selection.keep
    rows, logit = select(boxes, scores, candidates.classes, *limits)
    return replace(replace(candidates, boxes=boxes)[rows], logit=logit)
