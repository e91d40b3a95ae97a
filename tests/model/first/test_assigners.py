"""The assigners of RetinaNet, ATSS, FCOS and Guided Anchoring against loops over plain numbers."""

import dataclasses
import math
import statistics

import pytest
import torch
from detectron2.modeling.matcher import Matcher
from torchvision.models.detection._utils import Matcher as TorchvisionMatcher

from p2s.maths.geometry import locations, pairwise_iou
from p2s.model.first import assign
from p2s.model.first.designs import NINE

SIZES, STRIDES, CLASSES = [(8, 10), (4, 5), (2, 3)], (8, 16, 32), 3
GRID = locations(SIZES, STRIDES)
LEVEL = GRID.level.tolist()
PLACES = list(zip(GRID.points.tolist(), LEVEL, GRID.anchors.tolist(), strict=True))
FCOS_RANGES = (0, 64), (64, 128), (128, math.inf)
SEEDS = range(6)


def truths(seed, count):
    """Boxes in 80x64 on a lattice; for ties one of them twice, and two that flank an anchor."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([70.0, 54])
    size = torch.rand(count, 2, generator=generator) ** 2 * 250 + 4
    boxes = (torch.cat((corner, corner + size), 1) / 4).round() * 4
    classes = torch.randint(CLASSES, (count + 2,), generator=generator)
    step = torch.tensor([4.0, 0, 4, 0])
    anchor = GRID.anchors[torch.randint(100, (1,), generator=generator)]  # but for the coarsest
    boxes = torch.cat((boxes, anchor + step, anchor - step, boxes[:1]))
    return boxes, torch.cat((classes, (classes[:1] + 1) % CLASSES))


def area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def overlap(box, other):
    sides = [min(box[k + 2], other[k + 2]) - max(box[k], other[k]) for k in (0, 1)]
    common = max(sides[0], 0) * max(sides[1], 0)
    return common / (area(box) + area(other) - common)


def around(point, box):
    """Distances of a point from a box's sides, and from its centre along both axes."""
    sides = point[0] - box[0], point[1] - box[1], box[2] - point[0], box[3] - point[1]
    return sides, [abs(sides[k] - sides[k + 2]) / 2 for k in (0, 1)]


def oracle_iou_thresholds(boxes):
    """Of every place the boxes that it may answer for, each with a rank; and whether to ignore."""
    rows = [[overlap(anchor, box) for box in boxes] for _, _, anchor in PLACES]
    highest = [max(column) for column in zip(*rows, strict=True)]
    for row in rows:
        forced = any(iou == top > 0 for iou, top in zip(row, highest, strict=True))
        claims = {k: -iou for k, iou in enumerate(row) if forced or max(row) >= 0.5}
        yield claims, max(row) >= 0.4


def oracle_adaptive_iou(boxes):
    claims = [{} for _ in PLACES]
    for k, box in enumerate(boxes):
        distance = [math.hypot(*around(point, box)[1]) for point, _, _ in PLACES]
        levels = [[n for n, each in enumerate(LEVEL) if each == level] for level in range(3)]
        near = [n for rows in levels for n in sorted(rows, key=distance.__getitem__)[:9]]
        iou = {n: overlap(PLACES[n][2], box) for n in near}
        least = statistics.mean(iou.values()) + statistics.stdev(iou.values())
        for n in near:
            if iou[n] >= least and min(around(PLACES[n][0], box)[0]) > 0:
                claims[n][k] = -iou[n]
    return [(each, False) for each in claims]


def oracle_center_region(boxes):
    for point, level, _ in PLACES:
        claims, (low, high) = {}, FCOS_RANGES[level]
        for k, box in enumerate(boxes):
            sides, away = around(point, box)
            if max(away) < 1.5 * STRIDES[level] and min(sides) > 0 and low < max(sides) < high:
                claims[k] = 0
        yield claims, False


