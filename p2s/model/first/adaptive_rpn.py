"""Proposal networks whose anchors follow the picture: Guided Anchoring, Cascade RPN (Table 11).

Both first predict an anchor at each location, then classify and refine it with features that are
sampled where it lies (deformable convolution). The second step is detectron2's RPN, one image at a
time, since no two images have the same anchors. Numbers not in the Spec are mmdetection's.

N images, L levels, A locations (all levels, concatenated).
"""

from typing import Any, NamedTuple

import torch
from detectron2.structures import Boxes, ImageList, Instances
from torch import Tensor, nn
from torch.nn.functional import relu

from p2s.maths.geometry import Grid, locations
from p2s.model.first.assign import Targets, center_share, class_agnostic
from p2s.model.first.coding import decoded
from p2s.model.first.deform import deform_conv3x3
from p2s.model.first.heads import rows
from p2s.model.first.rpn import FlooredRPN
from p2s.spec import Spec

LOCATIONS = 200  # in a batch, one positive is expected of so many; both publications' code


class Steps(NamedTuple):
    """What both steps predict of each location, in float32."""

    location: Tensor  # (N, A): logit of an object's centre; Cascade RPN: none, 0
    anchor: Tensor  # (N, A, 4): deltas from the square to the anchor
    logit: Tensor  # (N, A): objectness of the anchor
    deltas: Tensor  # (N, A, 4): from the anchor to the proposal


class Adapted(nn.Module):
    """A 3x3 convolution that samples where it is told to, in float32."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor, offsets: Tensor) -> Tensor:
        """Features (N, C, H, W), sampled at offsets (N, 18 G, H, W), y before x, of G groups."""
        weight, bias = self.conv.weight.float(), self.conv.bias.float()
        adapted = deform_conv3x3(features.float(), offsets.float(), weight, bias)
        return relu(adapted).to(features.dtype)


class AdaptiveRPN(FlooredRPN):
    """An RPN on anchors that its head predicts; a subclass says what that first step learns.

    `anchor_generator` gives the Grid of the squares, not anchors.
    """

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        gt_instances: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """As detectron2's RPN."""
        maps = [features[name] for name in self.in_features]
        grid, steps = self.anchor_generator(maps), self.rpn_head(maps)
        self._refuse_nonfinite_steps(grid, steps)
        anchors = decoded(self.rpn_head.transform, grid.anchors, steps.anchor)  # (N, A, 4)
        losses, proposals = self._losses(grid, steps, anchors, gt_instances), []
        for n, size in enumerate(images.image_sizes):
            levels = self._levels(grid, anchors[n : n + 1].detach(), steps, n)
            proposals += self.predict_proposals(*levels, [size])
        return proposals, losses

    @property
    def weight(self) -> float:
        """That of the Spec, of all losses; detectron2 keeps it by loss."""
        return self.loss_weight["loss_rpn_cls"]

    def first_step(
        self, grid: Grid, steps: Steps, anchors: Tensor, truths: list[Instances]
    ) -> dict[str, Tensor]:
        """The losses of the anchors (N, A, 4), before their weight."""
        raise NotImplementedError

    def may_hold(self, location: Tensor, values: list[Tensor]) -> list[Tensor]:
        """Of values (A, ...) of locations with logits (A,), those that may hold an object: all."""
        return values

    def _losses(self, grid, steps, anchors, truths):
        if not self.training:
            return {}
        second = [
            self._second_step(grid, steps, anchors[n : n + 1].detach(), n, truth)
            for n, truth in enumerate(truths)
        ]
        means = {name: sum(losses[name] for losses in second) / len(second) for name in second[0]}
        first = self.first_step(grid, steps, anchors, truths)
        return means | {name: self.weight * loss for name, loss in first.items()}

    def _second_step(self, grid, steps, anchors, image, truth):
        boxes, logits, deltas = self._levels(grid, anchors, steps, image)
        labels, matched = self.label_and_sample_anchors(boxes, [truth])
        return self.losses(boxes, logits, labels, deltas, matched)

    def _levels(self, grid, anchors, steps, image):
        """Anchors, logits and deltas of one image as detectron2 wants them: level by level."""
        values = steps.location[image], anchors[0], steps.logit[image], steps.deltas[image]
        levels = zip(*(each.split(grid.counts) for each in values), strict=True)
        kept = [self.may_hold(location, others) for location, *others in levels]
        boxes, logits, deltas = zip(*kept, strict=True)
        return (
            [*map(Boxes, boxes)],
            [each[None] for each in logits],
            [each[None] for each in deltas],
        )

    def _refuse_nonfinite_steps(self, grid, steps):
        logit, deltas = steps.logit + steps.location, torch.cat((steps.anchor, steps.deltas), -1)
        levels = (values.split(grid.counts, 1) for values in (logit, deltas))
        for level in zip(self.in_features, *levels, strict=True):
            self.refuse_nonfinite_level(*level)


def center_targets(grid: Grid, truths: list[Instances]) -> Targets:
    """Targets of N images: positives near the truths' centres, of one class."""
    assign = class_agnostic(center_share)
    return Targets.stack([assign(grid, t.gt_boxes.tensor, t.gt_classes, 1) for t in truths])


def shared_settings(spec: Spec, strides: dict[str, int]) -> dict[str, Any]:
    """What both networks pass on to detectron2's RPN."""
    stage, steps = spec.first_stage, list(strides.values())

    def squares(maps):
        sizes = [level.shape[-2:] for level in maps]
        return locations(sizes, torch.tensor(steps, device=maps[0].device), zoom=spec.zoom)

    return {
        "in_features": list(strides),
        "anchor_generator": squares,
        "batch_size_per_image": 256,
        "positive_fraction": 0.5,
        "pre_nms_topk": (stage.pre_nms, spec.test.pre_nms),
        "post_nms_topk": (stage.proposals, spec.test.proposals),
        "nms_thresh": stage.nms,
        "loss_weight": stage.weight,
    }


def small(module: nn.Module) -> None:
    """Initialise convolutions as detectron2's RPN does."""
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.normal_(conv.weight, std=0.01)
            if conv.bias is not None:
                nn.init.constant_(conv.bias, 0)


def joined(levels: list[tuple[Tensor, ...]]) -> Steps:
    """The maps of all levels, of each the four fields of Steps, as one."""
    fields = [torch.cat([rows(level) for level in maps], 1) for maps in zip(*levels, strict=True)]
    location, anchor, logit, deltas = fields
    return Steps(location[..., 0], anchor, logit[..., 0], deltas)
