import math

import pytest
import torch
from detectron2.modeling.box_regression import Box2BoxTransform, Box2BoxTransformLinear
from fvcore.nn import smooth_l1_loss
from torchvision.models.detection._utils import BoxCoder

from p2s.maths.geometry import encode_ltrb, locations
from p2s.model.first.coding import Deltas, Distances
from p2s.model.first.designs import NINE

MAPS, STRIDES = [(3, 4), (2, 2)], (8, 16)
CELLS = locations(MAPS, STRIDES, shapes=((1.0, 1.0),))  # anchors are the cells
ANCHORS = locations(MAPS, STRIDES, shapes=NINE, offset=0.0)
codings = pytest.mark.parametrize(("coding", "grid"), [(Distances(), CELLS), (Deltas(), ANCHORS)])
LARGE = math.log(1000 / 16)  # of a log size, from where detectron2's decoding stays


def predictions(grid, *images, scale=1.0):
    """Of each location of so many images: distances or deltas, all positive."""
    torch.manual_seed(0)
    return scale * torch.rand(*images, len(grid.points), 4)


def boxes_around(grid):
    """A box around each location's point."""
    torch.manual_seed(1)
    sides = 1 + 50 * torch.rand(len(grid.points), 4)
    return torch.cat((grid.points - sides[:, :2], grid.points + sides[:, 2:]), 1)


@codings
def test_a_decoded_box_costs_nothing_and_any_other_something(coding, grid):
    right, wrong = predictions(grid), predictions(grid) + 0.3
    loss = coding.loss(grid, right, coding.decode(grid, right))
    torch.testing.assert_close(loss, torch.zeros(len(grid.points)), atol=1e-5, rtol=0)
    assert (coding.loss(grid, wrong, coding.decode(grid, right)) > 0.01).all()


def test_decoding_inverts_detectron2s_encoding():
    boxes = boxes_around(ANCHORS)
    deltas = Box2BoxTransform((1.0, 1.0, 1.0, 1.0)).get_deltas(ANCHORS.anchors, boxes)
    torch.testing.assert_close(Deltas().decode(ANCHORS, deltas), boxes, atol=1e-3, rtol=1e-5)
    boxes = boxes_around(CELLS)
    sides = Box2BoxTransformLinear(normalize_by_size=True).get_deltas(CELLS.anchors, boxes)
    torch.testing.assert_close(Distances().decode(CELLS, sides), boxes, atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(encode_ltrb(CELLS.points, boxes) / CELLS.stride[:, None], sides)


@pytest.mark.parametrize(
    ("coding", "grid", "peer"),
    [
        (Deltas(), ANCHORS, Box2BoxTransform((1.0, 1.0, 1.0, 1.0)).apply_deltas),
        (Deltas(), ANCHORS, BoxCoder((1.0, 1.0, 1.0, 1.0)).decode_single),
        (Distances(), CELLS, Box2BoxTransformLinear(normalize_by_size=True).apply_deltas),
    ],
    ids=["detectron2", "torchvision", "detectron2 linear"],
)
@pytest.mark.parametrize("scale", [1.0, 9.0])  # at 9 log sizes are clamped
def test_boxes_of_a_batch_are_those_of_a_peer_image_by_image(coding, grid, peer, scale):
    predicted = predictions(grid, 2, 3, scale=scale)
    found = coding.decode(grid, predicted)
    assert found.shape == predicted.shape
    for box, row in zip(found.flatten(0, 1), predicted.flatten(0, 1), strict=True):
        torch.testing.assert_close(box, peer(row, grid.anchors), rtol=1e-4, atol=1e-3)


@codings
def test_some_locations_decode_as_among_all(coding, grid):
    predicted, rows = predictions(grid), torch.tensor([13, 2, 2])
    some = coding.decode(grid.at(rows), predicted[rows])
    assert torch.equal(some, coding.decode(grid, predicted)[rows])


@codings
@pytest.mark.parametrize("value", [1e3, 1e6])
def test_boxes_and_losses_of_huge_predictions_are_finite(coding, grid, value):
    predicted = predictions(grid, scale=value).requires_grad_()
    boxes = coding.decode(grid, predicted)
    assert boxes.isfinite().all() and (boxes[:, 2:] >= boxes[:, :2]).all()
    loss = coding.loss(grid, predicted, boxes_around(grid))
    loss.sum().backward()
    assert loss.isfinite().all() and predicted.grad.isfinite().all()


def test_a_box_grows_at_most_as_detectron2_lets_it():
    deltas = torch.tensor([0.0, 0, 1e6, LARGE]).expand(len(ANCHORS.points), 4)
    boxes = Deltas().decode(ANCHORS, deltas)
    torch.testing.assert_close(boxes[:, 2:] - boxes[:, :2], ANCHORS.sides * 1000 / 16)


def test_the_loss_of_deltas_is_smooth_l1_with_those_of_the_peer():
    boxes, deltas = boxes_around(ANCHORS), predictions(ANCHORS)
    wanted = BoxCoder((1.0, 1.0, 1.0, 1.0)).encode_single(boxes, ANCHORS.anchors)
    expected = smooth_l1_loss(deltas, wanted, beta=0.1).sum(-1)  # as of detectron2's RetinaNet
    torch.testing.assert_close(Deltas().loss(ANCHORS, deltas, boxes), expected)


def test_distances_weigh_alike_on_all_levels_in_any_box_loss():
    def apart(boxes, others):
        return (boxes - others).abs().sum(-1)

    sides = torch.tensor([1.0, 2, 3, 4]).expand(len(CELLS.points), 4)
    boxes = Distances().decode(CELLS, sides + 0.25)
    loss = Distances(apart).loss(CELLS, sides, boxes)
    torch.testing.assert_close(loss, torch.ones(len(CELLS.points)))
