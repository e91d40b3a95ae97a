"""Deformable convolution against a plain one, and against grid sampling of our own."""

import pytest
import torch
from detectron2.layers import Conv2d
from torch.nn.functional import conv2d

from p2s.model.deformable import DeformConv
from p2s.model.first.deform import deform_conv3x3


def layer(channels=6, outputs=4, **changes):
    torch.manual_seed(0)
    return DeformConv(Conv2d(channels, outputs, 3, padding=1, **changes))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_untrained_it_is_half_the_plain_convolution(stride, groups):
    deformable = layer(stride=stride, groups=groups, bias=False)
    maps = torch.randn(2, 6, 7, 9)
    plain = conv2d(maps, deformable.weight, None, stride, 1, 1, groups)
    torch.testing.assert_close(deformable(maps), plain / 2)  # a logit of 0 weighs a half


def test_moved_points_are_those_of_grid_sampling():
    deformable = layer()
    with torch.no_grad():
        deformable.offset.weight[:18].normal_(std=0.3)
        deformable.offset.bias[18:].fill_(50.0)  # every point counts in full
    maps = torch.randn(2, 6, 7, 9)
    offsets = deformable.offset(maps)[:, :18]
    wanted = deform_conv3x3(maps, offsets, deformable.weight, deformable.bias)
    assert offsets.abs().max() > 0.5
    torch.testing.assert_close(deformable(maps), wanted, atol=1e-5, rtol=1e-4)


def test_weights_of_points_scale_what_they_bring():
    deformable, maps = layer(bias=False), torch.randn(1, 6, 5, 5)
    with torch.no_grad():
        deformable.offset.bias[18:].fill_(-50.0)
        deformable.offset.bias[18 + 4].fill_(50.0)  # the middle alone
    middle = conv2d(maps, deformable.weight[:, :, 1:2, 1:2])
    torch.testing.assert_close(deformable(maps), middle, atol=1e-5, rtol=1e-4)


def test_it_learns_where_to_look_and_takes_bfloat16():
    deformable = layer()
    deformable(torch.randn(1, 6, 5, 5)).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in deformable.offset.parameters())
    narrow = deformable.to(torch.bfloat16)(torch.randn(1, 6, 5, 5, dtype=torch.bfloat16))
    assert narrow.dtype == torch.bfloat16 and narrow.isfinite().all()
