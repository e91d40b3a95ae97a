"""Objectives of dense first stages: how predictions and truths become losses.

N images, A locations (all levels, concatenated), K classes, P positives.
"""

from collections.abc import Callable
from dataclasses import dataclass

from detectron2.structures import Instances
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from p2s.maths.geometry import Grid, encode_ltrb
from p2s.maths.losses import distribution_focal, peak_focal
from p2s.maths.ranks import normaliser
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

    def __call__(
        self, grid: Grid, predictions: Predictions, truths: list[Instances]
    ) -> dict[str, Tensor]:
        """Losses of N images: of scores per positive, of boxes per unit of weight."""
        targets = self.targets(grid, predictions, truths, predictions.logit.shape[-1])
        return self.score_losses(predictions, targets) | self.box_losses(grid, predictions, targets)

    def targets(
        self, grid: Grid, predictions: Predictions, truths: list[Instances], num_classes: int
    ) -> Targets:
        """What the locations of N images should predict."""
        logit, box = predictions.logit.detach(), predictions.box.detach()
        of_images = [
            self.assign(grid, truth.gt_boxes.tensor, truth.gt_classes, num_classes)
            for truth in truths
        ]
        return self.refine(Targets.stack(of_images), self.coding.decode(grid, box), logit)

    def score_losses(self, predictions: Predictions, targets: Targets) -> dict[str, Tensor]:
        """Losses of scores per positive."""
        positive = targets.peaks > 0
        loss = self.score_loss(predictions.logit, targets.heat, targets.peaks)
        loss = loss / normaliser(targets.peaks.sum())
        return {
            "loss_dense_positive": self.weight * loss[positive].sum(),
            "loss_dense_negative": self.weight * loss.masked_fill(positive, 0).sum(),
        }

    def box_losses(
        self, grid: Grid, predictions: Predictions, targets: Targets
    ) -> dict[str, Tensor]:
        """Losses of boxes per unit of weight, and what else is learnt where a box is."""
        image, location = targets.weight.nonzero(as_tuple=True)  # (P,)
        weight, boxes = targets.weight[image, location], targets.boxes[image, location]
        places = grid.at(location)
        box_loss = self.coding.loss(places, predictions.box[image, location], boxes)
        losses = {"loss_dense_box": self.box_weight * weighted_mean(box_loss, weight)}
        if self.extra_loss:
            extra = predictions.extra[image, location]
            losses["loss_dense_extra"] = self.extra_loss(extra, places, boxes, weight)
        return {name: self.weight * loss for name, loss in losses.items()}


def weighted_mean(loss: Tensor, weight: Tensor) -> Tensor:
    """The mean of losses (P,) by weight, 0 of none; weights of less than 1 in all count as 1."""
    return (weight * loss).sum() / normaliser(weight.sum())


def centerness_loss(extra: Tensor, grid: Grid, boxes: Tensor, weight: Tensor) -> Tensor:
    """Mean cross entropy of centerness logits (P, 1) with the centerness of P points."""
    wanted = centerness(grid.points, boxes)
    loss = binary_cross_entropy_with_logits(extra[:, 0], wanted, reduction="sum")
    return loss / normaliser(loss.new_tensor(float(len(boxes))))


def side_distribution_loss(extra: Tensor, grid: Grid, boxes: Tensor, weight: Tensor) -> Tensor:
    """Distribution focal loss of the bins (P, 4 B) of four sides (Li et al., 2020b, Eq. 6)."""
    bins = extra.unflatten(-1, (4, -1))
    longest = bins.shape[-1] - 1.0
    sides = encode_ltrb(grid.points, boxes) / grid.unit[:, None]
    loss = distribution_focal(bins, sides.clamp(0, longest)).mean(-1)
    return DISTRIBUTION_WEIGHT * weighted_mean(loss, weight)
