"""DLA: deep layer aggregation, trees of residual blocks (Yu et al., 2018, Sec. 3).

N images, C channels.
"""

import torch
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling.backbone import Backbone as Maps
from torch import Tensor, nn
from torch.nn import functional as F

from p2s.model.layers import Norm, conv, trunk_norm
from p2s.spec import Backbone

TREES = {18: (1, 1, 1, 1), 34: (1, 2, 2, 1)}  # the depth of each stage's tree; Yu, Table 1


class Block(nn.Module):
    """Two 3x3 convolutions, to which a shortcut is added."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm):
        super().__init__()
        self.conv1 = conv(inputs, outputs, 3, norm, stride)
        self.conv2 = conv(outputs, outputs, 3, norm)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """Maps (N, C, H, W) and a shortcut of the output's shape."""
        return F.relu(self.conv2(F.relu(self.conv1(x))) + shortcut)


class Leaves(nn.Module):
    """A tree of one level: two blocks and a root, a 1x1 convolution of all that it is given."""

    def __init__(self, inputs: int, outputs: int, stride: int, carried: int, norm: Norm):
        super().__init__()
        self.tree1 = Block(inputs, outputs, stride, norm)
        self.tree2 = Block(outputs, outputs, 1, norm)
        self.root = conv(2 * outputs + carried, outputs, 1, norm)
        self.project = conv(inputs, outputs, 1, norm) if inputs != outputs else nn.Identity()
        self.stride = stride

    def forward(self, x: Tensor, *carried: Tensor) -> Tensor:
        """Maps (N, C, H, W), and what other trees hand to its root."""
        first = self.tree1(x, self.project(shrunk(x, self.stride)))
        second = self.tree2(first, first)
        return F.relu(self.root(torch.cat((second, first, *carried), 1)))


class Tree(nn.Module):
    """A tree of more levels: two of one level less, the first of which the second's root sees."""

    def __init__(
        self, depth: int, inputs: int, outputs: int, stride: int, carried: int, norm: Norm
    ):
        super().__init__()
        self.tree1 = tree(depth - 1, inputs, outputs, stride, 0, norm)
        self.tree2 = tree(depth - 1, outputs, outputs, 1, carried + outputs, norm)

    def forward(self, x: Tensor, *carried: Tensor) -> Tensor:
        """Maps (N, C, H, W), and what other trees hand to its last root."""
        first = self.tree1(x)
        return self.tree2(first, *carried, first)


def tree(
    depth: int, inputs: int, outputs: int, stride: int, carried: int, norm: Norm
) -> Leaves | Tree:
    """A tree of so many levels, whose last root is given `carried` channels besides."""
    if depth == 1:
        return Leaves(inputs, outputs, stride, carried, norm)
    return Tree(depth, inputs, outputs, stride, carried, norm)


class Dla(Maps):
    """The trunk of a spec's backbone; its stages from "res3" on see their shrunken input too."""

    def __init__(self, backbone: Backbone, out_features: list[str]):
        super().__init__()
        norm, width = trunk_norm(backbone.norm), backbone.width
        thin, half = max(width // 4, 1), max(width // 2, 1)
        self.base_layer = conv(3, thin, 7, norm)
        self.level0 = conv(thin, thin, 3, norm)
        self.level1 = conv(thin, half, 3, norm, 2)
        inputs = half
        for stage, depth in enumerate(TREES[backbone.depth], 2):
            outputs = width * 2 ** (stage - 2)
            made = tree(depth, inputs, outputs, 2, inputs if stage > 2 else 0, norm)
            self.add_module(f"level{stage}", made)
            inputs = outputs
        names = {f"res{stage}": stage for stage in range(2, 6)}
        self._out_features = out_features
        self._out_feature_strides = {name: 2**stage for name, stage in names.items()}
        self._out_feature_channels = {name: width * 2 ** (k - 2) for name, k in names.items()}
        self._freeze(backbone.frozen_stages)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Images (N, 3, H, W) -> maps by stage."""
        for thin in (self.base_layer, self.level0, self.level1):
            x = F.relu(thin(x))
        maps = {"res2": self.level2(x)}
        for stage in range(3, 6):
            x = maps[f"res{stage - 1}"]
            maps[f"res{stage}"] = getattr(self, f"level{stage}")(x, shrunk(x, 2))
        return {name: maps[name] for name in self._out_features}

    def _freeze(self, stages):
        stem = [self.base_layer, self.level0, self.level1]
        trees = [[getattr(self, f"level{stage}")] for stage in range(2, 6)]
        for part in [part for parts in [stem, *trees][:stages] for part in parts]:
            part.requires_grad_(False)
            FrozenBatchNorm2d.convert_frozen_batchnorm(part)


def shrunk(x: Tensor, stride: int) -> Tensor:
    """The largest values of squares of cells."""
    return F.max_pool2d(x, stride) if stride > 1 else x
