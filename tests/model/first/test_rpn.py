"""In test an RPN proposes what detectron2's does, above a floor; its own code is the oracle."""

import pytest
import torch
from detectron2.modeling.proposal_generator.proposal_utils import find_top_rpn_proposals

from p2s.maths.selection import to_logit
from p2s.model.zoo import first_stage
from p2s.spec import Spec

STRIDES = {"p3": 8, "p4": 16, "p5": 32}
SIZES = [(96, 120), (80, 128)]  # of two images


@pytest.mark.parametrize("floor", [0.0, 0.3])
@pytest.mark.parametrize(("pre_nms", "proposals"), [(60, 40), (1000, 500)])
def test_proposals_in_test_are_detectron2s_above_the_floor(floor, pre_nms, proposals):
    test = {"pre_nms": pre_nms, "proposals": proposals, "proposal_floor": floor}
    stage = first_stage(Spec.named("FasterRCNN-RPN").changed({"test": test}), STRIDES, 8).eval()
    torch.manual_seed(0)
    maps = [torch.zeros(2, 8, 128 // stride, 128 // stride) for stride in STRIDES.values()]
    anchors = stage.anchor_generator(maps)
    logits = [torch.randn(2, len(of_level)) for of_level in anchors]
    deltas = [torch.randn(2, len(of_level), 4) / 2 for of_level in anchors]
    ours = stage.predict_proposals(anchors, logits, deltas, SIZES)
    boxes = stage._decode_proposals(anchors, deltas)
    settings = test["pre_nms"], test["proposals"], 0.0, False
    nms = stage.test_selection.nms
    theirs = find_top_rpn_proposals(boxes, logits, SIZES, nms, *settings)
    for found, wanted in zip(ours, theirs, strict=True):
        wanted = wanted[wanted.objectness_logits > to_logit(floor)]
        assert len(found) == len(wanted) > 10
        assert torch.equal(found.objectness_logits, wanted.objectness_logits)
        assert torch.equal(found.proposal_boxes.tensor, wanted.proposal_boxes.tensor)
