"""BiFPN: layers with a way down and a way up (Tan et al., 2020b, Sec. 3).

N images, C channels. Levels are lists of maps, the finest first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from detectron2.modeling.backbone import Backbone as Maps
from torch import Tensor, nn
from torch.nn import functional as F

from p2s.model.layers import conv, group_norm
from p2s.spec import Backbone
from p2s.spec.backbone import Levels

EPSILON = 1e-4  # Tan et al., Sec. 3.3
STEP = 128  # images are padded to a multiple of so many pixels; C2
NORM = partial(group_norm, group_width=8)  # C2


@dataclass(frozen=True)
class Form:
    """What sets the two forms of BiFPN apart that the authors have (C2)."""

    has_both: bool  # a stage that has both ways: a lateral for each
    bias: bool  # of laterals
    shrink: Callable[[Tensor], Tensor]


FORMS = {
    "efficientdet": Form(True, False, partial(F.max_pool2d, kernel_size=2)),
    "fcos": Form(False, True, partial(F.max_pool2d, kernel_size=3, stride=2, padding=1)),
}


class Fusion(nn.Module):
    """Fast normalised fusion of maps, then swish, a 3x3 convolution and a norm (Sec. 3.3; C2)."""

    def __init__(self, inputs: int, channels: int):
        super().__init__()
        self.weights = nn.Parameter(torch.ones(inputs))
        self.conv = conv(channels, channels, 3, NORM)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (N, C, H, W) of one size -> one of them."""
        weights = self.weights.relu()
        weights = (weights / (weights.sum() + EPSILON)).unbind()
        fused = sum(weight * each for weight, each in zip(weights, maps, strict=True))
        return self.conv(F.silu(fused))


class Layer(nn.Module):
    """From the coarsest level to the finest and back, which sees both what was and what became.

    Laterals bring levels of other widths to that of the layer; the coarsest level has one for each
    way in both forms.
    """

    def __init__(self, inputs: Sequence[int], channels: int, form: Form):
        super().__init__()
        self.shrink = form.shrink
        top = len(inputs) - 1
        self.down = nn.ModuleList(Fusion(2, channels) for _ in range(top))
        self.up = nn.ModuleList(
            Fusion(3 if level < top else 2, channels) for level in range(1, top + 1)
        )
        self.lateral = nn.ModuleDict()
        for level, width in enumerate(inputs):
            has_two = level == top or (level > 0 and form.has_both)
            for way in ("down", "up")[: 1 + has_two]:
                self.lateral[f"{way}{level}"] = _lateral(width, channels, form.bias)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Levels of any widths -> levels of the layer's."""
        top = len(maps) - 1
        middle = {top: self._brought(maps, top, "down")}
        for level in reversed(range(top)):
            above = F.interpolate(middle[level + 1], scale_factor=2.0)
            middle[level] = self.down[level]([self._brought(maps, level, "down"), above])
        done = [middle[0]]
        for level in range(1, top + 1):
            between = [middle[level]] if level < top else []
            below = self.shrink(done[-1])
            done.append(self.up[level - 1]([self._brought(maps, level, "up"), *between, below]))
        return done

    def _brought(self, maps, level, way):
        name = f"{way}{level}" if f"{way}{level}" in self.lateral else f"down{level}"
        return self.lateral[name](maps[level])


class BiFPN(Maps):
    """The levels of a spec's backbone, "p3" to "p5" or "p7", by layers on stages of its trunk.

    P6 is the last stage by a 1x1 convolution and a norm, shrunk; P7 is P6 shrunk (C2).
    """

    def __init__(self, trunk: Maps, backbone: Backbone, levels: Levels):
        super().__init__()
        channels, form = backbone.fpn_channels, FORMS[backbone.neck.form]
        self.shrink = form.shrink
        shapes = trunk.output_shape()
        self.bottom_up, self.in_features = trunk, [*shapes]
        widths = [shape.channels for shape in shapes.values()]
        self.more = levels[1] - 5  # levels coarser than the stages
        self.sixth = conv(widths[-1], channels, 1, NORM) if self.more else None
        widths += [channels] * self.more
        self.layers = nn.Sequential()
        for _ in range(backbone.neck.layers):
            self.layers.append(Layer(widths, channels, form))
            widths = [channels] * len(widths)
        self._out_features = [f"p{level}" for level in range(levels[0], levels[1] + 1)]
        self._out_feature_strides = {name: 2 ** int(name[1:]) for name in self._out_features}
        self._out_feature_channels = dict.fromkeys(self._out_features, channels)

    @property
    def size_divisibility(self) -> int:
        """Of the height and width of images, in pixels."""
        return STEP

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Images (N, 3, H, W) -> maps by level, the finest first."""
        maps = list(self.bottom_up(x).values())
        for _ in range(self.more):
            below = self.sixth(maps[-1]) if len(maps) == len(self.in_features) else maps[-1]
            maps.append(self.shrink(below))
        return dict(zip(self._out_features, self.layers(maps), strict=True))


def _lateral(inputs, channels, has_bias):
    if inputs == channels:
        return nn.Identity()
    made = conv(inputs, channels, 1, NORM)
    if has_bias:
        made.bias = nn.Parameter(torch.zeros(channels))
    return made
