"""Who answers for an object: the locations of a first stage that would be its positives.

N images, A locations (of all anchors), G objects, R pairs of a location and an object.
"""

from typing import NamedTuple

import torch
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn

from p2s.maths.geometry import pairwise_iou

ALL = (1.0, 1.0)  # shares where nothing is sampled


class Answers(NamedTuple):
    """All locations of an image, what they say, and which of them answer for which objects."""

    boxes: Tensor  # (A, 4): predicted
    logit: Tensor  # (A,): of P(O)
    points: Tensor  # (A, 2): the location's point
    rows: Tensor  # (R,): a location, once for each object that it answers for
    owner: Tensor  # (R,): which object
    shares: tuple[float, float]  # of positives and of other locations: what training samples

    @property
    def odds(self) -> float:
        """How often another location is sampled for each time that a positive is."""
        return self.shares[1] / self.shares[0]


def answers(
    stage: nn.Module, features: dict[str, Tensor], objects: list[Instances]
) -> list[Answers]:
    """Those of N images for objects (a list of N Instances with `gt_boxes` and `gt_classes`)."""
    if hasattr(stage, "rpn_head"):
        return _of_rpn(stage, features, objects)
    return _of_dense(stage, features, objects)


def sampled_shares(stage: nn.Module, label: Tensor) -> tuple[float, float]:
    """Which share of the positives and of the negatives d2's subsampling of labels keeps."""
    positives, negatives = int((label == 1).sum()), int((label == 0).sum())
    kept = min(positives, int(stage.batch_size_per_image * stage.positive_fraction))
    others = min(stage.batch_size_per_image - kept, negatives)
    return kept / positives if positives else 1.0, others / max(negatives, 1)


def _of_dense(stage, features, objects):
    grid, predictions = stage.predict(features)
    targets = stage.objective.targets(grid, predictions, objects, 1)
    boxes = stage.objective.coding.decode(grid, predictions.box)  # (N, A, 4)
    logit = stage.score(predictions)[..., 0]  # (N, A)
    of_images = []
    for n, truths in enumerate(objects):
        rows = targets.peaks[n, :, 0].nonzero()[:, 0]
        own = (targets.boxes[n, rows, None] == truths.gt_boxes.tensor).all(-1)  # (rows, G)
        row, owner = own.nonzero(as_tuple=True)
        of_images.append(Answers(boxes[n], logit[n], grid.points, rows[row], owner, ALL))
    return of_images


def _of_rpn(stage, features, objects):
    maps = [features[name] for name in stage.in_features]
    anchors = Boxes.cat(stage.anchor_generator(maps))  # A
    logits, deltas = stage.rpn_head(maps)
    logit = torch.cat([of_level.permute(0, 2, 3, 1).flatten(1) for of_level in logits], 1)  # (N, A)
    deltas = torch.cat([_by_anchor(of_level) for of_level in deltas], 1)  # (N, A, 4)
    of_images = []
    for n, truths in enumerate(objects):
        owner, label = stage.anchor_matcher(pairwise_iou(truths.gt_boxes.tensor, anchors.tensor))
        rows = (label == 1).nonzero()[:, 0]
        boxes = stage.box2box_transform.apply_deltas(deltas[n], anchors.tensor)
        points, shares = anchors.get_centers(), sampled_shares(stage, label)
        of_images.append(Answers(boxes, logit[n], points, rows, owner[rows], shares))
    return of_images


def _by_anchor(deltas):
    """(N, 4 S, H, W) of S anchors a cell as (N, H W S, 4)."""
    return deltas.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3)
