"""First stages, which infer P(O), over one contract: that of detectron2's RPN.

`stage(images, features, gt_instances=None) -> (list[Instances], losses)`; the Instances have
`proposal_boxes` and `objectness_logits`, log p / (1 - p), likeliest first. `stage.in_features`
names the features it reads; `stage.set_test(test)` applies a spec.Test at any time.
`strides` maps the features' names to their strides, the finest first.
"""

from functools import partial

from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.proposal_generator.rpn import RPN, StandardRPNHead
from detectron2.structures import Boxes, Instances

from p2s.assign import as_assigned, center_peaks, near_center_positives, object_peaks
from p2s.dense import (
    DenseHead,
    DenseProposer,
    Objective,
    Selection,
    separate_towers,
    shared_tower,
    to_logit,
)
from p2s.losses import peak_focal

TRAINING_FLOOR = 1e-4  # P(O); C2


class FirstStage(DenseProposer):
    """A class-agnostic dense detector that hands on proposals, their P(O) and level."""

    def set_test(self, test):
        """Propose by these settings (spec.Test) from now on; no weight changes."""
        self.test_selection = _proposal_selection(test)

    def instances(self, image_size, candidates):
        """Proposals, with `level` 3 for P3."""
        return Instances(
            image_size,
            proposal_boxes=Boxes(candidates.boxes),
            objectness_logits=candidates.logit,
            level=candidates.level,
        )


class OneStage(DenseProposer):
    """A K-class dense detector: P(C) at once, there is no second factor."""

    def set_test(self, test):
        """Detect by these settings (spec.Test) from now on; no weight changes."""
        self.test_selection = _detection_selection(test)

    def instances(self, image_size, candidates):
        """Detections; `p_object` is the score, `p_class` is 1."""
        scores = candidates.logit.sigmoid()
        return Instances(
            image_size,
            pred_boxes=Boxes(candidates.boxes),
            scores=scores,
            pred_classes=candidates.classes,
            p_object=scores,
            p_class=scores.new_ones(len(scores)),
            level=candidates.level,
        )


class FlooredRPN(RPN):
    """detectron2's RPN with an NMS threshold and a floor on P(O) that hold in test only."""

    @property
    def nms_thresh(self):
        """IoU above which the less likely proposal goes, in training or in test."""
        return self._nms[self.training]

    @nms_thresh.setter
    def nms_thresh(self, iou):
        self._nms = {True: iou, False: iou}

    def set_test(self, test):
        """Propose by these settings (spec.Test) from now on; no weight changes."""
        self.pre_nms_topk[False] = test.pre_nms
        self.post_nms_topk[False] = test.proposals
        self._nms[False] = test.proposal_nms
        self.test_floor = to_logit(test.proposal_floor)

    def predict_proposals(self, anchors, logits, deltas, image_sizes):
        """As detectron2's; a floor after NMS leaves what a floor before it would.

        FloatingPointError, naming level and image, if a prediction is not finite: in test
        detectron2's own would drop it silently.
        """
        for level, *maps in zip(self.in_features, logits, deltas, strict=True):
            _refuse_nonfinite(level, *maps)
        proposals = super().predict_proposals(anchors, logits, deltas, image_sizes)
        if self.training:
            return proposals
        return [each[each.objectness_logits > self.test_floor] for each in proposals]


def rpn(spec, strides: dict[str, int], channels: int) -> FlooredRPN:
    """detectron2's RPN: anchors of 32 pixels on the finest level, twice that on each next.

    Every number not in the Spec is detectron2's default (Base-RCNN-FPN).
    """
    stage = spec.first_stage
    ratios = [0.5, 1.0, 2.0]
    sizes = [[32.0 * 2**index] for index in range(len(strides))]
    network = FlooredRPN(
        in_features=list(strides),
        head=StandardRPNHead(
            in_channels=channels, num_anchors=len(ratios), conv_dims=[-1] * stage.layers
        ),
        anchor_generator=DefaultAnchorGenerator(
            sizes=sizes, aspect_ratios=[ratios], strides=list(strides.values()), offset=0.0
        ),
        anchor_matcher=Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True),
        box2box_transform=Box2BoxTransform(weights=(1.0, 1.0, 1.0, 1.0)),
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_topk=(stage.pre_nms, spec.test.pre_nms),
        post_nms_topk=(stage.proposals, spec.test.proposals),
        nms_thresh=stage.nms,
        loss_weight=stage.weight,
    )
    network.set_test(spec.test)
    return network


def centernet(spec, strides: dict[str, int], channels: int) -> FirstStage:
    """CenterNet* as a first stage: one class, one tower for scores and boxes (Sec. 5)."""
    stage = spec.first_stage
    towers = shared_tower(channels, stage.layers)
    return FirstStage(
        head=DenseHead(towers, channels, 1, len(strides)),
        strides=strides,
        objective=_center_objective(stage, object_peaks),
        train_selection=Selection(TRAINING_FLOOR, stage.pre_nms, stage.nms, stage.proposals),
        test_selection=_proposal_selection(spec.test),
    )


def dense_detector(spec, strides: dict[str, int], channels: int) -> OneStage:
    """CenterNet* as a one-stage detector: K classes, separate towers (Sec. 5).

    In training it returns losses and no detections.
    """
    towers = separate_towers(channels, spec.first_stage.layers)
    return OneStage(
        head=DenseHead(towers, channels, spec.num_classes, len(strides)),
        strides=strides,
        objective=_center_objective(spec.first_stage, center_peaks),
        train_selection=None,
        test_selection=_detection_selection(spec.test),
    )


def _refuse_nonfinite(level, logit, deltas):
    bad = ~(logit.isfinite() & deltas.isfinite().all(-1))  # (N, A)
    if bad.any():
        image = bad.any(1).nonzero()[0].item()
        raise FloatingPointError(f"non-finite score or box at level {level}, image {image}")


def _center_objective(stage, assign):
    ignore_above = 1.0 if stage.ignore_above is None else stage.ignore_above
    return Objective(
        assign=assign,
        refine=near_center_positives if stage.extra_positives else as_assigned,
        score_loss=partial(peak_focal, ignore_above=ignore_above),
        weight=stage.weight,
    )


def _proposal_selection(test):
    return Selection(test.proposal_floor, test.pre_nms, test.proposal_nms, test.proposals)


def _detection_selection(test):
    return Selection(test.score_threshold, test.pre_nms, test.nms, test.detections)
