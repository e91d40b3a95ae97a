"""A DLA's upsampling: one map of stride 4, interpolated before anything is learnt."""

import torch
from torch.nn.functional import interpolate

from p2s.model.backbones import make_backbone
from p2s.model.layers import trunk_norm
from p2s.model.necks.dla_up import Up
from p2s.spec import Backbone


def test_an_untrained_upsampling_is_bilinear_inside():
    up = Up(4, 4, 2, trunk_norm("BN")).up
    maps = torch.randn(1, 4, 6, 8)
    wanted = interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(up(maps)[inside], wanted[inside])


def test_the_map_has_stride_4_the_trunks_width_and_sees_all_stages():
    backbone = Backbone(trunk="dla", depth=18, width=8, norm="BN", frozen_stages=0, neck="dla_up")
    made = make_backbone(backbone, (2, 2))
    maps = made(torch.randn(2, 3, 64, 96))
    assert [*maps] == [*made.output_shape()] == ["p2"] and maps["p2"].shape == (2, 8, 16, 24)
    maps["p2"].square().sum().backward()
    assert all(weight.grad is not None for weight in made.parameters())
