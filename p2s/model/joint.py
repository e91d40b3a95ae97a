"""Training by the likelihood: one label a location, for both stages (Sec. 4).

Every location of a first stage is a proposal. Its label is the class of the object that it answers
for, or background; what the first stage ignores has no label. Positives follow Eq. 2; what
background is worth is an objective of `likelihood.BACKGROUND`.
N images, A locations, R regions, K classes, P positives.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import get_event_storage
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from p2s.maths.geometry import paired_iou
from p2s.maths.likelihood import AUDIT, BACKGROUND, class_log_probs, object_log_probs
from p2s.maths.losses import ALPHA, BETA, GAMMA
from p2s.maths.ranks import normaliser, share
from p2s.model.first import designs
from p2s.model.first.contract import DenseFirstStage, dense_stage
from p2s.model.second.stage import SecondStage, second_stage
from p2s.spec import Spec

AUDITED = ("exact", "exact@K", "B1", "B2", "max")
BORDERS = (0, 0.01, 0.1, 0.5, 1)  # of P(O), where the audit tells which bound is the larger


class LabelledFirstStage(DenseFirstStage):
    """A first stage that hands on every location with its label in training.

    Its own losses are those of boxes: the second stage has the likelihood of both.
    """

    def __init__(self, num_classes: int, assign: Callable, **stage):
        super().__init__(**stage)
        self.num_classes = num_classes
        self.labelling = replace(self.objective, assign=assign)  # it tells classes apart

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        gt_instances: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, Tensor]]:
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
        self.refuse_nonfinite(logit, boxes, grid.stride)
        proposals = [
            _labelled(size, boxes[n], logit[n], targets, n)
            for n, size in enumerate(images.image_sizes)
        ]
        return proposals, self.objective.box_losses(grid, predictions, targets)


class LikelihoodSecondStage(SecondStage):
    """A Faster second stage that trains both stages by the likelihood of every location's label.

    Losses are negative log-likelihoods of the batch over four times its positives: the sampler of
    detectron2 draws as many regions for them at most, and averages over those. Gradients go into
    weights and features of both stages, not through the coordinates of boxes.
    """

    def __init__(self, objective: "Likelihood", **heads):
        super().__init__(**heads)
        self.objective = objective

    def label_and_sample_proposals(
        self, proposals: list[Instances], targets: list[Instances]
    ) -> list[Instances]:
        """The proposals as they are: they are labelled, and there is no sampling."""
        return proposals

    def _forward_box(self, features, proposals, targets=None):
        if not self.training:
            return super()._forward_box(features, proposals, targets)
        maps = [features[name] for name in self.box_in_features]
        labels = self.objective.labels(proposals)
        seen = labels.seen.split([len(of_image) for of_image in proposals])
        shown = [of_image[rows] for of_image, rows in zip(proposals, seen, strict=True)]
        logits, deltas = self._run_stage(maps, shown, 0)
        losses = self.objective(labels, class_log_probs(logits))
        losses = {name: self.positive_fraction * loss for name, loss in losses.items()}
        return losses | {"loss_box_reg_stage0": self._box_loss(shown, deltas)}

    def _box_loss(self, shown, deltas):
        """detectron2's, of positives near their object, weighed as if its sampler had drawn them.

        Near is the IoU from which a region is a positive of the sampler: a box that is still far
        away, or empty, has no deltas to learn.
        """
        boxes = Boxes.cat([of_image.proposal_boxes for of_image in shown]).tensor  # (R, 4)
        wanted = torch.cat([of_image.target_boxes for of_image in shown])
        near = torch.cat([of_image.peaks.sum(1) > 0 for of_image in shown])
        near &= paired_iou(boxes, wanted) >= self.objective.near
        labels = torch.zeros_like(near, dtype=torch.long)[near]  # one box for all classes
        loss = self.box_predictor[0].box_reg_loss(boxes[near], wanted[near], deltas[near], labels)
        return self.positive_fraction * share(len(labels), loss.device) * loss


@dataclass(frozen=True)
class Labels:
    """What the first stage says of all locations of a batch, and their labels; A of all images."""

    logit: Tensor  # (A,) of P(O)
    peaks: Tensor  # (A, K): how many objects a location is the positive of
    heat: Tensor  # (A,): near an object; 1 without a peak: ignored
    likeliest: Tensor  # (A,): whether it is among the K likeliest of its image
    seen: Tensor  # (A,): whether the second stage looks at it

    @property
    def background(self) -> Tensor:
        """Whether a location is labelled as background, (A,)."""
        return (self.peaks.sum(1) == 0) & (self.heat < 1)


@dataclass(frozen=True)
class Likelihood:
    """An objective of `likelihood.BACKGROUND`, and how locations are weighed.

    exact@K: the second stage looks at the K likeliest locations of an image and at all positives;
    the background of the others is bounded by P(O=0) alone (B1).
    """

    name: str
    near: float  # IoU from which a positive's box is regressed by the second stage
    likeliest: int  # K of exact@K, whose gap the audit of the others tells
    focal: bool = False  # P(O) and background have the weights of the focal loss; else 1

    def __call__(self, labels: Labels, log_p_class: Tensor) -> dict[str, Tensor]:
        """Losses per positive: labels of A locations and log P(C|O) (R, K + 1) of those seen.

        Where all are seen, the values of all objectives on them go to detectron2's event storage.
        """
        positives = normaliser(labels.peaks.sum())
        log_object, log_no_object = object_log_probs(labels.logit)
        of_object, of_background = self._weights(labels)
        named = (of_object * log_object)[labels.seen, None] + log_p_class[:, :-1]  # (R, K)
        background = labels.background
        value = _background(self.name, labels, log_p_class)
        if len(log_p_class) == len(labels.logit):  # all are seen
            others = [name for name in AUDITED if name != self.name]
            values = {name: _background(name, labels, log_p_class) for name in others}
            _audit(values | {self.name: value}, log_object.exp(), background)
        return {
            "loss_likelihood_positive": -(labels.peaks[labels.seen] * named).sum() / positives,
            "loss_likelihood_background": -(of_background * value)[background].sum() / positives,
        }

    def labels(self, proposals: list[Instances]) -> Labels:
        """Those of the locations of N images, from `LabelledFirstStage`."""
        fields = [
            [of_image.objectness_logits, of_image.peaks, of_image.heat] for of_image in proposals
        ]
        logit, peaks, heat = map(torch.cat, zip(*fields, strict=True))
        likeliest = torch.cat([_largest(logit, self.likeliest) for logit, *_ in fields])
        every = torch.ones_like(likeliest)
        seen = likeliest | (peaks.sum(1) > 0) if self.name == "exact@K" else every
        return Labels(logit, peaks, heat, likeliest, seen)

    def _weights(self, labels):
        """Of P(O) of a positive, and of background, (A,) each."""
        if not self.focal:
            return torch.ones_like(labels.logit), torch.ones_like(labels.logit)
        p_object = labels.logit.sigmoid()
        far = (1 - labels.heat) ** BETA
        return ALPHA * (1 - p_object) ** GAMMA, (1 - ALPHA) * far * p_object**GAMMA


def _background(name, labels, log_p_class):
    """log P(bg) of A locations as an objective has it; that of P(O) alone where it does not see."""
    log_object, log_no_object = object_log_probs(labels.logit)
    seen = labels.seen
    value = BACKGROUND[name](log_object[seen], log_no_object[seen], log_p_class[:, -1])
    value = log_no_object.index_put((seen,), value)
    return torch.where(labels.likeliest, value, log_no_object) if name == "exact@K" else value


def _largest(values, count):
    best = values.topk(min(count, len(values))).indices
    return torch.zeros_like(values, dtype=torch.bool).index_fill(0, best, True)


def stages(
    spec: Spec, strides: dict[str, int], channels: int
) -> tuple[LabelledFirstStage, LikelihoodSecondStage]:
    """First and second stage of a Spec whose objective is a likelihood; see p2s.model.zoo."""
    assign = designs.OF_FIRST_STAGE[spec.first](spec.first_stage).objective.assign
    where, stage = (spec, strides, channels), spec.second_stage
    focal = spec.first_stage.design.weighting == "focal"
    objective = Likelihood(stage.objective, stage.iou[0], stage.regions, focal)
    return (
        dense_stage(*where, partial(LabelledFirstStage, spec.num_classes, assign)),
        second_stage(*where, partial(LikelihoodSecondStage, objective)),
    )


@torch.no_grad()
def _audit(values, p_object, background):
    """Tell what background costs by each objective, in nats a location, and where B1 is active."""
    values = {name: values[name][background] for name in AUDITED}
    told = {name: -nats.mean() for name, nats in values.items()}
    gap = values["exact"] - values["max"]
    told["worst gap"] = gap.max() if len(gap) else gap.new_full((), math.nan)
    larger, p_object = (values["B1"] > values["B2"]).float(), p_object[background]
    for low, high in pairwise(BORDERS):
        of_bin = (p_object > low) & (p_object <= high)
        told[f"B1 active, P(O) {low:g} to {high:g}"] = larger[of_bin].mean()
    storage, numbers = get_event_storage(), torch.stack([*told.values()]).tolist()
    for name, value in zip(told, numbers, strict=True):
        storage.put_scalar(f"{AUDIT}{name}", value)


def _labelled(size, boxes, logit, targets, n):
    return Instances(
        size,
        proposal_boxes=Boxes(clip_boxes_to_image(boxes, size)),
        objectness_logits=logit,
        peaks=targets.peaks[n],
        heat=targets.heat[n].amax(-1),
        target_boxes=targets.boxes[n],
    )
