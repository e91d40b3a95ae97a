"""Assignment: which location answers for which truth, and what it should predict.

N images, A locations, G truths, P positives, K classes. An assigner takes a Grid, then the truths
of one image: `assign(grid, boxes, classes, num_classes) -> Targets`. Refinements see predictions
too: `refine(targets, pred_boxes, logit) -> Targets`. The order of truths never has an effect.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from p2s.maths.geometry import (
    Grid,
    area,
    encode_ltrb,
    half_diagonal,
    paired_iou,
    pairwise_iou,
    size_ranges,
)
from p2s.maths.losses import giou_loss

MIN_OVERLAP = 0.8  # C2: IoU of an object with its copy one radius away
MIN_RADIUS = 4.0  # C2: pixels
GOOD_BOX = 0.2  # Sec. 5: regression loss below which a neighbour of a centre is a positive
BACKGROUND_BELOW, OBJECT_FROM = 0.4, 0.5  # IoU of an anchor; Lin et al. (2017b), Sec. 4
NEAREST = 9  # candidates a level; Zhang et al. (2020b), Sec. 4.1
MIDDLE, AROUND = 0.2, 0.5  # shares of a side: positive, and ignored; Wang et al. (2019), Sec. 3.5
SAMPLING_RADIUS = 1.5  # strides; Tian et al. (2020); d2


@dataclass(frozen=True)
class Targets:
    """What the locations of an image should predict; after `stack`, of N images: (N, A, ...)."""

    heat: Tensor  # (A, K) in [0, 1]: 1 - heat weighs a negative; 1 at every peak, GFL: its quality
    peaks: Tensor  # (A, K): how many objects an element is the positive of
    boxes: Tensor  # (A, 4) in pixels: the box to regress, where weight > 0
    classes: Tensor  # (A,): the class of that box's object
    weight: Tensor  # (A,): weight of the box loss, 0 where no box is regressed

    @staticmethod
    def stack(targets: list["Targets"]) -> "Targets":
        """The targets of N images as one."""
        return Targets(*(torch.stack(field) for field in zip(*map(_fields, targets), strict=True)))


def class_agnostic(assign: Callable) -> Callable:
    """An assigner to which every truth is of class 0, the object O of Eq. 1."""
    return lambda grid, boxes, classes, num_classes: assign(
        grid, boxes, torch.zeros_like(classes), num_classes
    )


def center_peaks(grid: Grid, boxes: Tensor, classes: Tensor, num_classes: int) -> Targets:
    """CenterNet*: objects are peaks of a heat map, boxes are regressed around them (Sec. 5; C2).

    The cell that holds a box's centre is its positive on each level that its size is assigned to.
    The box is regressed from those of the 3x3 cells around it whose point lies inside the box. A
    cell that several truths claim regresses the nearest by `gaussian_distance`, of equally near
    ones the smallest. The heat map is drawn on every level.
    """
    points, level, *_ = grid
    boxes, classes = _smallest_first(boxes, classes)
    stride = grid.stride[:, None]  # (A, 1)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2  # (G, 2)
    cells = (centers / stride[..., None]).floor() - (points / stride).floor()[:, None]  # (A, G, 2)
    steps = cells.abs().amax(-1)  # (A, G): 0 at the centre's cell, 1 at the ring around it
    assigned = _on_level(grid.units, boxes)[level]  # (A, G)
    inside = (encode_ltrb(points[:, None], boxes) > 0).all(-1)
    distance = gaussian_distance(points, boxes).masked_fill(steps == 0, 0)  # (A, G)

    near = (steps <= 1) & inside & assigned
    nearest, truth = _nearest(distance.masked_fill(~near, torch.inf))
    return Targets(
        heat=_over_classes((-distance).exp(), classes, num_classes, "amax"),
        peaks=_over_classes(((steps == 0) & assigned).float(), classes, num_classes, "sum"),
        boxes=pad(boxes, (0, 0, 0, 1))[truth],
        classes=pad(classes, (0, 1))[truth],
        weight=nearest.isfinite().float(),  # C2: all alike
    )


def iou_thresholds(grid: Grid, boxes: Tensor, classes: Tensor, num_classes: int) -> Targets:
    """RetinaNet: an anchor with IoU of at least .5 answers for its best truth (Lin et al., 2017b).

    Below .4 it is background, between both it is ignored. The best anchors of a truth are its
    positives in any case (d2), but for those that do not touch it, and answer for their own best.
    """
    boxes, classes = _smallest_first(boxes, classes)
    iou = pairwise_iou(grid.anchors, boxes)  # (A, G)
    best, truth = pad(iou, (0, 1), value=0.0).max(-1)  # a last truth, which touches nothing
    highest = pad(iou, (0, 0, 0, 1)).amax(0)  # (G,): of no anchors too
    positive = (best >= OBJECT_FROM) | ((iou == highest) & (iou > 0)).any(-1)
    return _hard(positive, truth, boxes, classes, num_classes, best >= BACKGROUND_BELOW)


def adaptive_iou(grid: Grid, boxes: Tensor, classes: Tensor, num_classes: int) -> Targets:
    """ATSS: a truth sets its own IoU threshold (Zhang et al., 2020b, Alg. 1).

    Candidates are the 9 anchors a level that are nearest to its centre; positives those of an IoU
    of at least their mean plus deviation, with a point inside the box. An anchor of several truths
    answers for that of the highest IoU. The box loss is weighed by centerness.
    """
    boxes, classes = _smallest_first(boxes, classes)
    iou = pairwise_iou(grid.anchors, boxes)  # (A, G)
    candidate = _near_centers(grid, boxes)
    count = candidate.sum(0)  # (G,)
    mean = (iou * candidate).sum(0) / count
    spread = ((iou - mean).square() * candidate).sum(0) / (count - 1).clamp(min=1)
    inside = (encode_ltrb(grid.points[:, None], boxes) > 0).all(-1)
    claims = candidate & inside & (iou >= mean + spread.sqrt())
    best, truth = pad(iou.masked_fill(~claims, -1), (0, 1), value=-1.0).max(-1)
    targets = _hard(best >= 0, truth, boxes, classes, num_classes)
    return replace(targets, weight=targets.weight * centerness(grid.points, targets.boxes))


def center_region(grid: Grid, boxes: Tensor, classes: Tensor, num_classes: int) -> Targets:
    """FCOS: points near a centre, inside the box, on the level of its longest side (d2).

    Near is 1.5 strides along both axes; the longest distance to a side is between 4 and 8 strides.
    A point of several truths answers for the smallest.
    """
    boxes, classes = _smallest_first(boxes, classes)
    low, high = grid.units * 4, grid.units * 8
    low[0], high[-1] = 0, math.inf
    sides = encode_ltrb(grid.points[:, None], boxes)  # (A, G, 4)
    longest = sides.amax(-1)
    steps = (grid.points[:, None] - (boxes[:, :2] + boxes[:, 2:]) / 2).abs().amax(-1)  # (A, G)
    claims = (steps < SAMPLING_RADIUS * grid.stride[:, None]) & (sides > 0).all(-1)
    claims &= (longest > low[grid.level, None]) & (longest < high[grid.level, None])
    best, truth = pad(claims.float(), (0, 1), value=0.5).max(-1)  # the first of equals: smallest
    return _hard(best == 1, truth, boxes, classes, num_classes)


def center_share(grid: Grid, boxes: Tensor, classes: Tensor, num_classes: int) -> Targets:
    """Guided Anchoring: the middle fifth of a box, on the level of its size (Wang et al., 2019).

    Points in the middle of .2 of the sides are positive, and the centre's cell in any case; those
    in the middle half are ignored, there and on the neighbouring levels. A truth's level is that
    whose squares of 8 strides are nearest in size.
    """
    boxes, classes = _smallest_first(boxes, classes)
    centers, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    own = (area(boxes).sqrt() / (8 * grid.units[0])).log2().round()  # (G,)
    steps = (grid.level[:, None] - own.clamp(0, len(grid.strides) - 1)).abs()  # (A, G)
    away = (grid.points[:, None] - centers).abs()  # (A, G, 2)
    cell = (away <= grid.stride[:, None, None] / 2).all(-1)
    positive = (steps == 0) & ((away <= sides * MIDDLE / 2).all(-1) | cell)
    ignored = (steps <= 1) & (away <= sides * AROUND / 2).all(-1)
    best, truth = pad(positive.float(), (0, 1), value=0.5).max(-1)
    return _hard(best == 1, truth, boxes, classes, num_classes, ignored.any(-1))


def centerness(points: Tensor, boxes: Tensor) -> Tensor:
    """How central points (P, 2) are in their boxes, in [0, 1] (Tian et al., 2019, Eq. 3).

    1 in the centre, 0 outside.
    """
    left, top, right, bottom = encode_ltrb(points, boxes).clamp(min=0).unbind(-1)
    share = [torch.minimum(a, b) / torch.maximum(a, b) for a, b in ((left, right), (top, bottom))]
    return (share[0] * share[1]).nan_to_num(0).sqrt()


def gaussian_distance(points: Tensor, boxes: Tensor) -> Tensor:
    """Squared distances of points (A, 2) from box centres in squared radii, (A, G); heat is e^-it.

    A box moved along one side by a share d of it overlaps its copy with IoU (1 - d) / (1 + d), so
    d = (1 - o) / (1 + o) at the minimum overlap o. The squared radius is that of a move by d along
    both sides of a square of the box's area, 2 d^2 area (after Law & Deng, 2018, Sec. 3.2; C2).
    """
    share = (1 - MIN_OVERLAP) / (1 + MIN_OVERLAP)
    squared_radius = (2 * share**2 * area(boxes)).clamp(min=MIN_RADIUS**2)  # (G,)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    return (points[:, None] - centers).square().sum(-1) / squared_radius


def as_assigned(targets: Targets, pred_boxes: Tensor, logit: Tensor) -> Targets:
    """The targets as they are, whatever is predicted."""
    return targets


def by_quality(targets: Targets, pred_boxes: Tensor, logit: Tensor) -> Targets:
    """GFL: a positive is to predict its box's IoU (Li et al., 2020b, Sec. 3.2).

    The box loss of a location is weighed by the likeliest class that it predicts.
    """
    quality = paired_iou(pred_boxes, targets.boxes)[..., None]  # (N, A, 1)
    heat = torch.where(targets.peaks > 0, quality, 0.0)
    weight = (targets.weight > 0) * logit.sigmoid().amax(-1)
    return replace(targets, heat=heat, weight=weight)


def near_center_positives(targets: Targets, pred_boxes: Tensor, logit: Tensor) -> Targets:
    """Also positive: locations whose predicted box (N, A, 4) has a gIoU loss below .2 (Sec. 5).

    Only those that regress a box, that is, the 3x3 cells around a centre. They stop to be
    negatives, and each is the positive of the object that it regresses.
    """
    good = (targets.weight > 0) & (giou_loss(pred_boxes, targets.boxes) < GOOD_BOX)  # (N, A)
    extra = one_hot(targets.classes, targets.heat.shape[-1]) * good[..., None]  # (N, A, K)
    peaks, heat = (
        torch.maximum(of_score, extra.float()) for of_score in (targets.peaks, targets.heat)
    )
    return replace(targets, peaks=peaks, heat=heat)


def _fields(targets):
    return targets.heat, targets.peaks, targets.boxes, targets.classes, targets.weight


def _hard(positive, truth, boxes, classes, num_classes, ignored=False):
    """Targets of locations (A,) that are positive for one truth, ignored, or background."""
    classes = pad(classes, (0, 1))[truth]  # the last truth of G + 1 is nobody
    peaks = boxes.new_zeros(len(classes), num_classes)
    peaks.scatter_(1, classes[:, None], positive[:, None].to(peaks))
    ignored = (~positive & ignored)[:, None]
    return Targets(
        heat=torch.maximum(peaks, ignored.float()),
        peaks=peaks,
        boxes=pad(boxes, (0, 0, 0, 1))[truth],
        classes=classes,
        weight=positive.float(),
    )


def _near_centers(grid, boxes):
    """The 9 nearest points of each level to each centre, as (A, G); of equals the first."""
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    distance = (grid.points[:, None] - centers).square().sum(-1)  # (A, G)
    near = torch.zeros_like(distance, dtype=torch.bool)
    for level in range(len(grid.strides)):
        rows = (grid.level == level).nonzero()[:, 0]
        first = distance[rows].argsort(dim=0, stable=True)[:NEAREST]  # (9, G)
        near[rows[first], torch.arange(len(boxes), device=boxes.device)] = True
    return near


def _smallest_first(boxes, classes):
    """The truths by area, then corners, then class: an order of their own, the smallest first."""
    rows = torch.cat((area(boxes)[:, None], boxes, classes[:, None].to(boxes.dtype)), 1)  # (G, 6)
    order = rows.unique(dim=0, return_inverse=True)[1].argsort()  # unique sorts rows; equals tie
    return boxes[order], classes[order]


def _on_level(units, boxes):
    low, high = size_ranges(units)[:, None].unbind(-1)  # (L, 1)
    size = half_diagonal(boxes)  # (G,)
    return (size >= low) & (size <= high)  # (L, G)


def _nearest(distance):
    """The least of each row of (A, G) and its truth; infinity and G where there is none."""
    distance = pad(distance, (0, 1), value=torch.inf)  # a last truth, infinitely far, is nobody
    nearest = distance.amin(-1)
    truth = distance.argmin(-1)  # the first of equals: the smallest
    return nearest, truth.masked_fill(nearest.isinf(), distance.shape[-1] - 1)


def _over_classes(values, classes, num_classes, reduce):
    """Values (A, G) of truths, reduced over the truths of each class to (A, K), 0 where none is."""
    result = values.new_zeros(len(values), num_classes)
    return result.scatter_reduce(1, classes.expand(len(values), -1), values, reduce)