def oracle_center_share(boxes):
    for point, level, _ in PLACES:
        claims, ignored = {}, False
        for k, box in enumerate(boxes):
            own = min(max(round(math.log2(math.sqrt(area(box)) / 64)), 0), 2)
            away = around(point, box)[1]
            share = max(away[n] / (box[n + 2] - box[n]) for n in (0, 1))
            if own == level and (share <= 0.1 or max(away) <= STRIDES[level] / 2):
                claims[k] = 0
            ignored |= abs(own - level) <= 1 and share <= 0.25
        yield claims, ignored


ORACLES = {
    assign.iou_thresholds: oracle_iou_thresholds,
    assign.adaptive_iou: oracle_adaptive_iou,
    assign.center_region: oracle_center_region,
    assign.center_share: oracle_center_share,
}
assigners = pytest.mark.parametrize("assigner", ORACLES, ids=lambda each: each.__name__)
seeds = pytest.mark.parametrize("seed", SEEDS)


def told(targets):
    """What the places are told: a box and its class, "ignore", or None for background."""
    fields = (targets.heat, targets.peaks, targets.boxes, targets.classes, targets.weight > 0)
    for heat, peaks, box, kind, regresses in zip(*(each.tolist() for each in fields), strict=True):
        assert regresses == (1 in peaks)
        if regresses:
            assert heat == peaks and sum(peaks) == peaks[kind] == 1
        assert regresses or len(set(heat)) == 1
        yield (box, kind) if regresses else "ignore" if heat[0] == 1 else None


def told_by_oracle(assigner, boxes, classes):
    """The same: of the boxes of the lowest rank the smallest, then by corners and class."""
    pairs = list(zip(boxes.tolist(), classes.tolist(), strict=True))
    for claims, ignored in ORACLES[assigner](boxes.tolist()):
        ranked = [(rank, area(pairs[k][0]), *pairs[k]) for k, rank in claims.items()]
        yield min(ranked)[2:] if ranked else "ignore" if ignored else None


@assigners
@seeds
@pytest.mark.parametrize("count", [1, 4, 60])
def test_targets_equal_brute_force(assigner, seed, count):
    boxes, classes = truths(seed, count)
    found = list(told(assigner(GRID, boxes, classes, CLASSES)))
    assert found == list(told_by_oracle(assigner, boxes, classes))


@assigners
def test_the_truths_of_brute_force_hold_ties_and_every_kind_of_place(assigner):
    found, ties = set(), 0
    for boxes, classes in (truths(seed, 15) for seed in SEEDS):
        for claims, _ in ORACLES[assigner](boxes.tolist()):
            best = {tuple(boxes[k]) for k in claims if claims[k] == min(claims.values())}
            ties += len(best) > 1
        found |= {type(each) for each in told_by_oracle(assigner, boxes, classes)}
    ignores = assigner in (assign.iou_thresholds, assign.center_share)
    assert ties > 0 and found == {tuple, type(None)} | ({str} if ignores else set())


def positives(assigner, *boxes):
    """Where truths of these boxes have a positive, and the targets."""
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    targets = assigner(GRID, boxes, torch.ones(len(boxes), dtype=torch.long), CLASSES)
    return (targets.peaks > 0).any(1), targets


@assigners
def test_an_image_without_truths_is_all_background(assigner):
    _, targets = positives(assigner)
    assert targets.heat.shape == (len(PLACES), CLASSES)
    assert list(told(targets)) == [None] * len(PLACES)


# Positives of a small box beside a point and around one; the side of the box that wins of two.
EDGES = {
    assign.iou_thresholds: (36, 36, 48),  # all anchors that hold it; nearer in size to anchors
    assign.adaptive_iou: (0, 1, 48),
    assign.center_region: (0, 1, 32),
    assign.center_share: (1, 1, 32),
}


