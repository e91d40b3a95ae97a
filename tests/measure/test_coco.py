"""Evaluation against pycocotools as the oracle, and its laws."""

import contextlib
import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from p2s.measure import coco as evaluation
from p2s.measure.coco import coco_numbers, detect, evaluate, proposal_recall
from p2s.spec import Test as Settings

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def truths(seed, images=12, classes=3):
    """A data set of random boxes, some of them crowds, whose first image is empty."""
    rng = np.random.default_rng(seed)
    annotations = [[] for _ in range(images)]
    for number in range(images * 5):
        box = [*rng.uniform(0, 200, 2), *rng.uniform(5, 180, 2)]
        annotation = {"id": 1 + number, "bbox": box, "area": box[2] * box[3] * rng.uniform(0.3, 1)}
        annotation["iscrowd"] = int(rng.random() < 0.15)
        annotation["category_id"] = int(rng.integers(classes)) * 7
        annotations[rng.integers(1, images)].append(annotation)
    return SimpleNamespace(
        images=[{"id": 900 - i, "width": 400, "height": 400} for i in range(images)],
        classes=[f"class {k}" for k in range(classes)],
        category_ids=[7 * k for k in range(classes)],
        annotations=annotations,
    )


def instances(boxes, scores, classes):
    boxes = Boxes(torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4))
    scores = torch.tensor(scores, dtype=torch.float64)
    fields = {"pred_boxes": boxes, "scores": scores, "pred_classes": torch.tensor(classes).long()}
    return Instances((400, 400), **fields, proposal_boxes=boxes, objectness_logits=scores)


