"""The one dense skeleton: head -> assign -> loss -> decode -> top-k -> NMS.

N images, L levels, A locations (all levels, concatenated), K classes, P positives, R regions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from detectron2.structures import Boxes
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid
from torchvision.ops import batched_nms

from p2s.maths.geometry import SQUARE, encode_ltrb, locations
from p2s.maths.losses import distribution_focal, peak_focal
from p2s.model.first.assign import Targets, as_assigned, center_peaks, centerness
from p2s.model.first.coding import Deltas, Distances
from p2s.model.first.heads import Predictions

DISTRIBUTION_WEIGHT = 0.25  # Li et al. (2020b), Eq. 8 and Sec. 4


@dataclass(frozen=True)
class Objective:
    """How predictions and truths become losses; each function can be replaced by its like."""

    assign: Callable = center_peaks  # grid and truths of an image -> Targets
    refine: Callable = as_assigned  # Targets, predicted boxes, logits -> Targets
    score_loss: Callable = peak_focal  # logit, heat, peaks -> (N, A, K)
    coding: Distances | Deltas = Distances()
    extra_loss: Callable | None = None  # extra, grid, boxes, weight of the P positives -> a scalar
    weight: float = 1.0  # of all losses
    box_weight: float = 2.0  # C2, ATSS, GFL: of the box loss, beside 1 for scores

    def __call__(self, grid, predictions: Predictions, truths: list) -> dict[str, Tensor]:
        """Losses of N images: of scores per positive, of boxes per unit of weight."""
        targets = self.targets(grid, predictions, truths, predictions.logit.shape[-1])
        return self.score_losses(predictions, targets) | self.box_losses(grid, predictions, targets)

    def targets(self, grid, predictions: Predictions, truths: list, num_classes: int) -> Targets:
        """What the locations of N images should predict."""
        logit, box = predictions.logit.detach(), predictions.box.detach()
        of_images = [
            self.assign(grid, each.gt_boxes.tensor, each.gt_classes, num_classes) for each in truths
        ]
        return self.refine(Targets.stack(of_images), self.coding.decode(grid, box), logit)

    def score_losses(self, predictions: Predictions, targets: Targets) -> dict[str, Tensor]:
        """Losses of scores per positive."""
        positive = targets.peaks > 0
        loss = self.score_loss(predictions.logit, targets.heat, targets.peaks)
        loss = loss / targets.peaks.sum().clamp(min=1)
        return {
            "loss_dense_positive": self.weight * loss[positive].sum(),
            "loss_dense_negative": self.weight * loss[~positive].sum(),
        }

    def box_losses(self, grid, predictions: Predictions, targets: Targets) -> dict[str, Tensor]:
        """Losses of boxes per unit of weight, and what else is learnt where a box is."""
        image, location = targets.weight.nonzero(as_tuple=True)  # (P,)
        weight, boxes = targets.weight[image, location], targets.boxes[image, location]
        where = grid.at(location)
        box_loss = self.coding.loss(where, predictions.box[image, location], boxes)
        losses = {"loss_dense_box": self.box_weight * weighted_mean(box_loss, weight)}
        if self.extra_loss:
            extra = predictions.extra[image, location]
            losses["loss_dense_extra"] = self.extra_loss(extra, where, boxes, weight)
        return {name: self.weight * loss for name, loss in losses.items()}


def weighted_mean(loss: Tensor, weight: Tensor) -> Tensor:
    """The mean of losses (P,) by weight, 0 of none; weights of less than 1 in all count as 1."""
    return (weight * loss).sum() / weight.sum().clamp(min=1)


def centerness_loss(extra: Tensor, grid, boxes: Tensor, weight: Tensor) -> Tensor:
    """Mean cross entropy of centerness logits (P, 1) with the centerness of P points."""
    wanted = centerness(grid.points, boxes)
    loss = binary_cross_entropy_with_logits(extra[:, 0], wanted, reduction="sum")
    return loss / max(len(boxes), 1)


def side_distribution_loss(extra: Tensor, grid, boxes: Tensor, weight: Tensor) -> Tensor:
    """Distribution focal loss of the bins (P, 4 B) of four sides (Li et al., 2020b, Eq. 6)."""
    bins = extra.unflatten(-1, (4, -1))
    longest = bins.shape[-1] - 1.0
    sides = encode_ltrb(grid.points, boxes) / grid.stride[:, None]
    loss = distribution_focal(bins, sides.clamp(0, longest)).mean(-1)
    return DISTRIBUTION_WEIGHT * weighted_mean(loss, weight)


def plain_score(predictions: Predictions) -> Tensor:
    """The logits of scores (N, A, K) as the head gives them."""
    return predictions.logit


def centered_score(predictions: Predictions) -> Tensor:
    """Logits of the product of score and centerness (ATSS, Sec. 5; FCOS), (N, A, K).

    1 - p q = (1 - p) + p (1 - q) keeps them finite where both are certain.
    """
    logit, _, extra = predictions
    log_p, log_q = logsigmoid(logit), logsigmoid(extra)
    return log_p + log_q - torch.logaddexp(logsigmoid(-logit), log_p + logsigmoid(-extra))


@dataclass(frozen=True)
class Selection:
    """Which predictions leave: likely enough, the best of a level, after NMS, at most so many."""

    floor: float  # probability that must be exceeded
    pre_nms: int  # candidates a level
    nms: float  # IoU above which the less likely box of a class goes
    keep: int  # boxes an image
    clip: bool = True  # cut boxes at the image's border; C2 leaves its proposals uncut in test


@dataclass(frozen=True)
class Candidates:
    """Boxes of an image, or of N with a leading dimension, with their logits, classes, levels."""

    boxes: Tensor  # (R, 4)
    logit: Tensor  # (R,)
    classes: Tensor  # (R,)
    level: Tensor  # (R,): log2 of the stride: 3 for P3

    def __getitem__(self, rows):
        fields = (self.boxes, self.logit, self.classes, self.level)
        return Candidates(*(field[rows] for field in fields))


@dataclass(frozen=True)
class Anchors:
    """The anchors of a cell: width and height of each in strides, and where in a cell they are."""

    shapes: tuple = SQUARE
    offset: float = 0.5  # of a cell, from its corner; d2's anchors: 0


class DenseProposer(nn.Module):
    """A head, its objective and its selections on the contract of detectron2's RPN.

    Subclasses say what leaves: `instances(image_size, candidates) -> Instances`.
    `selections` are those of training and test; None: nothing leaves in training but losses.
    `score` gives the logits that rank.
    """

    def __init__(
        self,
        head: nn.Module,
        strides: dict[str, int],
        objective: Objective,
        selections: tuple[Selection | None, Selection],
        score: Callable = plain_score,
        anchors: Anchors = Anchors(),
    ):
        super().__init__()
        self.head, self.objective, self.score, self.anchors = head, objective, score, anchors
        self.train_selection, self.test_selection = selections
        self.in_features = list(strides)
        self.register_buffer(
            "strides", torch.tensor(list(strides.values()), dtype=torch.float32), False
        )

    def forward(self, images, features: dict[str, Tensor], gt_instances=None):
        """A list of N Instances, without gradient, and the losses: none outside of training.

        FloatingPointError, naming level and image, if a candidate is not finite.
        """
        grid, predictions = self.predict(features)
        losses = self.objective(grid, predictions, gt_instances) if self.training else {}
        selection = self.train_selection if self.training else self.test_selection
        if selection is None:
            return [], losses
        with torch.no_grad():
            candidates = self.candidates(grid, predictions, selection.pre_nms)
            chosen = [
                self.instances(size, suppress(candidates[n], size, selection))
                for n, size in enumerate(images.image_sizes)
            ]
        return chosen, losses

    def predict(self, features: dict[str, Tensor]):
        """The Grid of the images' locations, and what the head predicts there."""
        maps = [features[name] for name in self.in_features]
        return self.grid(maps), self.head(maps)

    def grid(self, maps: list[Tensor]):
        """The locations of the maps of all levels."""
        sizes = [each.shape[-2:] for each in maps]
        return locations(sizes, self.strides, None, self.anchors.shapes, self.anchors.offset)

    def candidates(self, grid, predictions: Predictions, count: int) -> "Candidates":
        """The `count` likeliest of each level and image, decoded."""
        decode = self.objective.coding.decode
        return top_candidates(grid, self.score(predictions), predictions.box, decode, count)