@assigners
def test_an_object_smaller_than_a_cell_is_found_on_the_finest_level(assigner):
    for middle, expected in zip((18, 20), EDGES[assigner], strict=False):
        where, _ = positives(assigner, [middle - 1, middle - 1, middle + 1, middle + 1])
        assert where.sum() == expected and not GRID.level[where].any()
        assert not expected or [20, 20] in GRID.points[where].tolist()


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([4, 20, 68, 100], True),  # .5, and more with the anchors below
        ([4, 36, 68, 84], "ignore"),  # .4
        ([4, 37, 68, 84], None),  # less
        ([900, 900, 999, 999], None),  # with any anchor: 0
    ],
)
def test_of_anchors_the_thresholds_belong_to_what_is_above(box, expected):
    where, targets = positives(assign.iou_thresholds, box)
    here = PLACES.index(([36, 36], 0, [4, 4, 68, 68]))
    assert (bool(where[here]) or list(told(targets))[here]) == expected
    assert where.any() == (box[0] < 80)


@assigners
def test_an_object_larger_than_the_image_is_found_on_the_coarsest_level(assigner):
    where, _ = positives(assigner, [-1e4, -1e4, 1.01e4, 1.01e4])
    assert set(GRID.level[where].tolist()) == {2}


@assigners
def test_of_two_objects_on_one_centre_the_likelier_anchor_or_the_smaller_counts(assigner):
    where, targets = positives(assigner, [24, 8, 56, 40], [16, 0, 64, 48])
    middle = ((GRID.points - torch.tensor([40.0, 24])).abs().amax(1) <= 4) & (GRID.level == 0)
    assert middle.sum() == 4 and where[middle].all()
    assert (targets.boxes[middle, 2] - targets.boxes[middle, 0] == EDGES[assigner][2]).all()


@assigners
@seeds
def test_the_order_of_truths_has_no_effect(assigner, seed):
    boxes, classes = truths(seed, 20)
    order = torch.randperm(len(boxes), generator=torch.Generator().manual_seed(seed))
    one = assigner(GRID, boxes, classes, CLASSES)
    other = assigner(GRID, boxes[order], classes[order], CLASSES)
    for field in dataclasses.fields(one):
        assert torch.equal(getattr(one, field.name), getattr(other, field.name))


@assigners
def test_class_agnostic_targets_merge_the_classes(assigner):
    boxes, classes = truths(3, 20)
    targets = assigner(GRID, boxes, classes, CLASSES)
    merged = assign.class_agnostic(assigner)(GRID, boxes, classes, 1)
    assert torch.equal(merged.heat[:, 0], targets.heat.amax(1))
    assert torch.equal(merged.peaks[:, 0], targets.peaks.sum(1))
    assert torch.equal(merged.boxes, targets.boxes) and torch.equal(merged.weight, targets.weight)


def torchvision_matcher(iou):
    """The matches and detectron2's labels: 1, 0 for background, -1 to ignore."""
    found = TorchvisionMatcher(0.5, 0.4, allow_low_quality_matches=True)(iou)
    return found, (found + 1).clamp(max=1)


@pytest.mark.parametrize("matcher", [Matcher([0.4, 0.5], [0, -1, 1], True), torchvision_matcher])
@seeds
def test_iou_thresholds_match_as_detectron2_and_torchvision_do(matcher, seed):
    grid = locations(SIZES, STRIDES, shapes=NINE, offset=0.0)
    corner, size = torch.rand(2, 9, 2, generator=torch.Generator().manual_seed(seed)) * 50
    boxes = torch.cat((corner, corner + 2 + size**2 / 30), 1)  # without ties: of these, the first
    targets = assign.iou_thresholds(grid, boxes, torch.zeros(9).long(), 1)
    truth, label = matcher(pairwise_iou(boxes, grid.anchors))
    assert set(label.tolist()) == {-1, 0, 1}
    assert torch.equal(targets.weight == 1, label == 1)
    assert torch.equal(targets.heat[:, 0] == 1, label != 0)
    assert torch.equal(targets.boxes[label == 1], boxes[truth[label == 1]])
