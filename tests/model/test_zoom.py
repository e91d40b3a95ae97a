"""What the paper has in pixels or strides is that of an image of 800 pixels: a zoom scales it."""

import pytest
import torch

from p2s.maths.geometry import locations
from p2s.model.first import assign
from p2s.model.zoo import build
from p2s.spec import Spec

STRIDES = [8, 16, 32, 64, 128]
SIZES = [(32, 32), (16, 16), (8, 8), (4, 4), (2, 2)]


@pytest.mark.parametrize("assigner", [assign.center_peaks, assign.center_share])
@pytest.mark.parametrize("side", [20, 50, 90, 120])
def test_a_box_at_half_the_zoom_is_on_the_level_of_one_twice_as_large(assigner, side):
    def levels(zoom, side):
        box = torch.tensor([[130.0 - side / 2, 130 - side / 2, 130 + side / 2, 130 + side / 2]])
        grid = locations(SIZES, STRIDES, zoom=zoom)
        targets = assigner(grid, box, torch.tensor([0]), 1)
        return set(grid.level[targets.peaks[:, 0] > 0].tolist())

    assert levels(0.5, side) == levels(1.0, 2 * side)


@pytest.mark.parametrize("side", [20, 44, 90])
def test_points_of_fcos_answer_for_boxes_as_large_in_the_zoom(side):
    """A box whose longest distance lies inside the range of one level at every point near it."""
    for zoom in (1.0, 0.5):
        grid = locations(SIZES, STRIDES, zoom=zoom)
        reach = side * zoom / 0.7
        box = torch.tensor([[130.0 - reach / 2] * 2 + [130.0 + reach / 2] * 2])
        targets = assign.center_region(grid, box, torch.tensor([0]), 1)
        rows = (targets.peaks[:, 0] > 0).nonzero()[:, 0]
        sides = (grid.points[rows] - box[:, :2]).abs().amax(1)
        sides = torch.maximum(sides, (box[:, 2:] - grid.points[rows]).abs().amax(1))
        units = sides / grid.unit[rows]
        assert len(rows) and (units[grid.level[rows] > 0] > 4).all() and (units < 8).all()


def test_anchors_and_the_canonical_size_of_pooling_are_zoomed():
    whole, half = (build(Spec.named("FasterRCNN-RPN").changed({"zoom": z})) for z in (1.0, 0.5))
    for ours, theirs in zip(
        half.proposal_generator.anchor_generator.cell_anchors,
        whole.proposal_generator.anchor_generator.cell_anchors,
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs / 2)
    assert half.roi_heads.box_pooler.canonical_box_size == 112


@pytest.mark.parametrize(
    "name", ["RetinaNet", "ATSS", "GFL", "CenterNet*", "Cascade RPN", "GA RPN"]
)
def test_the_squares_of_dense_stages_are_zoomed(name):
    def sides(zoom):
        stage = build(Spec.named(name).changed({"zoom": zoom})).proposal_generator
        maps = [torch.zeros(1, 1, *size) for size in SIZES]
        grid = stage.grid(maps) if hasattr(stage, "grid") else stage.anchor_generator(maps)
        return grid.sides

    torch.testing.assert_close(sides(0.5), sides(1.0) / 2)
