"""LVIS's numbers and AP-fixed against brute force, and their rules by hand."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances

from p2s.measure import lvis
from p2s.measure.coco import coco_numbers
from p2s.measure.lvis import best_of_class, best_of_image, federated_numbers, lvis_numbers
from p2s.measure.rows import Rows

K, SIDE = 5, 400
THRESHOLDS = np.linspace(0.5, 0.95, 10)
GROUPS = {"r": [0, 3], "c": [1], "f": [2, 4]}
AREAS = {"": (0, 1e10), "s": (0, 32**2), "m": (32**2, 96**2), "l": (96**2, 1e10)}


# --- Brute force: every image, class and threshold on its own.
def iou(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    common = np.prod(np.maximum(high - low, 0))
    return common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)


def size(box):
    return np.prod(box[2:] - box[:2])


def verdicts(guesses, truth, partial, threshold, area):
    """(score, is it right) of each detection that counts, and how many truths count."""
    outside = [not area[0] <= size(box) <= area[1] for box in truth]
    order = np.argsort(outside, kind="stable")  # what does not count is matched last
    free, said = set(order.tolist()), []
    for score, box in sorted(guesses, key=lambda guess: -guess[0]):  # stable: ties keep their order
        best, match = min(threshold, 1 - 1e-10), None
        for k in order:
            if match is not None and outside[k] and not outside[match]:
                break
            if k in free and iou(box, truth[k]) >= best:
                best, match = iou(box, truth[k]), k
        free -= {match}
        lone = match is None and (partial or not area[0] <= size(box) <= area[1])
        if not (lone or (match is not None and outside[match])):
            said.append((score, match is not None))
    return said, len(truth) - sum(outside)


def average_precision(said, truths):
    right = np.array([hit for _, hit in sorted(said, key=lambda claim: -claim[0])], float)
    recall, precision = right.cumsum() / truths, right.cumsum() / np.arange(1, len(right) + 1)
    return np.mean([precision[recall >= r].max(initial=0) for r in np.linspace(0, 1, 101)])


def class_ap(world, detections, k, thresholds, area):
    values = []
    for threshold in thresholds:
        said, truths = [], 0
        for image, (boxes, classes) in enumerate(world.truth):
            if k in classes or k in world.negatives[image]:
                mine = [(s, box) for s, box, label in detections[image] if label == k]
                theirs = [box for box, label in zip(boxes, classes, strict=True) if label == k]
                partial = k in world.not_exhaustive[image]
                more, count = verdicts(mine, theirs, partial, threshold, area)
                said, truths = said + more, truths + count
        values.append(average_precision(said, truths) if truths else np.nan)
    return np.mean(values)


def oracle(world, detections):
    def mean(classes, thresholds=THRESHOLDS, area=""):
        aps = [class_ap(world, detections, k, thresholds, AREAS[area]) for k in classes]
        return 100 * np.nanmean(aps) if not np.isnan(aps).all() else np.nan

    numbers = {f"AP{area}": mean(range(K), area=area) for area in AREAS}
    numbers |= {f"AP{group}": mean(classes) for group, classes in GROUPS.items()}
    return numbers | {"AP50": mean(range(K), [0.5]), "AP75": mean(range(K), [0.75])}


# --- Worlds of random boxes: image 0 is empty, nothing is found in the last one.
def world_of(seed, images=8, guesses=40, grid=0.0):
    rng = np.random.default_rng(seed)

    def boxes(count):
        corner = rng.uniform(0, 200, (count, 2))
        return np.hstack([corner, corner + np.exp(rng.uniform(2.5, 5.2, (count, 2)))])

    counts = [0, *rng.integers(1, 7, images - 1)]
    truth = [(boxes(n), rng.integers(0, K, n)) for n in counts]
    detections = []
    for own, classes in truth[:-1]:
        near = np.vstack([own + rng.normal(0, 3, own.shape) for _ in range(3)])
        labels = np.concatenate([*[classes] * 3, rng.integers(0, K, guesses)])
        scores = rng.random(len(labels))
        if grid:  # scores that tie
            scores = np.round(scores / grid) * grid
        detections.append(list(zip(scores, np.vstack([near, boxes(guesses)]), labels, strict=True)))
    lists = [[set(rng.permutation(K)[:2].tolist()) for _ in truth] for _ in range(2)]
    negatives = [n - set(c.tolist()) for n, (_, c) in zip(lists[0], truth, strict=True)]
    world = SimpleNamespace(truth=truth, negatives=negatives, not_exhaustive=lists[1])
    return world, [*detections, []]


def data_of(world):
    def item(box, label):
        width, height = box[2:] - box[:2]
        return {
            "bbox": [*box[:2], width, height],
            "area": width * height,
            "category_id": 3 * label + 7,
        }

    return SimpleNamespace(
        images=[{"id": 90 - i, "width": SIDE, "height": SIDE} for i in range(len(world.truth))],
        annotations=[
            [item(*labelled) for labelled in zip(*of_image, strict=True)]
            for of_image in world.truth
        ],
        classes=[f"class {k}" for k in range(K)],
        category_ids=[3 * k + 7 for k in range(K)],
    )


def instances(rows):
    scores, boxes, labels = zip(*rows, strict=True) if rows else ([], [], [])
    return Instances(
        (SIDE, SIDE),
        pred_boxes=Boxes(torch.tensor(np.array(boxes)).reshape(-1, 4)),
        scores=torch.tensor(scores, dtype=torch.float64),
        pred_classes=torch.tensor(labels, dtype=torch.int64),
    )


def numbers(world, detections, best=best_of_image):
    lists = world.negatives, world.not_exhaustive
    return lvis_numbers(data_of(world), [*map(instances, detections)], *lists, GROUPS, best)


def limited(detections, column, limit):
    """The best `limit` detections of each image (column 0) or class (1); ties: the first."""
    rows = [(i, k, j, s) for i, of in enumerate(detections) for j, (s, _, k) in enumerate(of)]
    taken, places = Counter(), set()
    for row in sorted(rows, key=lambda row: (-row[3], row[0], row[2])):
        taken[row[column]] += 1
        if taken[row[column]] <= limit:
            places.add((row[0], row[2]))
    return [
        [row for j, row in enumerate(of_image) if (i, j) in places]
        for i, of_image in enumerate(detections)
    ]


@pytest.mark.parametrize(("seed", "grid"), [(0, 0), (1, 0), (2, 0.2), (3, 0.5)])
def test_the_numbers_are_those_of_brute_force(seed, grid):
    world, detections = world_of(seed, grid=grid)
    got = numbers(world, detections)
    wanted = oracle(world, detections)
    assert {name: got[name] for name in wanted} == pytest.approx(wanted, abs=1e-6, nan_ok=True)
    assert np.nanmean([*got["per_class"].values()]) == pytest.approx(got["AP"])


@pytest.mark.parametrize("grid", [0, 0.25])
def test_both_limits_are_those_of_brute_force(grid, monkeypatch):
    world, detections = world_of(4, grid=grid)
    monkeypatch.setattr(lvis, "OF_IMAGE", 9)
    monkeypatch.setattr(lvis, "OF_CLASS", 11)
    aps = set()
    for best, column, limit in ((best_of_image, 0, 9), (best_of_class, 1, 11)):
        wanted = oracle(world, limited(detections, column, limit))
        got = numbers(world, detections, best)
        assert {name: got[name] for name in wanted} == pytest.approx(wanted, abs=1e-6, nan_ok=True)
        aps.add(got["AP"])
    assert len(aps) == 2


def test_300_of_an_image_count_and_any_number_for_ap_fixed():
    box = np.array([10.0, 10, 60, 60])
    world = SimpleNamespace(truth=[([box], [0])], negatives=[{1}], not_exhaustive=[set()])
    for before, ap in ((299, 100), (300, 0)):
        detections = [[*[(0.9, box, 1)] * before, (0.5, box, 0)]]
        assert numbers(world, detections)["AP"] == pytest.approx(ap)
        assert numbers(world, detections, best_of_class)["AP"] == pytest.approx(100)


@pytest.mark.parametrize("before", [299, 300, 600])
def test_ap_fixed_counts_any_number_of_one_class_in_an_image(before):
    box, apart = np.array([10.0, 10, 60, 60]), np.array([200.0, 200, 260, 260])
    world = SimpleNamespace(truth=[([box], [0])], negatives=[set()], not_exhaustive=[set()])
    detections = [[*[(0.9, apart, 0)] * before, (0.5, box, 0)]]
    got = numbers(world, detections, best_of_class)
    wanted = oracle(world, detections)
    assert {name: got[name] for name in wanted} == pytest.approx(wanted, abs=1e-6, nan_ok=True)
    assert got["AP"] == pytest.approx(100 / (before + 1))


def test_the_numbers_of_a_data_set_have_ap_by_both_limits():
    box = np.array([10.0, 10, 60, 60])
    world = SimpleNamespace(truth=[([box], [0])], negatives=[{1}], not_exhaustive=[set()])
    data = SimpleNamespace(**vars(data_of(world)), **vars(world), groups=GROUPS)
    detections = instances([*[(0.9, box, 1)] * 300, (0.5, box, 0)])
    got = federated_numbers(data, [detections])
    assert [got[name] for name in ("AP", "APr", "AP_fixed", "APr_fixed")] == pytest.approx(
        [0, 0, 100, 100]
    )


@pytest.mark.parametrize("seed", [10, 11])
def test_the_numbers_of_a_data_set_are_by_its_own_lists(seed):
    world, detections = world_of(seed)
    data = SimpleNamespace(**vars(data_of(world)), **vars(world), groups=GROUPS)
    got = federated_numbers(data, [*map(instances, detections)])
    for best, end in ((best_of_image, ""), (best_of_class, "_fixed")):
        wanted = numbers(world, detections, best)
        assert [got[f"{name}{end}"] for name in ("AP", "APr")] == [wanted["AP"], wanted["APr"]]
    nothing = [set() for _ in world.truth]
    for lists in ("negatives", "not_exhaustive"):
        bare = SimpleNamespace(**{**vars(world), lists: nothing})
        assert numbers(bare, detections)["AP"] != got["AP"]  # so that both lists matter here


def test_ap_fixed_keeps_the_first_ten_thousand_of_a_class_of_all_images():
    count = 20_004
    scores = np.where(np.arange(count) < count - 2, 0.0, 1.0)
    rows = Rows(np.arange(count) // 2, np.zeros((count, 4)), scores, np.arange(count) % 2)
    counted = best_of_class(rows)
    assert [(counted.labels == k).sum() for k in (0, 1)] == [10_000, 10_000]
    assert counted.image.tolist() == [*np.repeat(np.arange(9999), 2), 10_001, 10_001]


HERE, AWAY = np.array([10.0, 10, 60, 60]), np.array([200.0, 200, 260, 260])


@pytest.mark.parametrize(
    ("negative", "partial", "ap"),
    [({0}, False, 50), (set(), False, 100), ({0}, True, 100)],
    ids=["a negative image counts", "an unknown one does not", "a partial one forgives"],
)
def test_what_a_false_detection_costs_in_an_image_without_the_class(negative, partial, ap):
    world = SimpleNamespace(
        truth=[([HERE], [0]), ([], [])],
        negatives=[set(), negative],
        not_exhaustive=[set(), {0} if partial else set()],
    )
    detections = [[(0.5, HERE, 0)], [(0.9, AWAY, 0)]]
    assert numbers(world, detections)["AP"] == pytest.approx(ap)


def test_a_partial_image_forgives_extra_detections_but_not_missed_objects():
    for partial, extra, ap in ((set(), AWAY, 50), ({0}, AWAY, 100), ({0}, None, 51 / 1.01)):
        truth = [([HERE], [0])] if extra is not None else [([HERE, AWAY], [0, 0])]
        world = SimpleNamespace(truth=truth, negatives=[set()], not_exhaustive=[partial])
        detections = [[(0.5, HERE, 0), *([(0.9, extra, 0)] if extra is not None else [])]]
        assert numbers(world, detections)["AP"] == pytest.approx(ap)


def test_a_full_truth_makes_every_class_a_negative_of_every_image_as_coco_does():
    world, detections = world_of(6)
    world.negatives = [set(range(K)) for _ in world.truth]
    world.not_exhaustive = [set() for _ in world.truth]
    full, coco = (
        numbers(world, detections),
        coco_numbers(data_of(world), [*map(instances, detections)]),
    )
    assert {k: full[k] for k in ("AP", "AP50", "APs", "per_class")} == {
        k: pytest.approx(coco[k]) for k in ("AP", "AP50", "APs", "per_class")
    }


def test_without_detections_ap_is_zero_and_without_truth_undefined():
    world, detections = world_of(7)
    nothing = numbers(world, [[] for _ in detections])
    assert nothing["AP"] == nothing["APr"] == 0
    world.truth = [(np.zeros((0, 4)), np.zeros(0, int)) for _ in world.truth]
    empty = numbers(world, detections)
    assert np.isnan([empty["AP"], empty["APf"], *empty["per_class"].values()]).all()


def test_the_order_of_images_changes_nothing():
    world, detections = world_of(8)
    order = np.random.default_rng(0).permutation(len(detections))
    turned = SimpleNamespace(**{k: [v[i] for i in order] for k, v in vars(world).items()})
    assert numbers(turned, [detections[i] for i in order]) == numbers(world, detections)


def test_a_list_for_too_few_images_is_refused():
    world, detections = world_of(9)
    world.negatives = world.negatives[:-1]
    with pytest.raises(ValueError, match="shorter"):
        numbers(world, detections)


def test_rows_without_detections_have_no_best():
    none = Rows.of_image(0, torch.zeros(0, 4), torch.zeros(0))
    assert best_of_image(none).array.shape == best_of_class(none).array.shape == (0, 7)
