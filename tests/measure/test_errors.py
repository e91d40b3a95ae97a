"""Errors: cases whose answer is known, and a matrix counted by brute force."""

import numpy as np
import pytest
import torch

from p2s.maths.geometry import pairwise_iou
from p2s.measure.coco import coco_numbers
from p2s.measure.errors import IOU, confusions, errors_of
from tests.measure.test_coco import guesses, instances, truths

NOTHING = instances([], [], [])


def corners(items):
    boxes = torch.tensor([item["bbox"] for item in items], dtype=torch.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def without_crowds(seed):
    data = truths(seed)
    for items in data.annotations:
        for item in items:
            item["iscrowd"] = 0
    return data


def counted(data, detections, sure):
    """The matrix by COCO's rule without classes: the surest first, each object once."""
    kinds = len(data.classes)
    matrix = np.zeros((kinds + 1, kinds + 1), int)
    for items, found in zip(data.annotations, detections, strict=True):
        free, iou = set(range(len(items))), pairwise_iou(corners(items), found.pred_boxes.tensor)
        for k in found.scores.argsort(descending=True, stable=True).tolist():
            if found.scores[k] < sure:
                continue
            best = max(free, key=lambda g: iou[g, k], default=None)
            hit = best is not None and iou[best, k] >= IOU
            row = items[best]["category_id"] // 7 if hit else kinds
            matrix[row, found.pred_classes[k]] += 1
            free -= {best} if hit else set()
        for g in free:
            matrix[items[g]["category_id"] // 7, kinds] += 1
    return matrix


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_confusion_matrix_is_counted_right(seed):
    data = without_crowds(seed)
    detections = guesses(data, seed, noise=8)
    confusion = errors_of(data, detections, sure=0.4).confusion
    assert (confusion == counted(data, detections, 0.4)).all()
    assert confusion[:-1].sum() == sum(map(len, data.annotations))


@pytest.mark.parametrize("seed", [0, 1])
def test_what_tides_errors_cost_is_what_evaluation_says(seed):
    data = truths(seed)
    detections = guesses(data, seed, noise=8)
    numbers, errors = coco_numbers(data, detections), errors_of(data, detections)
    assert {f"TIDE_{name}": lost for name, lost in errors.lost.items()} == pytest.approx(
        {name: value for name, value in numbers.items() if name.startswith("TIDE_")}
    )


def test_perfect_detections_have_no_error():
    data = without_crowds(0)
    found = [
        instances(
            corners(items).tolist(), [0.9] * len(items), [i["category_id"] // 7 for i in items]
        )
        for items in data.annotations
    ]
    errors = errors_of(data, found)
    assert errors.worst == [] and confusions(errors.confusion, tuple(data.classes)) == []
    assert set(errors.counts.values()) == {0} and max(errors.lost.values()) == 0


def scene(*boxes):
    """One image with an object of class 0 and one of class 1."""
    data = without_crowds(0)
    box = {"area": 400.0, "iscrowd": 0}
    items = [
        {"bbox": [0, 0, 20, 20], "category_id": 0},
        {"bbox": [50, 50, 20, 20], "category_id": 7},
    ]
    data.annotations = [[box | item for item in items]]
    data.images = data.images[:1]
    return data, [
        instances([b for b, *_ in boxes], [s for _, s, _ in boxes], [c for *_, c in boxes])
    ]


RIGHT = ([0, 0, 20, 20], 0.9, 0), ([50, 50, 70, 70], 0.9, 1)


@pytest.mark.parametrize(
    "added, kind, missed, false",
    [
        (([50, 50, 70, 70], 0.8, 0), "Cls", [1], [1]),
        (([50, 50, 70, 58], 0.8, 1), "Loc", [1], [1]),
        (([50, 50, 70, 58], 0.8, 0), "Both", [1], [1]),
        (([200, 200, 220, 220], 0.8, 1), "Bkg", [1], [1]),
        (None, "Miss", [1], []),
    ],
)
def test_each_kind_of_error_is_told_by_its_name_and_place(added, kind, missed, false):
    data, detections = scene(RIGHT[0], *([added] if added else []))
    errors = errors_of(data, detections)
    assert errors.counts[kind] == 1
    [wrong] = errors.worst
    assert (wrong.image, wrong.missed, wrong.false, wrong.right) == (0, missed, false, 1)


def test_a_duplicate_is_wrong_and_what_is_not_sure_is_not_looked_at():
    data, detections = scene(*RIGHT, ([1, 0, 20, 20], 0.5, 0), ([100, 0, 120, 20], 0.2, 0))
    errors = errors_of(data, detections)
    assert (errors.counts["Dupe"], errors.counts["Bkg"]) == (1, 1)
    assert errors.worst[0].false == [2] and errors.worst[0].right == 2
    assert errors_of(data, detections, sure=0.1).worst[0].false == [2, 3]


def test_the_worst_images_come_first_and_no_more_than_asked_for():
    data = without_crowds(3)
    detections = guesses(data, 3, noise=8)
    worst = errors_of(data, detections, sure=0.0, shown=100).worst
    wrong = [len(each.missed) + len(each.false) for each in worst]
    assert wrong == sorted(wrong, reverse=True) and min(wrong) > 0
    assert [each.image for each in errors_of(data, detections, 0.0, 3).worst] == [
        each.image for each in worst[:3]
    ]
    objects = sum(each.right + len(each.missed) for each in worst)
    assert objects == sum(map(len, data.annotations))


def test_pairs_of_classes_are_told_the_commonest_first():
    matrix = np.array([[5, 2, 0, 1], [3, 4, 0, 0], [0, 1, 9, 2], [7, 7, 7, 0]])
    wanted = [("b", "a", 3), ("a", "b", 2), ("c", "b", 1)]
    assert confusions(matrix, ("a", "b", "c")) == wanted
