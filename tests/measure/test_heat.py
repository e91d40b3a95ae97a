from types import SimpleNamespace

import torch

from p2s.maths.geometry import locations
from p2s.measure.heat import heat_map
from p2s.model.first.dense import plain_score
from p2s.model.first.heads import Predictions


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
