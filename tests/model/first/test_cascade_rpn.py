"""Cascade RPN: where its second step looks, and what both steps learn."""

import pytest
import torch
from detectron2.modeling.proposal_generator import RPN
from detectron2.utils.events import EventStorage
from torch.nn.functional import conv2d
from torchvision.ops import box_iou, deform_conv2d

from p2s.maths.geometry import locations
from p2s.model.first.adaptive_rpn import center_targets
from p2s.model.first.cascade_rpn import CascadeHead
from p2s.model.first.coding import decoded
from p2s.model.first.deform import deform_conv3x3
from tests.support.tiny_rpn import (
    CASCADE,
    CHANNELS,
    COUNT,
    GRID,
    SIDES,
    TWO,
    network,
    random_steps,
    squares,
)


def test_a_kernel_spread_over_the_square_is_a_dilated_convolution():
    torch.manual_seed(0)
    x, weight, bias = torch.randn(1, 4, 12, 15), torch.randn(2, 4, 3, 3), torch.randn(2)
    offsets = CascadeHead(CHANNELS).aligned(torch.zeros(1, 4, 12, 15))
    found = deform_conv3x3(x, offsets, weight, bias)
    expected = conv2d(x, weight, bias, padding=4, dilation=4)  # -4, 0 and 4 of 8 cells
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_kernel_aligned_with_an_anchor_sees_its_corners_middles_and_centre():
    head, grid = CascadeHead(CHANNELS), locations([(24, 30)], [8])
    torch.manual_seed(0)
    deltas = torch.randn(1, 4, 24, 30) * 2
    anchors = decoded(head.transform, grid.anchors, deltas.flatten(2).mT)[0]
    middle = (anchors[:, :2] + anchors[:, 2:]) / 2
    x, y = torch.stack((anchors[:, :2], middle, anchors[:, 2:]), -1).unbind(1)  # (A, 3)
    expected = torch.stack((x[:, None].expand(-1, 3, 3), y[..., None].expand(-1, 3, 3)), -1)
    points = grid.points.T.view(1, 2, 24, 30)  # a map of where its cells are
    reader = torch.eye(18).view(18, 9, 2).mT.reshape(18, 2, 3, 3)  # an output a number
    found = deform_conv2d(points, head.aligned(deltas), reader, padding=1)
    found = found.flatten(2).mT.view(-1, 3, 3, 2)
    inside = (anchors >= 4).all(1) & (anchors <= torch.tensor([236, 188, 236, 188])).all(1)
    assert inside.sum() > 200
    torch.testing.assert_close(found[inside], expected[inside], rtol=1e-4, atol=1e-2)


def test_a_kernel_spreads_no_further_than_an_anchor_can_grow():
    offsets = CascadeHead(CHANNELS).aligned(torch.full((1, 4, 1, 1), 1e6)).view(9, 2)
    torch.testing.assert_close(offsets[8] - offsets[0] + 2, torch.full((2,), 8 * 1000 / 16))


def test_first_boxes_are_learnt_near_centres_only_and_cost_nothing_where_perfect():
    net, steps = network(CASCADE), random_steps()
    targets = center_targets(GRID, TWO)
    near = targets.weight > 0
    anchors = decoded(net.rpn_head.transform, GRID.anchors, steps.anchor)
    (loss,) = net.first_step(GRID, steps, anchors, TWO).values()
    loss.backward()
    assert 4 < near.sum() < 60 and not steps.anchor.grad[~near].any()
    iou = box_iou(anchors[near], targets.boxes[near]).diagonal()
    torch.testing.assert_close(loss, 10 * (1 - iou).sum() * 200 / (2 * COUNT))
    (perfect,) = net.first_step(GRID, steps, targets.boxes, TWO).values()
    assert perfect.item() == pytest.approx(0, abs=1e-6)


def test_second_losses_of_cascade_rpn_are_cross_entropy_and_ten_times_iou():
    net, steps = network(CASCADE), random_steps(1)
    (boxes,), label = (squares()[:1], torch.arange(SIDES[0] ** 2) % 3 - 1)
    count, wanted = len(label), boxes.tensor + 3
    pieces = [boxes], [steps.logit[:, :count]], [label], [steps.deltas[:, :count]], [wanted]
    with EventStorage():
        found, peer = net.losses(*pieces), RPN.losses(net, *pieces)
    torch.testing.assert_close(found["loss_rpn_cls"], peer["loss_rpn_cls"])
    proposals = net.box2box_transform.apply_deltas(steps.deltas[0, :count], boxes.tensor)
    iou = box_iou(proposals, wanted).diagonal()[label == 1]
    torch.testing.assert_close(found["loss_rpn_loc"], 10 * (1 - iou).sum() / 256)
