"""What becomes of each claim, against the rule in words, hotcoco's own calibration, and laws."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances

from p2s.measure import coco
from p2s.measure.calibration import calibration_numbers, judge_scores, judge_stages, tide
from p2s.measure.calibration_errors import BINS, Judged, d_ece
from p2s.measure.rows import Rows
from p2s.spec import Spec

CLASSES, SIDE = 3, 300


def scenes(seed, images=8):
    """A data set of random boxes, a quarter of them crowds; its first image is empty."""
    rng = np.random.default_rng(seed)
    annotations = [[] for _ in range(images)]
    for image in range(1, images):
        for box in np.hstack([rng.uniform(0, 200, (6, 2)), rng.uniform(20, 120, (6, 2))]):
            label, crowd = 7 * int(rng.integers(CLASSES)), int(rng.random() < 0.25)
            annotation = {"bbox": box.tolist(), "category_id": label, "iscrowd": crowd}
            annotations[image].append(annotation)
    return data_set(annotations)


def data_set(annotations):
    return SimpleNamespace(
        images=[{"id": 9 + i, "width": SIDE, "height": SIDE} for i in range(len(annotations))],
        classes=[f"class {k}" for k in range(CLASSES)],
        category_ids=[7 * k for k in range(CLASSES)],
        annotations=annotations,
    )


def guesses(data, seed, noise=12.0, copies=4):
    """Detections, as many proposals: each truth moved `copies` times; none in the last image."""
    rng = np.random.default_rng(seed)
    guessed = []
    for of_image in data.annotations[:-1]:
        truth = np.array([annotation["bbox"] for annotation in of_image] * copies).reshape(-1, 4)
        boxes = truth + rng.normal(0, noise, truth.shape)
        boxes[:, 2:] = boxes[:, :2] + boxes[:, 2:].clip(5)
        labels = np.array([annotation["category_id"] // 7 for annotation in of_image] * copies, int)
        wrong = rng.random(len(labels)) < 0.3
        guessed.append(instances(boxes, np.where(wrong, (labels + 1) % CLASSES, labels), rng))
    return [*guessed, instances(np.zeros((0, 4)), np.zeros(0, int), rng)]


def instances(boxes, labels, rng):
    p_object, p_class = torch.from_numpy(rng.uniform(0.01, 1, (2, len(boxes))))
    boxes = Boxes(torch.from_numpy(boxes))
    return Instances(
        (SIDE, SIDE),
        pred_boxes=boxes,
        pred_classes=torch.from_numpy(labels),
        scores=p_object * p_class,
        p_object=p_object,
        p_class=p_class,
        proposal_boxes=boxes,
        objectness_logits=p_object.logit(),
    )


def iou(a, b, crowd=False):
    """Of two boxes x, y, width, height; of a crowd the share of `a` that lies on it."""
    sides = [max(0, min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i])) for i in (0, 1)]
    common, size, other = sides[0] * sides[1], a[2] * a[3], b[2] * b[3]
    return common / (size if crowd else size + other - common)


def in_words(boxes, labels, probs, truths):
    """The rule of an image as `calibration` words it: one (prob, hit, IoU) a claim that counts.

    Labels are None where classes do not count.
    """
    taken, counted = set(), []
    for box, label, prob in sorted(
        zip(boxes, labels, probs, strict=True), key=lambda claim: -claim[2]
    ):
        mine = [(k, t) for k, t in enumerate(truths) if label in (None, t["category_id"] // 7)]
        free = [(iou(box, t["bbox"]), k) for k, t in mine if not t["iscrowd"] and k not in taken]
        best, k = max(free, default=(0, None))
        if best >= 0.5:
            taken.add(k)
            counted.append((prob, True, best))
        elif not any(t["iscrowd"] and iou(box, t["bbox"], True) >= 0.5 for _, t in mine):
            counted.append((prob, False, 0))
    return counted


def claims(judged):
    return sorted(zip(judged.prob.tolist(), judged.hit.tolist(), judged.iou.tolist(), strict=True))


def by_image(data, detections, label_of, prob_of):
    rows = []
    for of_image, truths in zip(detections, data.annotations, strict=True):
        boxes = of_image.pred_boxes.tensor.clone()
        boxes[:, 2:] -= boxes[:, :2]
        rows += in_words(boxes.tolist(), label_of(of_image), prob_of(of_image).tolist(), truths)
    return sorted(rows)


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_matched_class_by_class_as_the_rule_says(seed):
    data = scenes(seed)
    detections = guesses(data, seed)
    wanted = by_image(data, detections, lambda e: e.pred_classes.tolist(), lambda e: e.scores)
    assert len({hit for _, hit, _ in wanted}) == 2 and len(wanted) < sum(map(len, detections))
    assert np.array(claims(judge_scores(data, detections))) == pytest.approx(np.array(wanted))


@pytest.mark.parametrize("seed", range(5))
def test_proposals_are_matched_without_classes_as_the_rule_says(seed):
    data = scenes(seed)
    detections = guesses(data, seed, copies=30)  # more than COCO's 100 an image
    wanted = by_image(data, detections, lambda e: [None] * len(e), lambda e: e.p_object)
    assert max(map(len, detections)) > 100
    judged = judge_stages(data, detections, detections)["p_object"]
    assert np.array(claims(judged)) == pytest.approx(np.array(wanted))


@pytest.mark.parametrize("seed", range(5))
def test_on_an_object_is_an_overlap_of_half_and_its_class_that_of_the_largest(seed):
    data = scenes(seed)
    detections = guesses(data, seed)
    near, right = [], []
    for of_image, truths in zip(detections, data.annotations, strict=True):
        objects = [t for t in truths if not t["iscrowd"]]
        crowds = [t["bbox"] for t in truths if t["iscrowd"]]
        for k in range(len(of_image)):
            x, y, x2, y2 = of_image.pred_boxes.tensor[k].tolist()
            box = (x, y, x2 - x, y2 - y)
            best, j = max(((iou(box, t["bbox"]), j) for j, t in enumerate(objects)), default=(0, 0))
            on = best >= 0.5
            if on:
                same = objects[j]["category_id"] // 7 == int(of_image.pred_classes[k])
                right.append((float(of_image.p_class[k]), same, best * same))
            if on or not any(iou(box, crowd, True) >= 0.5 for crowd in crowds):
                near.append((float(of_image.p_object[k]), on, best * on))
    judged = judge_stages(data, detections, detections)
    assert np.array(claims(judged["p_class"])) == pytest.approx(np.array(sorted(right)))
    for name in ("p_object_near", "p_object_after"):
        assert np.array(claims(judged[name])) == pytest.approx(np.array(sorted(near)))


def test_d_ece_of_scores_is_hotcocos_calibration():
    data = scenes(1)
    detections = guesses(data, 2)
    judged = judge_scores(data, detections)
    scorer = coco.scorer_of(data, Rows.of_detections(detections))
    scorer.evaluate()
    theirs = scorer.calibration(BINS, 0.5)
    assert theirs["num_detections"] == len(judged.prob)
    assert d_ece(judged.prob, judged.hit) == pytest.approx(100 * theirs["ece"])


def test_a_threshold_takes_unlikely_claims_away_and_changes_no_other():
    data = scenes(2)
    detections = guesses(data, 3)
    judged = judge_scores(data, detections)
    cut = [of_image[of_image.scores > 0.3] for of_image in detections]
    assert claims(judged.where(judged.score > 0.3)) == claims(judge_scores(data, cut))


def test_neither_the_order_of_images_nor_of_detections_matters():
    data = scenes(3)
    detections, rng = guesses(data, 4), np.random.default_rng(0)
    order = rng.permutation(len(detections))
    shuffled = [detections[i][torch.from_numpy(rng.permutation(len(detections[i])))] for i in order]
    other = data_set([data.annotations[i] for i in order])
    before = judge_stages(data, detections, detections) | {"score": judge_scores(data, detections)}
    after = judge_stages(other, shuffled, shuffled) | {"score": judge_scores(other, shuffled)}
    for name, judged in before.items():
        assert np.array(claims(judged)) == pytest.approx(np.array(claims(after[name])))


def test_detections_of_the_truths_themselves_are_all_right():
    data = scenes(4)
    objects = [[box for box in of if not box["iscrowd"]] for of in data.annotations[:-1]]
    data = data_set([*objects, []])
    detections = guesses(data, 5, noise=0, copies=1)
    for guessed, truths in zip(detections, data.annotations, strict=True):
        guessed.pred_classes = torch.tensor([truth["category_id"] // 7 for truth in truths]).long()
        guessed.scores = torch.ones(len(guessed))
    stages = judge_stages(data, detections, detections)
    for judged in [judge_scores(data, detections), *stages.values()]:
        assert len(judged.hit) and judged.hit.all() and judged.iou == pytest.approx(1)
    assert not any(tide(data, detections)["counts"].values())


def test_a_wrong_class_or_a_duplicate_is_the_error_that_tide_names():
    data = data_set([[{"bbox": [10, 10, 90, 90], "category_id": 0, "iscrowd": 0}]])
    boxes = np.array([[10.0, 10, 100, 100]] * 2)
    detections = [instances(boxes, np.array([0, 0]), np.random.default_rng(0))]
    detections[0].scores = torch.tensor([0.9, 0.8])
    assert [hit for _, hit, _ in claims(judge_scores(data, detections))] == [False, True]
    assert tide(data, detections)["counts"]["Dupe"] == 1
    detections[0].pred_classes = torch.tensor([0, 1])
    assert [hit for _, hit, _ in claims(judge_scores(data, detections))] == [False, True]
    assert {k: v for k, v in tide(data, detections)["counts"].items() if v} == {"Cls": 1}


class Still:
    """A detector that finds the same whatever it is asked for, and remembers its settings."""

    def __init__(self, detections):
        self.detections, self.turn = detections, 0

    def eval(self):
        return self

    def set_test(self, test):
        self.test = test

    def detect(self, inputs):
        self.turn += 1
        answer = self.detections[self.turn - 1]
        return [answer], [answer]


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr(coco, "test_inputs", lambda *_: {})


def test_what_is_measured_fits_a_record_and_asks_for_every_score():
    data = scenes(5, images=40)
    model = Still(guesses(data, 6))
    numbers = calibration_numbers(model, data, Spec.named("CenterNet2"))
    assert model.test.score_threshold == 0 and model.test.fusion == "product"
    assert len(json.dumps(numbers, allow_nan=False)) < 20_000
    asked = ["score", "p_object", "p_object_near", "p_object_after", "p_class", "tide"]
    assert sorted(numbers) == sorted(asked)
    scores = torch.cat([of_image.scores for of_image in model.detections])
    above = numbers["score"]["above_.05"]
    assert 0 < above["count"] < numbers["score"]["all"]["count"] <= len(scores)
    assert above["count"] == sum(above["bins"]["count"]) and above["bins"]["count"][0] == 0


def test_one_stage_detectors_have_a_score_alone():
    data = scenes(6)
    numbers = calibration_numbers(Still(guesses(data, 7)), data, Spec.named("RetinaNet"))
    assert set(numbers) == {"score", "tide"}


@pytest.mark.parametrize(
    ("annotations", "count"),
    [
        ([[], []], None),  # no truths
        ([[{"bbox": [0, 0, 90, 90], "category_id": 0, "iscrowd": 1}], []], None),  # only a crowd
        ([[{"bbox": [0, 0, 90, 90], "category_id": 0, "iscrowd": 0}], []], 0),  # no detections
        ([], 0),  # no images
    ],
)
def test_without_truths_or_detections_numbers_are_missing_not_wrong(annotations, count):
    data = data_set(annotations)
    boxes = np.array([[200.0, 200, 260, 260], [10, 10, 50, 50]])[: 2 if count is None else 0]
    rng = np.random.default_rng(0)
    detections = [instances(boxes, np.zeros(len(boxes), int), rng) for _ in annotations]
    measured = calibration_numbers(Still(detections), data, Spec.named("CenterNet2"))
    json.dumps(measured, allow_nan=False)
    assert measured["p_class"]["all"]["d_ece"] is None
    score = measured["score"]["all"]
    if count == 0:
        assert score["count"] == 0 and score["d_ece"] is score["la_ece"] is None
    else:
        assert score["d_ece"] == pytest.approx(100 * score["mean"], abs=0.01)
        assert score["share"] == 0


def test_a_claim_keeps_all_its_fields_when_some_are_chosen():
    judged = Judged(*(np.arange(4) + 10 * k for k in range(6)))
    assert [column.tolist() for column in judged.where([2, 0])] == [
        [10 * k + 2, 10 * k] for k in range(6)
    ]
