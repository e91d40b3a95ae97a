"""Guided Anchoring: what its first step learns, and which anchors it leaves."""

import math

import pytest
import torch
from detectron2.modeling.proposal_generator import RPN
from torchvision.ops import clip_boxes_to_image

from p2s.model.first.adaptive_rpn import center_targets
from p2s.model.first.coding import decoded
from tests.support.tiny_rpn import (
    ALL,
    COUNT,
    EVERY,
    GRID,
    GUIDED,
    SIZES,
    STRIDES,
    TWO,
    by_level,
    network,
    random_steps,
    run,
    says,
    squares,
)


def overlap(box, other):
    sides = [min(box[k + 2], other[k + 2]) - max(box[k], other[k]) for k in (0, 1)]
    common = max(sides[0], 0) * max(sides[1], 0)
    area, others = ((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other))
    return common / (area + others - common)


def best_shape(point, stride, box):
    """The highest overlap of a box with nine shapes around a point."""
    shapes = []
    for size, ratio in ((s, r) for s in range(3) for r in (0.5, 1, 2)):
        side = 8 * stride * 2 ** (size / 3)
        w, h = side / math.sqrt(ratio) / 2, side * math.sqrt(ratio) / 2
        shapes.append([point[0] - w, point[1] - h, point[0] + w, point[1] + h])
    return max(overlap(shape, box) for shape in shapes)


def shape_cost(side, wanted):
    apart = 1 - min(side / wanted, wanted / side)
    return apart**2 / 0.4 if apart < 0.2 else apart - 0.1


def test_shapes_are_learnt_where_the_best_of_nine_overlaps_a_truth():
    net, steps = network(GUIDED), random_steps()
    anchors = decoded(net.rpn_head.transform, GRID.anchors, steps.anchor)
    sides = (anchors[..., 2:] - anchors[..., :2]).tolist()
    cost = positives = 0
    for image, each in enumerate(TWO):
        boxes = each.gt_boxes.tensor.tolist()
        pairs = zip(GRID.points.tolist(), GRID.stride.tolist(), strict=True)
        rows = [[best_shape(*place, box) for box in boxes] for place in pairs]
        highest = [max(column) for column in zip(*rows, strict=True)]
        for n, row in enumerate(rows):
            if max(row) >= 0.7 or any(a == b for a, b in zip(row, highest, strict=True)):
                box, positives = boxes[row.index(max(row))], positives + 1
                cost += shape_cost(sides[image][n][0], box[2] - box[0])
                cost += shape_cost(sides[image][n][1], box[3] - box[1])
    loss = net.first_step(GRID, steps, anchors, TWO)["loss_rpn_shape"].item()
    assert 10 < positives < 128  # of more, some would be drawn
    assert loss == pytest.approx(cost / (256 * 2), rel=1e-4)


def test_locations_learn_centres_in_full_a_tenth_of_the_rest_and_nothing_between():
    net, steps = network(GUIDED), random_steps()
    anchors = decoded(net.rpn_head.transform, GRID.anchors, steps.anchor)
    loss = net.first_step(GRID, steps, anchors, TWO)["loss_rpn_location"]
    targets = center_targets(GRID, TWO)
    centre, ignored = (targets.peaks == 1)[..., 0], (targets.heat > targets.peaks)[..., 0]
    p = steps.location.detach().sigmoid()
    cost = torch.where(centre, -0.25 * (1 - p) ** 2 * p.log(), -0.075 * p**2 * (1 - p).log())
    assert centre.any() and ignored.any()
    torch.testing.assert_close(loss, cost[~ignored].sum() * 200 / (2 * COUNT))


def test_the_second_step_on_squares_is_detectron2s_rpn():
    steps = random_steps()._replace(anchor=torch.zeros(2, COUNT, 4))
    net = says(network(GUIDED), **steps._asdict())
    net.batch_size_per_image = EVERY  # nothing is drawn
    peer = RPN(
        in_features=list(STRIDES), anchor_generator=squares, anchor_matcher=net.anchor_matcher,
        head=lambda _: (by_level(steps.logit[..., None]), by_level(steps.deltas)),
        box2box_transform=net.box2box_transform, batch_size_per_image=EVERY, smooth_l1_beta=1.0,
        positive_fraction=0.5, pre_nms_topk=(2000, 0), post_nms_topk=(300, 0), nms_thresh=0.7,
    )  # fmt: skip
    (ours, found), (theirs, wanted) = run(net, *TWO), run(peer, *TWO)
    for name, loss in wanted.items():
        torch.testing.assert_close(found[name], loss)
    for one, other in zip(ours, theirs, strict=True):
        boxes, logits = one.proposal_boxes.tensor, one.objectness_logits
        assert 20 < len(boxes) < COUNT
        torch.testing.assert_close(boxes, other.proposal_boxes.tensor)
        torch.testing.assert_close(logits, other.objectness_logits)


@pytest.mark.parametrize("likely", [0, 1, 9])
def test_in_test_only_unlikely_locations_have_no_anchor(likely):
    location = torch.full((2, COUNT), 0.0099).logit()
    location[0, 50 : 50 + likely] = torch.tensor(0.0101).logit()
    still = {"anchor": torch.zeros(2, COUNT, 4), "deltas": torch.zeros(2, COUNT, 4)}
    net = says(network(GUIDED, **ALL), location=location, **still).eval()
    one, other = run(net)[0]
    assert len(other) == 0
    expected = clip_boxes_to_image(GRID.anchors[50 : 50 + likely], SIZES[0])
    assert sorted(one.proposal_boxes.tensor.tolist()) == sorted(expected.tolist())
    assert all(len(each) > 50 for each in run(net.train(), *TWO)[0])
