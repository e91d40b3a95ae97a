"""The federated oracle: against the full truth, by hand and by brute force."""

import json

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from test_zoo import TINY

from p2s import oracle
from p2s.data import glyphs
from p2s.evaluate import coco_numbers, detect
from p2s.spec import Glyphs, Spec
from p2s.zoo import build

DATA = Glyphs(seed=1, train=20, val=16, size=64, classes=12, imbalance="lvis", federated=True)


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    """A detector of random weights, the validation scenes and the Spec."""
    spec = Spec.named("FasterRCNN-CenterNet").changed({**TINY, "num_classes": 12})
    test = {"short_edge": 64, "long_edge": 64, "score_threshold": 0.0}
    spec = spec.changed({"data": DATA.model_dump(), "test": test})
    torch.manual_seed(0)
    _, val = glyphs.load(DATA, tmp_path_factory.mktemp("scenes"))
    return build(spec).eval(), val, spec


def test_both_parts_are_all_objects_and_the_full_truth_is_that_of_coco(tested):
    model, val, spec = tested
    found = oracle.measure(model, val, spec)
    whole = glyphs.full_truth(val, "val")
    assert found["annotated"]["objects"] == sum(map(len, val.annotations)) > 0
    both = sum(found[name]["objects"] for name in oracle.PARTS)
    assert both == sum(map(len, whole.annotations)) > found["annotated"]["objects"]
    json.dumps(found, allow_nan=False)  # a record's
    detections, _ = detect(model, val, spec.test)
    assert found["full"]["AP"] == pytest.approx(coco_numbers(whole, detections)["AP"], abs=1e-3)


def test_the_likeliest_proposal_is_that_of_a_loop():
    torch.manual_seed(0)
    corner = torch.rand(30, 2) * 40
    boxes = torch.cat((corner, corner + 20 + torch.rand(30, 2) * 20), 1)
    proposals = Instances(
        (80, 80), proposal_boxes=Boxes(boxes[6:]), objectness_logits=torch.randn(24)
    )
    found = oracle.likeliest(boxes[:6], proposals).tolist()
    iou = oracle.pairwise_iou(Boxes(boxes[:6]), Boxes(boxes[6:]))
    for k, value in enumerate(found):
        on = proposals.objectness_logits[iou[k] >= 0.5].sigmoid().tolist()
        assert value == pytest.approx(max(on)) if on else np.isnan(value)
    assert oracle.likeliest(boxes[:6], proposals[:0]).isnan().all()
    assert len(oracle.likeliest(boxes[:0], proposals)) == 0


def test_data_without_a_full_truth_are_refused(tested):
    model, val, spec = tested
    plain = spec.changed({"data": {"federated": False}})
    with pytest.raises(ValueError, match="no full truth; valid: glyphs with data.federated"):
        oracle.measure(model, val, plain)
