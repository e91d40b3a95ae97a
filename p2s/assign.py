"""Assignment: which location answers for which truth, and what it should predict.

N images, A locations, G truths, K classes. An assigner takes a Grid's points, level and strides,
then the truths of one image: `assign(*grid, boxes, classes, num_classes) -> Targets`.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from p2s.geometry import area, encode_ltrb, half_diagonal, size_ranges
from p2s.losses import giou_loss

MIN_OVERLAP = 0.8  # C2: IoU of an object with its copy one radius away
MIN_RADIUS = 4.0  # C2: pixels
GOOD_BOX = 0.2  # Sec. 5: regression loss below which a neighbour of a centre is a positive


@dataclass(frozen=True)
class Targets:
    """What the locations of an image should predict; after `stack`, of N images: (N, A, ...)."""

    heat: Tensor  # (A, K) in [0, 1]: 1 - heat weighs a negative; 1 at every peak
    peaks: Tensor  # (A, K): how many objects an element is the positive of
    boxes: Tensor  # (A, 4) in pixels: the box to regress, where weight > 0
    classes: Tensor  # (A,): the class of that box's object
    weight: Tensor  # (A,): weight of the box loss, 0 where no box is regressed

    @staticmethod
    def stack(targets: list["Targets"]) -> "Targets":
        """The targets of N images as one."""
        return Targets(*(torch.stack(field) for field in zip(*map(_fields, targets), strict=True)))


def center_peaks(points, level, strides, boxes, classes, num_classes) -> Targets:
    """CenterNet*: objects are peaks of a heat map, boxes are regressed around them (Sec. 5; C2).

    The cell that holds a box's centre is its positive on each level that its size is assigned to.
    The box is regressed from those of the 3x3 cells around it whose point lies inside the box. A
    cell that several truths claim regresses the nearest by `gaussian_distance`, of equally near
    ones the smallest. The heat map is drawn on every level. The order of truths has no effect.
    """
    boxes, classes = _smallest_first(boxes, classes)
    stride = strides[level][:, None]  # (A, 1)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2  # (G, 2)
    cells = (centers / stride[..., None]).floor() - (points / stride).floor()[:, None]  # (A, G, 2)
    steps = cells.abs().amax(-1)  # (A, G): 0 at the centre's cell, 1 at the ring around it
    assigned = _on_level(strides, boxes)[level]  # (A, G)
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


def object_peaks(points, level, strides, boxes, classes, num_classes) -> Targets:
    """`center_peaks` of a class-agnostic stage: every truth is of class 0 (O of Eq. 1)."""
    return center_peaks(points, level, strides, boxes, torch.zeros_like(classes), num_classes)


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


def as_assigned(targets: Targets, pred_boxes: Tensor) -> Targets:
    """The targets as they are, whatever is predicted."""
    return targets


def near_center_positives(targets: Targets, pred_boxes: Tensor) -> Targets:
    """Also positive: locations whose predicted box (N, A, 4) has a gIoU loss below .2 (Sec. 5).

    Only those that regress a box, that is, the 3x3 cells around a centre. They stop to be
    negatives, and each is the positive of the object that it regresses.
    """
    good = (targets.weight > 0) & (giou_loss(pred_boxes, targets.boxes) < GOOD_BOX)  # (N, A)
    extra = one_hot(targets.classes, targets.heat.shape[-1]) * good[..., None]  # (N, A, K)
    peaks, heat = (torch.maximum(each, extra.float()) for each in (targets.peaks, targets.heat))
    return replace(targets, peaks=peaks, heat=heat)


def _fields(targets):
    return targets.heat, targets.peaks, targets.boxes, targets.classes, targets.weight


def _smallest_first(boxes, classes):
    """The truths by area, then corners, then class: an order of their own, the smallest first."""
    rows = torch.cat((area(boxes)[:, None], boxes, classes[:, None].to(boxes.dtype)), 1)  # (G, 6)
    order = rows.unique(dim=0, return_inverse=True)[1].argsort()  # unique sorts rows; equals tie
    return boxes[order], classes[order]


def _on_level(strides, boxes):
    low, high = size_ranges(strides)[:, None].unbind(-1)  # (L, 1)
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
