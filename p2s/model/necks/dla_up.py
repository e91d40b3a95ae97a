"""The upsampling of a DLA to one map of stride 4, by deformable convolutions (Zhou et al., 2019a).

N images, C channels. Iterative aggregation of stages (Yu et al., 2018, Sec. 3.1), the finest first.
"""

from functools import partial

import torch
from detectron2.layers import Conv2d, get_norm
from detectron2.modeling.backbone import Backbone as Maps
from fvcore.nn import weight_init
from torch import Tensor, nn
from torch.nn import functional as F

from p2s.model.deformable import DeformConv
from p2s.model.layers import Norm, trunk_norm
from p2s.spec import Backbone
from p2s.spec.backbone import Levels

STEP = 32  # pixels, the stride of the coarsest stage


class Up(nn.Module):
    """A coarse map brought to the width and size of a finer one and added to it."""

    def __init__(self, inputs: int, channels: int, factor: int, norm: Norm):
        super().__init__()
        self.project = _deformable(inputs, channels, norm)
        self.up = nn.ConvTranspose2d(
            *(channels, channels, 2 * factor, factor, factor // 2), groups=channels, bias=False
        )
        self.node = _deformable(channels, channels, norm)
        with torch.no_grad():
            self.up.weight.copy_(_bilinear(factor))

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Maps (N, C', h, w), (N, C, H, W) -> (N, C, H, W)."""
        return F.relu(self.node(self.up(F.relu(self.project(coarse))) + fine))


class DlaUp(Maps):
    """A map "p2" of stride 4 with the width of a spec's backbone, from all stages of its DLA.

    Each stage takes up those that are coarser, the coarsest stages first; what became of the
    coarsest each time is taken up once more by the finest, but for the coarsest stage itself.
    """

    def __init__(self, trunk: Maps, backbone: Backbone, levels: Levels):
        super().__init__()
        self.bottom_up = trunk
        *widths, coarsest = [shape.channels for shape in trunk.output_shape().values()]
        make, coarser = partial(Up, norm=trunk_norm(backbone.norm)), [coarsest]
        self.steps = nn.ModuleList()
        for width in reversed(widths):
            self.steps.append(nn.ModuleList(make(each, width, 2) for each in coarser))
            coarser = [width] * (len(coarser) + 1)
        more = enumerate(widths[1:], 1)
        self.last = nn.ModuleList(make(width, widths[0], 2**step) for step, width in more)
        self._out_features = ["p2"]
        self._out_feature_strides, self._out_feature_channels = {"p2": 4}, {"p2": widths[0]}

    @property
    def size_divisibility(self) -> int:
        """Of the height and width of images, in pixels."""
        return STEP

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Images (N, 3, H, W) -> the map."""
        *finer, coarsest = self.bottom_up(x).values()
        coarser, became = [coarsest], []
        for ups, fine in zip(self.steps, reversed(finer), strict=True):
            coarser = _taken_up(ups, fine, coarser)
            became.insert(0, coarser[-1])
        return {"p2": _taken_up(self.last, became[0], became[1:])[-1]}


def _taken_up(ups, fine, coarser):
    """A fine map, and what it became with each of the coarser ones, one after the other."""
    became = [fine]
    for up, coarse in zip(ups, coarser, strict=True):
        became.append(up(coarse, became[-1]))
    return became


def _deformable(inputs, channels, norm):
    plain = Conv2d(inputs, channels, 3, padding=1, norm=get_norm(norm, channels))
    weight_init.c2_msra_fill(plain)
    return DeformConv(plain)


def _bilinear(factor):
    """The weights (2 F, 2 F) by which a transposed convolution of stride F interpolates."""
    line = 1 - (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
    return line[:, None] * line