def guesses(data, seed, noise, extra=20):
    """Truths moved by `noise` pixels, beside `extra` random boxes; nothing in the last image."""
    rng = np.random.default_rng(seed)
    detections = []
    for of_image in data.annotations[:-1]:
        moved = [np.array(annotation["bbox"]) + rng.normal(0, noise, 4) for annotation in of_image]
        boxes = np.array([*moved, *rng.uniform(5, 150, (extra, 4))]).reshape(-1, 4)
        boxes[:, 2:] = boxes[:, :2] + boxes[:, 2:].clip(1)
        classes = [annotation["category_id"] // 7 for annotation in of_image]
        classes += rng.integers(0, len(data.classes), extra).tolist()
        detections.append(instances(boxes, rng.random(len(boxes)), classes))
    return [*detections, instances([], [], [])]


def perfect(data):
    detections = []
    for of_image in data.annotations:
        boxes = np.array([annotation["bbox"] for annotation in of_image]).reshape(-1, 4)
        classes = [annotation["category_id"] // 7 for annotation in of_image]
        detections.append(
            instances(boxes + [0, 0, 1, 1] * boxes[:, [0, 1, 0, 1]], [0.5] * len(boxes), classes)
        )
    return detections


def oracle(data, detections, **params):
    ids, truth = [image["id"] for image in data.images], COCO()
    boxes = [
        {**annotation, "image_id": i}
        for i, of in zip(ids, data.annotations, strict=True)
        for annotation in of
    ]
    categories = [{"id": k, "name": str(k)} for k in data.category_ids]
    truth.dataset = {"images": data.images, "annotations": boxes, "categories": categories}
    rows = [
        [image, x, y, right - x, bottom - y, score, 7 * label]
        for image, of_image in zip(ids, detections, strict=True)
        for (x, y, right, bottom), score, label in zip(
            of_image.pred_boxes.tensor.tolist(),
            of_image.scores.tolist(),
            of_image.pred_classes.tolist(),
            strict=True,
        )
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        scorer = COCOeval(truth, truth.loadRes(np.array(rows)), "bbox")
        scorer.params.__dict__.update(params)
        scorer.evaluate()
        scorer.accumulate()
        if not params:
            scorer.summarize()
    return scorer


@pytest.mark.parametrize("seed", range(5))
def test_the_12_numbers_are_those_of_pycocotools(seed):
    data = truths(seed)
    detections = guesses(data, seed, noise=4.0 * seed)
    wanted = dict(zip(NAMES, oracle(data, detections).stats, strict=True))
    numbers = coco_numbers(data, detections)
    assert {k: numbers[k] for k in NAMES} == pytest.approx(
        {k: 100 * v if v > -1 else float("nan") for k, v in wanted.items()}, abs=1e-6, nan_ok=True
    )


def test_class_ap_is_that_of_pycocotools_and_its_mean_is_ap():
    data = truths(1)
    detections = guesses(data, 1, noise=5)
    precision = oracle(data, detections).eval["precision"][:, :, :, 0, 2]
    numbers = coco_numbers(data, detections)
    assert list(numbers["per_class"]) == data.classes
    assert [*numbers["per_class"].values()] == pytest.approx(100 * precision.mean((0, 1)), abs=1e-6)
    assert np.mean([*numbers["per_class"].values()]) == pytest.approx(numbers["AP"])


def test_proposal_recall_is_that_of_pycocotools_without_classes():
    data = truths(2)
    detections = guesses(data, 2, noise=8, extra=300)
    wanted = oracle(data, detections, useCats=0, maxDets=[100, 256]).eval["recall"][:, 0, 0].mean(0)
    recall = proposal_recall(data, detections)
    assert recall["proposal_AR100"] == pytest.approx(100 * wanted[0], abs=1e-6)
    assert recall["proposal_AR256"] == pytest.approx(100 * wanted[1], abs=1e-6)
    assert recall["proposal_AR256"] > recall["proposal_AR100"]
    assert recall["proposals_per_image"] == np.mean([len(of_image) for of_image in detections])


def test_perfect_detections_score_100_and_none_score_0():
    data = truths(3)
    nothing = [instances([], [], []) for _ in data.images]
    assert coco_numbers(data, perfect(data))["AP"] == pytest.approx(100)
    assert proposal_recall(data, perfect(data))["proposal_AR100"] == pytest.approx(100)
    assert coco_numbers(data, nothing)["AP"] == 0
    assert proposal_recall(data, nothing) == dict(
        proposal_AR100=0, proposal_AR256=0, proposal_AR=0, proposals_per_image=0
    )


def test_the_order_of_images_changes_nothing():
    data = truths(4)
    detections, order = guesses(data, 4, noise=6), np.random.default_rng(0).permutation(12)
    other = SimpleNamespace(**vars(data))
    other.images, other.annotations = (
        [listed[i] for i in order] for listed in (data.images, data.annotations)
    )
    assert coco_numbers(other, [detections[i] for i in order]) == coco_numbers(data, detections)


def test_crowds_cost_nothing_when_found_and_nothing_when_missed():
    data = truths(5)
    detections = perfect(data)
    for i, of_image in enumerate(data.annotations):
        detections[i] = detections[i][
            torch.tensor([not annotation["iscrowd"] for annotation in of_image], dtype=torch.bool)
        ]
    assert coco_numbers(data, detections)["AP"] == pytest.approx(100)


def test_without_any_truth_numbers_are_undefined_and_nothing_fails():
    data = truths(6)
    data.annotations = [[] for _ in data.images]
    numbers = coco_numbers(data, guesses(data, 6, noise=0))
    assert np.isnan(numbers["AP"]) and np.isnan(numbers["per_class"]["class 0"])


def test_evaluate_detects_image_by_image_with_the_test_settings(monkeypatch):
    data, calls = truths(7), []
    detections = perfect(data)

    class Stub(torch.nn.Module):
        def set_test(self, test):
            calls.append(test)

        def detect(self, inputs):
            assert not self.training and torch.is_inference_mode_enabled()
            return [detections[i] for i in inputs], [detections[i] for i in inputs]

    monkeypatch.setattr(evaluation, "test_inputs", lambda data, i, test: i)
    numbers = evaluate(Stub(), data, Settings(nms=0.3))
    assert calls == [Settings(nms=0.3)] * len(data.images)
    assert numbers == {**coco_numbers(data, detections), **proposal_recall(data, detections)}
    assert len(detect(Stub(), data, Settings())[0]) == len(data.images)


WRONG = {  # what is done to a perfect detection (box xyxy, class), by TIDE's name of the error
    "Cls": lambda box, label: (box, (label + 1) % 3),
    "Loc": lambda box, label: (
        box + [0.4, 0, 0.4, 0] * (box[[2, 3, 2, 3]] - box[[0, 1, 0, 1]]),
        label,
    ),
    "Bkg": lambda box, label: (np.array([390, 390, 399, 399]), label),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_error_of_each_kind_is_told_by_its_name(name):
    box = np.array([10.0, 20, 110, 90])
    data = truths(0, images=3)
    item = {"id": 1, "bbox": [10, 20, 100, 70], "area": 7000, "iscrowd": 0, "category_id": 7}
    data.annotations = [[item], [item], [item | {"category_id": 14}]]
    wrong, label = WRONG[name](box, 1)
    detections = [instances([box, wrong], [0.5, 0.9], [1, label])] + [
        instances([box], [0.5], [k]) for k in (1, 2)
    ]
    errors = {key: coco_numbers(data, detections)[f"TIDE_{key}"] for key in evaluation.ERRORS}
    assert errors.pop(name) > 0 and not any(errors.values())
    missed = coco_numbers(data, [instances([], [], []), *detections[1:]])
    assert missed["TIDE_Miss"] > 0 and missed["TIDE_Bkg"] == 0
