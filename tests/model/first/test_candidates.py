"""Laws of what leaves a first stage: sorted, clipped, likely and apart."""

import pytest
import torch

from p2s.maths.geometry import pairwise_iou
from p2s.model.first.candidates import Candidates, Selection, suppress


def candidates(count=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 60 - 20
    boxes = torch.cat((corner, corner + torch.rand(count, 2, generator=generator) * 30), 1)
    logit = torch.randn(count, generator=generator) * 3
    classes = torch.randint(2, (count,), generator=generator)
    return Candidates(boxes, logit, classes, torch.full((count,), 3))


@pytest.mark.parametrize("seed", range(3))
def test_what_leaves_is_sorted_clipped_likely_and_apart(seed):
    found = suppress(candidates(seed=seed), (32, 48), Selection(0.1, 99, 0.4, 15))
    assert 0 < len(found.logit) <= 15
    assert (found.logit.diff() <= 0).all() and (found.logit.sigmoid() > 0.1).all()
    assert (found.boxes >= 0).all() and (found.boxes <= torch.tensor([48.0, 32, 48, 32])).all()
    same = found.classes[:, None] == found.classes
    overlap = (pairwise_iou(found.boxes, found.boxes) * same).fill_diagonal_(0)
    assert (overlap <= 0.4 + 1e-5).all()


def test_each_suppressed_box_overlaps_a_likelier_one_of_its_class():
    every = candidates()
    kept = suppress(candidates(), (32, 48), Selection(0.0, 99, 0.4, 99))
    all_boxes = suppress(every, (32, 48), Selection(0.0, 99, 1.0, 99))
    for n, value in enumerate(all_boxes.logit):
        if value not in kept.logit:
            rivals = (kept.logit > value) & (kept.classes == all_boxes.classes[n])
            overlap = pairwise_iou(all_boxes.boxes[n : n + 1], kept.boxes[rivals])
            assert overlap.max() > 0.4


@pytest.mark.parametrize(("floor", "some"), [(0.0, True), (1.0, False)])
def test_floors_of_zero_and_one_keep_all_and_none(floor, some):
    found = suppress(candidates(), (32, 48), Selection(floor, 99, 1.0, 99))
    inside = suppress(candidates(), (1000, 1000), Selection(floor, 99, 1.0, 99))
    assert (len(found.logit) > 0) == some
    assert len(inside.logit) >= len(found.logit)


def test_boxes_that_are_not_clipped_keep_their_corners():
    beyond = torch.tensor([[-5.0, -5, 40, 50]])
    one = Candidates(beyond, torch.ones(1), torch.zeros(1).long(), torch.ones(1).long())
    chosen = [
        suppress(one, (30, 30), Selection(0.1, 9, 0.5, 9, clip)).boxes.tolist()
        for clip in (True, False)
    ]
    assert chosen == [[[0, 0, 30, 30]], [[-5, -5, 40, 50]]]
