"""Deformable convolution by grid sampling: torchvision's operator, but fast on CPUs.

N images, C channels, G groups of channels with offsets of their own.
"""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

POINTS = 9  # of a 3x3 kernel


def deform_conv3x3(features: Tensor, offsets: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A 3x3 convolution (Dai et al., 2017) of maps (N, C, H, W), zero around, as (N, C', H, W).

    `offsets` (N, 18 G, H, W) move each of the 9 points of a place, y before x, in cells.
    """
    images, channels, height, width = features.shape
    groups = offsets.shape[1] // (2 * POINTS)
    places = _places(offsets.reshape(images * groups, POINTS, 2, height, width))
    maps = features.reshape(images * groups, channels // groups, height, width)
    sampled = grid_sample(maps, places, align_corners=False)  # (N G, C / G, 9 H, W)
    sampled = sampled.view(images, channels, POINTS, height * width)
    outputs = torch.einsum("ock,nckp->nop", weight.flatten(2), sampled)
    return outputs.view(images, -1, height, width) + bias[:, None, None]


def _places(offsets):
    """Where to sample, for grid_sample: (N G, 9 H, W, 2), x before y, -1 to 1 over a map."""
    height, width = offsets.shape[-2:]
    steps = torch.arange(-1, 2, device=offsets.device)
    point = torch.cartesian_prod(steps, steps)[:, :, None, None]  # (9, 2, 1, 1): y, x
    rows = torch.arange(height, device=offsets.device)[:, None].expand(height, width)
    columns = torch.arange(width, device=offsets.device).expand(height, width)
    place = offsets + point + torch.stack((rows, columns))  # (N G, 9, 2, H, W)
    size = offsets.new_tensor((height, width))[:, None, None]
    return ((2 * place + 1) / size - 1).flip(2).permute(0, 1, 3, 4, 2).flatten(1, 2)
