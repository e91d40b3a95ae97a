import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch
from detectron2.modeling.box_regression import Box2BoxTransformLinear
from detectron2.modeling.meta_arch.fcos import FCOS
from detectron2.structures import Boxes

from p2s.maths import geometry
from p2s.model.first import assign

STRIDES = (8, 16, 32, 64)  # three levels have other ranges
GRID = geometry.locations([(16, 20), (8, 10), (4, 5), (2, 3)], STRIDES)
LEVEL_SIZES = {8: (0, 80), 16: (64, 160), 32: (128, 320), 64: (256, math.inf)}


def truths(seed, count, classes=3):
    """Boxes of any size in 160x128, some crowded, with even corners so that ties occur."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([150.0, 120.0])
    size = torch.rand(count, 2, generator=generator) ** 2 * 400 + 1
    boxes = torch.cat((corner, corner + size), 1).round()
    return boxes, torch.randint(classes, (count,), generator=generator)


def peaks_of(boxes, classes, num_classes=3):
    return assign.center_peaks(GRID, boxes, classes, num_classes)


def oracle_cells(point, stride, box):
    """Steps of a point's cell from the cell of a box's centre, and the point's heat from it."""
    center = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    steps = max(abs(c // stride - p // stride) for c, p in zip(center, point, strict=True))
    share = 0.2 / 1.8
    radius = max(2 * share**2 * (box[2] - box[0]) * (box[3] - box[1]), 16)
    distance = sum((c - p) ** 2 for c, p in zip(center, point, strict=True)) / radius
    return steps, 0.0 if steps == 0 else distance


def oracle(boxes, classes, num_classes):
    """Heat, peaks, regressed box or None of every location, by loops over plain numbers."""
    rows = []
    for point, level in zip(GRID.points.tolist(), GRID.level.tolist(), strict=True):
        stride, heat, peaks, near = STRIDES[level], [0.0] * num_classes, [0] * num_classes, []
        for box, kind in zip(boxes.tolist(), classes.tolist(), strict=True):
            steps, distance = oracle_cells(point, stride, box)
            heat[kind] = max(heat[kind], math.exp(-distance))
            low, high = LEVEL_SIZES[stride]
            if not low <= math.hypot(box[2] - box[0], box[3] - box[1]) / 2 <= high:
                continue
            peaks[kind] += steps == 0
            if steps <= 1 and box[0] < point[0] < box[2] and box[1] < point[1] < box[3]:
                near.append((distance, (box[2] - box[0]) * (box[3] - box[1]), box))
        rows.append((heat, peaks, min(near)[2] if near else None))
    return rows


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [1, 3, 25])
def test_targets_equal_brute_force(seed, count):
    boxes, classes = truths(seed, count)
    targets, rows = peaks_of(boxes, classes), oracle(boxes, classes, 3)
    torch.testing.assert_close(targets.heat, torch.tensor([row[0] for row in rows]))
    assert targets.peaks.tolist() == [row[1] for row in rows]
    found = [b if w else None for b, w in zip(targets.boxes.tolist(), targets.weight, strict=True)]
    assert found == [row[2] for row in rows]


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_truths_has_no_effect(seed):
    boxes, classes = truths(seed, 30)
    boxes = torch.cat((boxes, boxes[:5]))  # and the same box twice, of another class
    classes = torch.cat((classes, (classes[:5] + 1) % 3))
    order = torch.randperm(35, generator=torch.Generator().manual_seed(seed))
    one, other = peaks_of(boxes, classes), peaks_of(boxes[order], classes[order])
    for field in dataclasses.fields(one):
        assert torch.equal(getattr(one, field.name), getattr(other, field.name))


def test_every_object_within_the_image_is_a_positive_with_heat_one():
    boxes, classes = truths(5, 12)
    boxes = torch.minimum(boxes, torch.tensor([159.0, 127, 159, 127]))
    targets = peaks_of(boxes, classes)
    low, high = geometry.size_ranges(GRID.strides)[:, None].unbind(-1)
    size = geometry.half_diagonal(boxes)
    assert targets.peaks.sum() == ((size >= low) & (size <= high)).sum() >= 12
    assert (targets.heat[targets.peaks > 0] == 1).all()


def test_sizes_in_two_ranges_are_positive_on_two_levels():
    side = 70 * math.sqrt(2)
    targets = peaks_of(torch.tensor([[0.0, 0, side, side]]), torch.tensor([1]))
    assert GRID.level[targets.peaks[:, 1] > 0].tolist() == [0, 1]


def test_ranges_of_sizes_include_their_ends():
    targets = peaks_of(torch.tensor([[0.0, 0, 96, 128]]), torch.tensor([1]))  # half diagonal 80
    assert GRID.level[targets.peaks[:, 1] > 0].tolist() == [0, 1]


def test_an_image_without_truths_has_only_negatives():
    targets = peaks_of(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    assert targets.heat.shape == (len(GRID.points), 3)
    assert not targets.heat.any() and not targets.peaks.any() and not targets.weight.any()


def test_an_object_smaller_than_a_cell_is_a_positive_without_a_box():
    targets = peaks_of(torch.tensor([[17.0, 17, 19, 19]]), torch.tensor([0]))
    assert targets.peaks.sum() == 1 and not targets.weight.any()
    assert GRID.points[targets.peaks[:, 0] > 0].tolist() == [[20, 20]]


def test_an_object_larger_than_the_image_is_on_the_coarsest_level():
    targets = peaks_of(torch.tensor([[-1e4, -1e4, 1.01e4, 1.01e4]]), torch.tensor([2]))
    assert GRID.level[targets.peaks[:, 2] > 0].tolist() == [3]
    assert GRID.level[targets.weight > 0].tolist() == [3] * 4


def test_of_two_objects_on_one_centre_both_are_positives_and_the_smaller_is_regressed():
    boxes = torch.tensor([[10.0, 30, 70, 50], [35, 10, 45, 70]])
    targets = peaks_of(boxes, torch.tensor([1, 1]))
    peak = targets.peaks[:, 1].argmax()
    assert targets.peaks[peak, 1] == 2
    assert targets.boxes[peak].tolist() == boxes[1].tolist()


def test_a_radius_away_along_a_side_the_overlap_is_the_minimum():
    square = torch.tensor([[0.0, 0, 90, 90]])
    radius = math.sqrt(2) * 10  # of both sides: 10 along each, 1/9 of the side
    point = torch.tensor([[45 + radius, 45.0]])
    torch.testing.assert_close(assign.gaussian_distance(point, square), torch.ones(1, 1))
    moved = square + torch.tensor([10.0, 0, 10, 0])
    torch.testing.assert_close(geometry.paired_iou(square, moved), torch.tensor([0.8]))


def test_class_agnostic_peaks_merge_the_classes():
    boxes, classes = truths(7, 10)
    targets, merged = (
        peaks_of(boxes, classes),
        assign.class_agnostic(assign.center_peaks)(GRID, boxes, classes, 1),
    )
    assert torch.equal(merged.heat[:, 0], targets.heat.amax(1))
    assert torch.equal(merged.peaks[:, 0], targets.peaks.sum(1))


def moved(boxes, share):
    """Boxes moved right by a share of their width: a gIoU loss of 2 share / (1 + share)."""
    step = (boxes[..., 2] - boxes[..., 0]) * share
    return boxes + torch.stack((step, 0 * step, step, 0 * step), -1)


@pytest.mark.parametrize(("share", "good"), [(0.10, True), (0.12, False)])
def test_neighbours_become_positives_where_the_loss_is_below_a_fifth(share, good):
    targets = assign.Targets.stack([peaks_of(*truths(1, 4))])
    more = assign.near_center_positives(targets, moved(targets.boxes, share), None)
    extra = (more.peaks > targets.peaks).sum(-1) > 0
    near = (targets.weight > 0) & (targets.peaks.amax(-1) == 0)
    assert torch.equal(extra, near & good)
    assert (more.heat[more.peaks > 0] == 1).all()
    assert torch.equal(more.heat[more.peaks == 0], targets.heat[more.peaks == 0])


def test_extra_positives_never_lose_or_double_a_centre():
    targets = assign.Targets.stack([peaks_of(*truths(2, 20)), peaks_of(*truths(3, 20))])
    more = assign.near_center_positives(targets, targets.boxes, None)
    centres = targets.peaks > 0
    assert torch.equal(more.peaks[centres], targets.peaks[centres])
    assert assign.as_assigned(targets, targets.boxes, None) is targets


def test_centerness_is_detectron2s():
    boxes, _ = truths(0, 25)
    point = boxes[:, :2] + (boxes[:, 2:] - boxes[:, :2]) * torch.linspace(0.01, 0.99, 50).view(
        25, 2
    )
    settings = SimpleNamespace(box2box_transform=Box2BoxTransformLinear(normalize_by_size=True))
    cells = Boxes(torch.cat((point - 4, point + 4), 1))
    wanted = FCOS.compute_ctrness_targets(settings, [cells], [boxes])[0]
    torch.testing.assert_close(assign.centerness(point, boxes), wanted)


@pytest.mark.parametrize(
    ("point", "expected"),
    [((5, 10), 1), ((2, 15), 2 / 8 * 5 / 15), ((0, 10), 0), ((11, 10), 0), ((-3, 25), 0)],
)
def test_centerness_has_its_closed_form_and_is_zero_outside(point, expected):
    found = assign.centerness(torch.tensor([point]).float(), torch.tensor([[0.0, 0, 10, 20]]))
    assert found.item() == pytest.approx(math.sqrt(expected))


@pytest.mark.parametrize("seed", range(3))
def test_atss_weighs_boxes_by_centerness(seed):
    targets = assign.adaptive_iou(GRID, *truths(seed, 9), 3)
    assert torch.equal(targets.weight > 0, targets.peaks.sum(1) > 0)
    weight = assign.centerness(GRID.points, targets.boxes) * targets.peaks.sum(1)
    torch.testing.assert_close(targets.weight, weight)


def test_quality_is_the_iou_of_positives_and_boxes_weigh_by_the_likeliest_class():
    pair = [assign.adaptive_iou(GRID, *truths(seed, 9), 3) for seed in (0, 1)]
    targets = assign.Targets.stack([*pair, assign.adaptive_iou(GRID, *truths(0, 0), 3)])
    p = torch.rand(targets.heat.shape, generator=torch.Generator().manual_seed(0))
    refined = assign.by_quality(targets, moved(targets.boxes, 0.25), p.logit())
    torch.testing.assert_close(refined.heat, targets.peaks * 0.75 / 1.25)
    torch.testing.assert_close(refined.weight, (targets.weight > 0) * p.amax(-1))
    assert torch.equal(refined.peaks, targets.peaks) and torch.equal(refined.boxes, targets.boxes)
