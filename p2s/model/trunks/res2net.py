"""Res2Net's parts: a bottleneck block of several scales and a deep stem (Gao et al., 2019a).

N images, C channels. As the authors of CenterNet2 have it (C2), a scale is pooled only where the
3x3 convolutions stride.
"""

import torch
from detectron2.modeling.backbone.resnet import BottleneckBlock, CNNBlockBase
from torch import Tensor, nn
from torch.nn import functional as F

from p2s.model.deformable import DeformConv
from p2s.model.layers import Norm, conv


class Scales(nn.Module):
    """Equal parts of the channels, one after the other through a 3x3 convolution, but the last.

    Where `adds`, each part adds what the one before it became.
    """

    def __init__(self, convs: list[nn.Module], stride: int, adds: bool):
        super().__init__()
        self.convs, self.adds = nn.ModuleList(convs), adds
        self.pool = nn.AvgPool2d(3, stride, padding=1) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) -> (N, C, H / stride, W / stride)."""
        *parts, last = x.chunk(len(self.convs) + 1, 1)
        done: list[Tensor] = []
        for scale, part in zip(self.convs, parts, strict=True):
            done.append(F.relu(scale(part + done[-1] if self.adds and done else part)))
        return torch.cat((*done, self.pool(last)), 1)


class Res2NetBlock(BottleneckBlock):
    """A bottleneck block whose 3x3 convolution is of several scales, and its shortcut pooled."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        scales: int,
        deformable: bool,
        bottleneck_channels: int,
        stride: int = 1,
        norm: Norm = "BN",
        stride_in_1x1: bool = False,
    ):
        inside = {"bottleneck_channels": bottleneck_channels, "stride_in_1x1": stride_in_1x1}
        super().__init__(in_channels, out_channels, stride=stride, norm=norm, **inside)
        width, step = bottleneck_channels // scales, 1 if stride_in_1x1 else stride
        convs = [conv(width, width, 3, norm, step) for _ in range(scales - 1)]
        if deformable:
            convs = [DeformConv(conv, offset_bias=False) for conv in convs]
        self.conv2 = Scales(convs, step, adds=in_channels == out_channels)
        if self.shortcut:
            pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
            self.shortcut = nn.Sequential(pool, conv(in_channels, out_channels, 1, norm))


class DeepStem(CNNBlockBase):
    """Three 3x3 convolutions in place of one of 7x7, then a pooling: stride 4."""

    def __init__(self, channels: int, norm: Norm):
        super().__init__(3, channels, 4)
        half = max(channels // 2, 1)
        self.conv1 = conv(3, half, 3, norm, 2)
        self.conv2 = conv(half, half, 3, norm)
        self.conv3 = conv(half, channels, 3, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> maps (N, C, H / 4, W / 4)."""
        for layer in (self.conv1, self.conv2, self.conv3):
            x = F.relu_(layer(x))
        return F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