def top_candidates(grid, logit: Tensor, box: Tensor, decode, count: int) -> Candidates:
    """The `count` likeliest of each level and image, decoded: N images in a leading dimension."""
    borders = [0, *grid.level.bincount(minlength=len(grid.strides)).cumsum(0).tolist()]
    best = [_top(logit[:, a:b], count, first=a) for a, b in pairwise(borders)]
    logit, location, classes = (torch.cat(each, 1) for each in zip(*best, strict=True))  # (N, R)
    where = grid.at(location)
    boxes = decode(where, box.gather(1, location[..., None].expand(-1, -1, 4)))  # (N, R, 4)
    candidates = Candidates(boxes, logit, classes, where.stride.log2().long())
    _refuse_nonfinite(candidates)
    return candidates


def suppress(candidates: Candidates, image_size, selection: Selection) -> Candidates:
    """Candidates of an image above the floor, after NMS by class, the likeliest first."""
    boxes = Boxes(candidates.boxes)
    if selection.clip:
        boxes.clip(image_size)
    possible = (candidates.logit > to_logit(selection.floor)) & boxes.nonempty()
    candidates = replace(candidates, boxes=boxes.tensor)[possible]
    places = (candidates.boxes, candidates.logit, candidates.classes)
    return candidates[first_kept(*places, selection.nms, selection.keep)]


def first_kept(boxes: Tensor, scores: Tensor, classes: Tensor, iou: float, count: int) -> Tensor:
    """The first `count` rows that NMS by class keeps of R, the likeliest first.

    What NMS keeps depends on likelier boxes alone, so only as many as are needed are looked at:
    NMS takes time with their square.
    """
    order, looked = scores.argsort(descending=True, stable=True), 0
    kept = order[:0]
    while len(kept) < count and looked < len(order):
        looked = min(len(order), max(2 * count, 4 * looked))
        first = order[:looked]
        kept = first[batched_nms(boxes[first], scores[first], classes[first], iou)]
    return kept[:count]


def to_logit(probability: float) -> float:
    """log p / (1 - p) in double precision; infinite at 0 and 1."""
    return torch.tensor(probability, dtype=torch.float64, device="cpu").logit().item()


def _top(logit, count, first):
    flat = logit.flatten(1)  # (N, A K)
    best, index = flat.topk(min(count, flat.shape[1]), 1)
    return best, first + index // logit.shape[-1], index % logit.shape[-1]


def _refuse_nonfinite(candidates):
    bad = ~(candidates.logit.isfinite() & candidates.boxes.isfinite().all(-1))  # (N, R)
    if bad.any():
        image, row = bad.nonzero()[0].tolist()
        level = candidates.level[image, row].item()
        raise FloatingPointError(f"non-finite score or box at level p{level}, image {image}")
