"""The federated oracle: against the full truth, by hand and by brute force."""

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances, pairwise_iou

from p2s.data import glyphs
from p2s.measure import oracle
from p2s.measure.coco import coco_numbers, detect, proposal_recall
from p2s.measure.lvis import federated_numbers, full_numbers
from p2s.model.zoo import build
from p2s.spec import Glyphs, Spec
from tests.support.tiny import TINY

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


def test_the_full_truth_is_that_of_coco_and_both_parts_are_all_of_it(tested):
    model, val, spec = tested
    found = detect(model, val, spec.test)
    numbers, whole = oracle.full_truth_numbers(val, *found), glyphs.full_truth(val, "val")
    assert numbers["AP_full"] == pytest.approx(coco_numbers(whole, found[0])["AP"])
    recall = {part: numbers[f"AR_{part}"] for part in oracle.PARTS}
    share = sum(map(len, val.annotations)) / sum(map(len, whole.annotations))
    assert 0.2 < share < 0.8 and max(recall.values()) > 0
    mean = share * recall["annotated"] + (1 - share) * recall["unannotated"]
    # A proposal may serve an object of each part, but only one of all.
    assert mean >= proposal_recall(whole, found[1])["proposal_AR"] - 1e-6


def test_all_objects_found_are_100_in_every_number(tested):
    _, val, _ = tested
    whole = glyphs.full_truth(val, "val")
    boxes = [[torch.as_tensor(each) for each in whole.boxes(i)[:2]] for i in range(len(whole))]
    sure = [{"scores": torch.ones(len(label)), "pred_classes": label} for _, label in boxes]
    found = [
        Instances((64, 64), pred_boxes=Boxes(box), **rest)
        for (box, _), rest in zip(boxes, sure, strict=True)
    ]
    proposed = [
        Instances(
            (64, 64), proposal_boxes=one.pred_boxes, objectness_logits=50 * torch.ones(len(one))
        )
        for one in found
    ]
    numbers = oracle.full_truth_numbers(val, found, proposed)
    assert numbers == {name: pytest.approx(100) for name in numbers} and len(numbers) == 8


def test_a_false_box_costs_the_full_ap_of_its_class_alone(tested):
    _, val, _ = tested
    whole = glyphs.full_truth(val, "val")
    labels = [set(whole.boxes(index)[1].tolist()) for index in range(len(whole))]
    image, wrong = next(
        (i, k)
        for i, here in enumerate(labels)
        for k in range(12)
        if k not in here | val.negatives[i]
    )
    found = []
    for index in range(len(whole)):
        boxes, label = (torch.as_tensor(each).float() for each in whole.boxes(index)[:2])
        score = torch.full((len(label),), 0.5)
        if index == image:  # unlike any object, and surer than all
            boxes = torch.cat((boxes, torch.tensor([[0.0, 0, 3, 3]])))
            label, score = (
                torch.cat((label, torch.tensor([wrong]))),
                torch.cat((score, torch.ones(1))),
            )
        found.append(
            Instances((64, 64), pred_boxes=Boxes(boxes), scores=score, pred_classes=label.long())
        )
    full = full_numbers(whole, found, val.groups)
    assert {k for k, name in enumerate(val.classes) if full["per_class"][name] < 99.9} == {wrong}
    group = next(name for name, classes in val.groups.items() if wrong in classes)
    assert {name for name in "rcf" if full[f"AP{name}"] < 99.9} == {group}
    assert federated_numbers(val, found)["AP"] == pytest.approx(100)  # of it nothing is known there


def test_p_object_is_of_the_proposals_of_an_objects_own_image(tested):
    _, val, _ = tested
    whole, logits = glyphs.full_truth(val, "val"), torch.linspace(-2, 2, len(val))
    boxes = [torch.as_tensor(whole.boxes(index)[0]) for index in range(len(whole))]
    proposed = [
        Instances((64, 64), proposal_boxes=Boxes(box), objectness_logits=logit.expand(len(box)))
        for box, logit in zip(boxes, logits, strict=True)
    ]
    nothing = {"scores": torch.zeros(0), "pred_classes": torch.zeros(0, dtype=torch.int64)}
    found = [Instances((64, 64), pred_boxes=Boxes(torch.zeros(0, 4)), **nothing) for _ in boxes]
    numbers = oracle.full_truth_numbers(val, found, proposed)
    for part in oracle.PARTS:
        kept = glyphs.part(whole, part == "annotated").annotations
        counts = torch.tensor([len(items) for items in kept])
        mean = (counts * logits.sigmoid()).sum() / counts.sum()
        assert numbers[f"p_object_{part}"] == pytest.approx(100 * float(mean))


def test_the_likeliest_proposal_is_that_of_a_loop():
    torch.manual_seed(0)
    corner = torch.rand(30, 2) * 40
    boxes = torch.cat((corner, corner + 20 + torch.rand(30, 2) * 20), 1)
    proposals = Instances(
        (80, 80), proposal_boxes=Boxes(boxes[6:]), objectness_logits=torch.randn(24)
    )
    found = oracle.likeliest(boxes[:6], proposals).tolist()
    iou = pairwise_iou(Boxes(boxes[:6]), Boxes(boxes[6:]))
    for k, value in enumerate(found):
        on = proposals.objectness_logits[iou[k] >= 0.5].sigmoid().tolist()
        assert value == pytest.approx(max(on)) if on else np.isnan(value)
    assert oracle.likeliest(boxes[:6], proposals[:0]).isnan().all()
    assert len(oracle.likeliest(boxes[:0], proposals)) == 0
