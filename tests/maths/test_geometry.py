import math

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from p2s.maths import geometry as geo

coordinate = st.floats(-500, 500, width=32)
side = st.floats(0.125, 500, width=32)
box = st.tuples(coordinate, coordinate, side, side).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
boxes = st.lists(box, min_size=1, max_size=6).map(torch.tensor)


def test_locations_are_cell_centres_row_by_row():
    grid = geo.locations([(2, 3), (1, 1)], [8, 16])
    rows = [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12], [8, 8]]
    assert grid.points.tolist() == rows
    assert grid.level.tolist() == [0] * 6 + [1]
    assert grid.stride.tolist() == [8.0] * 6 + [16.0]


@settings(max_examples=50, deadline=None)
@given(boxes, coordinate, coordinate)
def test_decoding_inverts_encoding(truths, x, y):
    points = torch.tensor([x, y]).expand(len(truths), 2)
    again = geo.decode_ltrb(points, geo.encode_ltrb(points, truths))
    torch.testing.assert_close(again, truths, atol=1e-3, rtol=1e-5)


def test_ltrb_of_a_known_point():
    ltrb = geo.encode_ltrb(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 1.0, 10.0, 20.0]))
    assert ltrb.tolist() == [2, 3, 7, 16]


def test_size_ranges_are_the_papers_for_p3_to_p7():
    ranges = geo.size_ranges(torch.tensor([8, 16, 32, 64, 128]))
    expected = [[0, 80], [64, 160], [128, 320], [256, 640], [512, math.inf]]
    assert ranges.tolist() == expected


def test_size_ranges_are_the_authors_for_p3_to_p5_and_one_level_takes_all():
    expected = [[0, 64], [48, 192], [128, math.inf]]
    assert geo.size_ranges(torch.tensor([8, 16, 32])).tolist() == expected
    assert geo.size_ranges(torch.tensor([4])).tolist() == [[0, math.inf]]


def test_half_diagonal_and_area_of_a_3_4_5_box():
    one = torch.tensor([[1.0, 1.0, 7.0, 9.0]])
    assert geo.half_diagonal(one).item() == 5
    assert geo.area(one).item() == 48


@settings(max_examples=50, deadline=None)
@given(boxes, boxes)
def test_iou_agrees_with_torchvision(one, other):
    expected = torchvision.ops.box_iou(one.double(), other.double()).float()
    torch.testing.assert_close(geo.pairwise_iou(one, other), expected, atol=1e-4, rtol=1e-3)


@settings(max_examples=50, deadline=None)
@given(boxes)
def test_giou_agrees_with_torchvision_is_symmetric_and_bounded(one):
    other = one.flip(0)
    giou = geo.paired_giou(one, other)
    expected = torchvision.ops.generalized_box_iou(one.double(), other.double()).diagonal().float()
    torch.testing.assert_close(giou, expected, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(giou, geo.paired_giou(other, one))
    assert (giou >= -1).all() and (giou <= 1 + 1e-6).all()
    assert (giou <= geo.paired_iou(one, other) + 1e-6).all()


@settings(max_examples=30, deadline=None)
@given(boxes)
def test_a_box_overlaps_itself_fully(one):
    torch.testing.assert_close(geo.paired_iou(one, one), torch.ones(len(one)))
    torch.testing.assert_close(geo.paired_giou(one, one), torch.ones(len(one)))


@pytest.mark.parametrize("size", [0, 1])
def test_empty_inputs_and_empty_boxes_are_finite(size):
    nothing = torch.zeros(size, 4, requires_grad=True)
    giou = geo.paired_giou(nothing, torch.zeros(size, 4))
    giou.sum().backward()
    assert giou.shape == (size,) and nothing.grad.isfinite().all()
    assert geo.pairwise_iou(torch.zeros(size, 4), torch.ones(3, 4)).shape == (size, 3)
