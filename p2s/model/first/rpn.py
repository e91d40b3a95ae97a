"""The region proposal network: detectron2's, on the contract of `first_stage`."""

from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.proposal_generator.rpn import RPN, StandardRPNHead

from p2s.model.first.dense import to_logit
from p2s.model.first.heads import keep_gain

SCALES = {
    "rpn": (1.0,),
    "retinanet": (1.0, 2 ** (1 / 3), 2 ** (2 / 3)),
}  # of the anchors of a level


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
            refuse_nonfinite(level, *maps)
        proposals = super().predict_proposals(anchors, logits, deltas, image_sizes)
        if self.training:
            return proposals
        return [each[each.objectness_logits > self.test_floor] for each in proposals]


def rpn(spec, strides: dict[str, int], channels: int) -> FlooredRPN:
    """detectron2's RPN: anchors of 32 pixels on the finest level, twice that on each next.

    Every number not in the Spec is detectron2's default (Base-RCNN-FPN).
    """
    stage = spec.first_stage
    ratios, scales = [0.5, 1.0, 2.0], SCALES[stage.anchors]
    sizes = [[32.0 * 2**index * scale for scale in scales] for index in range(len(strides))]
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
        anchor_matcher=Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True),
        box2box_transform=Box2BoxTransform(weights=(1.0, 1.0, 1.0, 1.0)),
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


def refuse_nonfinite(level, logit, deltas):
    """FloatingPointError with level and image unless (N, A) and (N, A, 4) values are finite."""
    bad = ~(logit.isfinite() & deltas.isfinite().all(-1))  # (N, A)
    if bad.any():
        image = bad.any(1).nonzero()[0].item()
        raise FloatingPointError(f"non-finite score or box at level {level}, image {image}")
