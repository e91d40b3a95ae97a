"""The heat map: the most that any level says of a place, in cells or in pixels of a picture."""

from types import SimpleNamespace

import pytest
import torch

from p2s.maths.geometry import locations
from p2s.measure.heat import heat_map, seen_in
from p2s.model.first.dense import plain_score
from p2s.model.first.heads import Predictions
from tests.support.tiny import scene, tiny


def stage(*maps):
    """A first stage that says so of each level, and features of the maps' sizes."""
    strides = torch.tensor([8.0, 16.0])
    logit = torch.cat([each.flatten(1, 2) for each in maps], 1)[..., None]  # (1, A, 1)
    grid = locations([each.shape[1:] for each in maps], strides)
    found = Predictions(logit, torch.zeros(1, logit.shape[1], 4))
    names = ["p3", "p4"]
    features = dict(zip(names, (each[:, None] for each in maps), strict=True))
    return SimpleNamespace(
        predict=lambda _: (grid, found), score=plain_score, strides=strides, in_features=names
    ), features


def test_the_heat_map_peaks_where_a_level_does_whatever_the_level():
    fine, coarse = torch.full((1, 4, 6), -9.0), torch.full((1, 2, 3), -9.0)
    fine[0, 3, 1], coarse[0, 0, 2] = 1.0, 2.0
    heat, stride = heat_map(*stage(fine, coarse), (32, 48))
    assert stride == 8 and heat.shape == (4, 6)
    expected = torch.full((4, 6), -9.0)
    expected[3, 1], expected[:2, 4:] = 1.0, 2.0
    torch.testing.assert_close(heat, expected.sigmoid())


def test_cells_that_lie_in_the_padding_are_left_out():
    heat, _ = heat_map(*stage(torch.zeros(1, 4, 6), torch.zeros(1, 2, 3)), (17, 30))
    assert heat.shape == (3, 4)


@pytest.mark.parametrize("name", ["CenterNet2", "RetinaNet", "FasterRCNN-RPN (P3-P7)"])
def test_a_picture_twice_as_large_as_its_input_has_each_cell_on_its_own_pixels(name):
    model, inputs = tiny(name).eval(), scene(0)
    heat = seen_in(model, inputs, (192, 192))
    images = model.preprocess_image([inputs])
    features = model.backbone(images.tensor)
    cells, stride = heat_map(model.proposal_generator, features, (96, 96))
    assert stride == 8 and heat.shape == (192, 192) and 0 < heat.min() < heat.max() < 1
    torch.testing.assert_close(heat, cells.repeat_interleave(16, 0).repeat_interleave(16, 1))


def test_of_an_rpn_it_is_the_likeliest_anchor_of_a_cell():
    model, inputs = tiny("FasterRCNN-RPN (P3-P7)").eval(), scene(0)
    features = model.backbone(model.preprocess_image([inputs]).tensor)
    stage = model.proposal_generator
    heat, _ = heat_map(stage, features, (96, 96))
    logits, _ = stage.rpn_head([features[name] for name in stage.in_features])
    assert heat.max() == max(level.max() for level in logits).sigmoid()


def test_anchors_that_move_have_none():
    with pytest.raises(ValueError, match="GuidedAnchoring: it has no heat map"):
        seen_in(tiny("GA RPN"), scene(0), (96, 96))
