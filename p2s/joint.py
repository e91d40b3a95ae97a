"""Training by the likelihood: one label a location, for both stages (Sec. 4).

Every location of a first stage is a proposal. Its label is the class of the object that it answers
for, or background; what the first stage ignores has no label. Positives follow Eq. 2; what
background is worth is an objective of `likelihood.BACKGROUND`.
N images, A locations, R regions, K classes, P positives.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import get_event_storage
from torch import Tensor

from p2s import designs
from p2s.first_stage import FirstStage, dense_stage
from p2s.geometry import paired_iou
from p2s.likelihood import BACKGROUND, class_log_probs, object_log_probs
from p2s.losses import ALPHA, BETA, GAMMA
from p2s.records import AUDIT
from p2s.second_stage import SecondStage, second_stage

AUDITED = ("exact", "B1", "B2", "max")
BORDERS = (0, 0.01, 0.1, 0.5, 1)  # of P(O), where the audit tells which bound is the larger


class LabelledFirstStage(FirstStage):
    """A first stage that hands on every location with its label in training.

    Its own losses are those of boxes: the second stage has the likelihood of both.
    """

    def __init__(self, num_classes, assign, **stage):
        super().__init__(**stage)
        self.num_classes = num_classes
        self.labelling = replace(self.objective, assign=assign)  # it tells classes apart

    def forward(self, images, features, gt_instances=None):
        """As any first stage's; in training the proposals are all locations, in their order.

        They hold `objectness_logits` with its gradient, `peaks` (A, K), how many objects of each
        class a location is the positive of, `heat` (A,), and `target_boxes` (A, 4).
        """
        if not self.training:
            return super().forward(images, features, gt_instances)
        grid, predictions = self.predict(features)
        targets = self.labelling.targets(grid, predictions, gt_instances, self.num_classes)
        boxes = self.objective.coding.decode(grid, predictions.box.detach())  # (N, A, 4)
        logit = self.score(predictions)[..., 0]  # (N, A)
        proposals = [
            _labelled(size, boxes[n], logit[n], targets, n)
            for n, size in enumerate(images.image_sizes)
        ]
        return proposals, self.objective.box_losses(grid, predictions, targets)


class LikelihoodSecondStage(SecondStage):
    """A Faster second stage that trains both stages by the likelihood of every location's label.

    Losses are negative log-likelihoods of the batch over four times its positives, the number of
    regions that detectron2's sampler would draw for them, so that steps are as long as with it.
    Gradients go into weights and features of both stages, not through the coordinates of boxes.
    """

    def set_objective(self, objective):
        """Train by this `Likelihood`; returns self."""
        self.objective = objective
        return self

    def label_and_sample_proposals(self, proposals, targets):
        """The proposals as they are: they are labelled, and there is no sampling."""
        return proposals

    def _forward_box(self, features, proposals, targets=None):
        if not self.training:
            return super()._forward_box(features, proposals, targets)
        maps = [features[name] for name in self.box_in_features]
        seen = [self.objective.seen(each) for each in proposals]
        shown = [each[rows] for each, rows in zip(proposals, seen, strict=True)]
        logits, deltas = self._run_stage(maps, shown, 0)
        labels = Labels.of(proposals, torch.cat(seen))
        losses = self.objective(labels, class_log_probs(logits))
        losses = {name: self.positive_fraction * loss for name, loss in losses.items()}
        return losses | {"loss_box_reg_stage0": self._box_loss(shown, deltas)}

    def _box_loss(self, shown, deltas):
        """detectron2's, of positives near their object, weighed as if its sampler had drawn them.

        Near is the IoU from which a region is a positive of the sampler: a box that is still far
        away, or empty, has no deltas to learn.
        """
        boxes = Boxes.cat([each.proposal_boxes for each in shown]).tensor  # (R, 4)
        wanted = torch.cat([each.target_boxes for each in shown])
        near = torch.cat([each.peaks.sum(1) > 0 for each in shown])
        near &= paired_iou(boxes, wanted) >= self.objective.near
        labels = torch.zeros_like(near, dtype=torch.long)[near]  # one box for all classes
        loss = self.box_predictor[0].box_reg_loss(boxes[near], wanted[near], deltas[near], labels)
        return self.positive_fraction * loss


@dataclass(frozen=True)
class Labels:
    """What the first stage says of all locations of a batch, and their labels; A of all images."""

    logit: Tensor  # (A,) of P(O)
    peaks: Tensor  # (A, K): how many objects a location is the positive of
    heat: Tensor  # (A,): near an object; 1 without a peak: ignored
    seen: Tensor  # (A,): whether the second stage looks at it

    @classmethod
    def of(cls, proposals, seen):
        """Those of the proposals of N images."""
        fields = [[each.objectness_logits, each.peaks, each.heat] for each in proposals]
        return cls(*map(torch.cat, zip(*fields, strict=True)), seen)

    @property
    def background(self):
        """Whether a location is labelled as background, (A,)."""
        return (self.peaks.sum(1) == 0) & (self.heat < 1)


@dataclass(frozen=True)
class Likelihood:
    """An objective of `likelihood.BACKGROUND`, which locations it sees whole, and their weights.

    With `kept` regions an image the second stage looks at the likeliest locations and at all
    positives; the others' background is bounded by P(O=0) alone (B1).
    """

    name: str
    near: float  # IoU from which a positive's box is regressed by the second stage
    kept: int | None = None
    focal: bool = False  # the weights of the focal loss; else all are 1

    def __call__(self, labels: Labels, log_p_class: Tensor) -> dict[str, Tensor]:
        """Losses per positive: labels of A locations and log P(C|O) (R, K + 1) of those seen.

        The values of all objectives on the same labels go to detectron2's event storage.
        """
        positives = labels.peaks.sum().clamp(min=1)
        log_object, log_no_object = object_log_probs(labels.logit)
        cost, weight = self._weights(labels)
        seen, background = labels.seen, labels.background
        named = labels.peaks[seen] * (log_object[seen, None] + log_p_class[:, :-1])  # (R, K)
        values = {  # log P(bg) of A locations
            name: log_no_object.index_put((seen,), self._of_seen(name, labels, log_p_class))
            for name in {self.name, *AUDITED}
        }
        _audit(values, log_object.exp(), background)
        return {
            "loss_likelihood_positive": -(cost[seen, None] * named).sum() / positives,
            "loss_likelihood_background": -(weight * values[self.name])[background].sum()
            / positives,
        }

    def seen(self, proposals: Instances) -> Tensor:
        """Which locations of an image the second stage looks at, as a mask (A,)."""
        if self.kept is None:
            return torch.ones(len(proposals), dtype=torch.bool)
        seen = proposals.peaks.sum(1) > 0
        best = proposals.objectness_logits.topk(min(self.kept, len(proposals))).indices
        return seen.index_fill(0, best, True)

    def _of_seen(self, name, labels, log_p_class):
        log_object, log_no_object = object_log_probs(labels.logit[labels.seen])
        return BACKGROUND[name](log_object, log_no_object, log_p_class[:, -1])

    def _weights(self, labels):
        """Of a location as a positive and as background, (A,) each."""
        if not self.focal:
            return torch.ones_like(labels.logit), torch.ones_like(labels.logit)
        p_object = labels.logit.sigmoid()
        near = (1 - labels.heat) ** BETA
        return ALPHA * (1 - p_object) ** GAMMA, (1 - ALPHA) * near * p_object**GAMMA


def stages(spec, strides: dict[str, int], channels: int):
    """First and second stage of a Spec whose objective is a likelihood; see p2s.zoo."""
    assign = designs.OF_FIRST_STAGE[spec.first](spec.first_stage).objective.assign
    where, name = (spec, strides, channels), spec.second_stage.objective
    first = dense_stage(*where, partial(LabelledFirstStage, spec.num_classes, assign))
    second = second_stage(*where, LikelihoodSecondStage)
    kept = spec.second_stage.regions if name == "exact@K" else None
    focal = spec.first_stage.weighting == "focal"
    return first, second.set_objective(Likelihood(name, spec.second_stage.iou[0], kept, focal))


@torch.no_grad()
def _audit(values, p_object, background):
    """Tell what background costs by each objective, in nats a location, and where B1 is active."""
    values = {name: values[name][background] for name in AUDITED}
    told = {name: -each.mean() for name, each in values.items()}
    told["worst gap"] = (values["exact"] - values["max"]).max() if background.any() else math.nan
    larger, p_object = (values["B1"] > values["B2"]).float(), p_object[background]
    for low, high in pairwise(BORDERS):
        of_bin = (p_object > low) & (p_object <= high)
        told[f"B1 active, P(O) {low:g} to {high:g}"] = larger[of_bin].mean()
    storage = get_event_storage()
    for name, value in told.items():
        storage.put_scalar(f"{AUDIT}{name}", float(value))


def _labelled(size, boxes, logit, targets, n):
    boxes = Boxes(boxes)
    boxes.clip(size)
    return Instances(
        size,
        proposal_boxes=boxes,
        objectness_logits=logit,
        peaks=targets.peaks[n],
        heat=targets.heat[n].amax(-1),
        target_boxes=targets.boxes[n],
    )
