"""The region proposal network: detectron2's, on the contract of `first_stage`."""

import torch
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.box_regression import _dense_box_regression_loss
from detectron2.modeling.proposal_generator.rpn import RPN, StandardRPNHead
from detectron2.structures import Boxes, Instances
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from p2s.maths.finite import finite_rows, refuse_nonfinite
from p2s.maths.selection import select
from p2s.model.first.candidates import (
    Candidates,
    Selection,
    likeliest,
    proposal_selection,
    rows_at,
    suppress,
)
from p2s.model.first.heads import keep_gain
from p2s.model.regions import Matching, Transform
from p2s.spec import Spec, Test

SCALES = {
    "rpn": (1.0,),
    "retinanet": (1.0, 2 ** (1 / 3), 2 ** (2 / 3)),
}  # of the anchors of a level


class FlooredRPN(RPN):
    """detectron2's RPN, which selects as all first stages do: in test with a floor on P(O).

    `select` and `check` are what selects and what refuses values that are not finite; another of
    their like may take their place.
    """

    select = staticmethod(select)
    check = staticmethod(refuse_nonfinite)

    def set_test(self, test: Test) -> None:
        """Propose by these settings (spec.Test) from now on; no weight changes."""
        self.test_selection = proposal_selection(test)

    @property
    def train_selection(self) -> Selection:
        """That of training: detectron2's, without a floor."""
        counts = self.pre_nms_topk[True], self.nms_thresh, self.post_nms_topk[True]
        return Selection(0.0, *counts)

    def losses(
        self,
        anchors: list[Boxes],
        logits: list[Tensor],
        labels: list[Tensor],
        deltas: list[Tensor],
        boxes: list[Tensor],
    ) -> dict[str, Tensor]:
        """As detectron2's, less its counts, for which a device would be waited for."""
        label = torch.stack(labels)  # (N, A)
        known, coding = label >= 0, (self.box2box_transform, deltas, boxes, label == 1)
        box = _dense_box_regression_loss(anchors, *coding, smooth_l1_beta=self.smooth_l1_beta)
        objectness = binary_cross_entropy_with_logits(
            torch.cat(logits, 1)[known], label[known].float(), reduction="sum"
        )
        regions = self.batch_size_per_image * len(labels)
        losses = {"loss_rpn_cls": objectness / regions, "loss_rpn_loc": box / regions}
        return {name: self.loss_weight[name] * loss for name, loss in losses.items()}

    def predict_proposals(
        self,
        anchors: list[Boxes],
        logits: list[Tensor],
        deltas: list[Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Instances]:
        """As detectron2's, by the test's own selection in test.

        FloatingPointError, naming level and image, if a prediction is not finite.
        """
        for level, *values in zip(self.in_features, logits, deltas, strict=True):
            self.refuse_nonfinite_level(level, *values)
        selection = self.train_selection if self.training else self.test_selection
        candidates = self.candidates(anchors, logits, deltas, selection.pre_nms)
        return [
            _proposals(size, suppress(candidates[n], size, selection, self.select))
            for n, size in enumerate(image_sizes)
        ]

    @torch.no_grad()
    def candidates(
        self, anchors: list[Boxes], logits: list[Tensor], deltas: list[Tensor], count: int
    ) -> Candidates:
        """The `count` likeliest of each level of N images, decoded; a level is a class to NMS."""
        boxes = torch.cat(self._decode_proposals(anchors, deltas), 1)  # (N, A, 4)
        counts = tuple(len(of_level) for of_level in anchors)
        best = likeliest(torch.cat(logits, 1)[..., None], counts, count)
        return Candidates(rows_at(boxes, best.location), best.logit, best.level, best.level)

    def refuse_nonfinite_level(self, level: str, logit: Tensor, deltas: Tensor) -> None:
        """FloatingPointError unless logits (N, A) and deltas (N, A, C) of a level are finite."""
        finite = finite_rows(logit[..., None], deltas)  # (N, A)
        self.check(finite, lambda bad: f"score or box at level {level}, image {_first_image(bad)}")


def rpn(spec: Spec, strides: dict[str, int], channels: int) -> FlooredRPN:
    """detectron2's RPN: anchors of 32 pixels on the finest level, twice that on each next, zoomed.

    Every number not in the Spec is detectron2's default (Base-RCNN-FPN).
    """
    stage = spec.first_stage
    ratios, scales = [0.5, 1.0, 2.0], SCALES[stage.design.anchors]
    sizes = [
        [32.0 * spec.zoom * 2**index * scale for scale in scales] for index in range(len(strides))
    ]
    network = FlooredRPN(
        in_features=list(strides),
        head=StandardRPNHead(
            in_channels=channels,
            num_anchors=len(ratios) * len(scales),
            conv_dims=[-1] * stage.layers,
        ),
        anchor_generator=DefaultAnchorGenerator(
            sizes=sizes, aspect_ratios=[ratios], strides=list(strides.values()), offset=0.0
        ),
        anchor_matcher=Matching([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True),
        box2box_transform=Transform(weights=(1.0, 1.0, 1.0, 1.0)),
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_topk=(stage.pre_nms, spec.test.pre_nms),
        post_nms_topk=(stage.proposals, spec.test.proposals),
        nms_thresh=stage.nms,
        loss_weight=stage.weight,
    )
    if stage.layers > 1:
        keep_gain(network.rpn_head.conv)
    network.set_test(spec.test)
    return network


def _first_image(bad):
    return bad.any(1).nonzero()[0].item()


def _proposals(image_size, candidates):
    # Without `level`: the second stage says then at which one it pools the region.
    boxes, logit = Boxes(candidates.boxes), candidates.logit
    return Instances(image_size, proposal_boxes=boxes, objectness_logits=logit)
