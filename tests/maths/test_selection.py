"""Laws of selection; torchvision's NMS of all boxes is the oracle."""

import math

import pytest
import torch
from torchvision.ops import batched_nms

from p2s.maths import selection


def scored(rows, seed=0):
    """Boxes, scores without ties, whose order NMS leaves open, and classes."""
    generator = torch.Generator().manual_seed(seed)
    corner, size = (torch.rand(rows, 2, generator=generator) for _ in range(2))
    boxes = torch.cat([500 * corner, 500 * corner + 1 + 200 * size], 1)
    scores = torch.randperm(rows, generator=generator) / max(rows, 1)
    return boxes, scores, torch.randint(3, (rows,), generator=generator)


def test_logits_of_probabilities_are_exact_to_the_ends():
    assert [selection.to_logit(p) for p in (0.0, 0.5, 1.0)] == [-math.inf, 0.0, math.inf]
    assert selection.to_logit(1e-8) == pytest.approx(math.log(1e-8), rel=1e-9)


@pytest.mark.parametrize("count", [0, 1, 100, 5000])
@pytest.mark.parametrize("rows", [0, 1, 50, 3000])
def test_the_first_that_nms_keeps_are_those_of_all_that_it_keeps(rows, count):
    boxes, scores, classes = scored(rows)
    for iou in (0.3, 0.7):
        kept = batched_nms(boxes, scores, classes, iou)
        assert torch.equal(selection.first_kept(boxes, scores, classes, iou, count), kept[:count])


@pytest.mark.parametrize("threshold", [-math.inf, 0.3, 1.0])
def test_a_threshold_before_nms_leaves_what_one_after_it_does(threshold):
    boxes, scores, classes = scored(400)
    rows, kept = selection.select(boxes, scores, classes, threshold, 0.5, 100)
    every = batched_nms(boxes, scores, classes, 0.5)
    assert torch.equal(rows, every[scores[every] > threshold][:100])
    assert torch.equal(kept, scores[rows]) and (len(rows) > 0) == (threshold < 1)


def test_a_score_of_minus_infinity_never_leaves():
    boxes, scores, classes = scored(50)
    scores[::2] = -math.inf
    rows, _ = selection.select(boxes, scores, classes, -math.inf, 1.0, 50)
    assert sorted(rows.tolist()) == list(range(1, 50, 2))


def test_a_score_of_every_class_is_a_box_of_each():
    boxes, _, _ = scored(60)
    scores = torch.randperm(180).view(60, 3) / 180
    row, label, kept = selection.select_classes(boxes, scores, 0.2, 0.5, 40)
    of_all = boxes.repeat_interleave(3, 0), scores.flatten(), torch.arange(3).repeat(60)
    rows, wanted = selection.select(*of_all, 0.2, 0.5, 40)
    assert torch.equal(3 * row + label, rows) and torch.equal(kept, wanted) and len(rows) == 40


def test_boxes_of_every_class_compete_with_their_scores():
    boxes = torch.stack([scored(60, seed)[0] for seed in range(3)], 1)  # (R, K, 4)
    scores = torch.randperm(180).view(60, 3) / 180
    row, label, kept = selection.select_classes(boxes.flatten(1), scores, 0.2, 0.5, 40)
    of_all = boxes.flatten(0, 1), scores.flatten(), torch.arange(3).repeat(60)
    rows, wanted = selection.select(*of_all, 0.2, 0.5, 40)
    assert torch.equal(3 * row + label, rows) and torch.equal(kept, wanted) and len(rows) == 40
    of_class = selection.boxes_of(boxes.flatten(1), row, label)
    assert torch.equal(of_class, boxes.flatten(0, 1)[rows])
