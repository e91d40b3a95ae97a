"""ResNet, ResNeXt and Res2Net: detectron2's ResNet of any width, of blocks of several kinds."""

from collections.abc import Callable
from functools import partial
from typing import Any

from detectron2.modeling.backbone import ResNet
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem, BottleneckBlock, CNNBlockBase

from p2s.model.deformable import DeformConv
from p2s.model.layers import trunk_norm
from p2s.model.trunks.res2net import DeepStem, Res2NetBlock
from p2s.spec import Backbone

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # He, Table 1
STEM = 64  # channels of published stems, for which the width of a group or a scale is given


class DeformBlock(BottleneckBlock):
    """A bottleneck block whose 3x3 convolution is deformable."""

    def __init__(self, in_channels: int, out_channels: int, **settings: Any):
        super().__init__(in_channels, out_channels, **settings)
        self.conv2 = DeformConv(self.conv2)


def resnet(backbone: Backbone, out_features: list[str]) -> ResNet:
    """The trunk of a spec's backbone with these of its stages "res2" to "res5".

    A depth says how many blocks there are; all are bottlenecks but in a ResNet of 18 or 34.
    """
    norm, width = trunk_norm(backbone.norm), backbone.width
    deep = backbone.trunk.kind == "res2net"
    stem = DeepStem(width, norm) if deep else BasicStem(out_channels=width, norm=norm)
    blocks, stages, channels = BLOCKS[backbone.depth], [], width
    for stage, count in enumerate(blocks):
        deformable = stage >= len(blocks) - backbone.deformable_stages
        kind, out = _block(backbone, width * 2**stage, deformable)
        strides = [1 if stage == 0 else 2] + [1] * (count - 1)
        shape = {"in_channels": channels, "out_channels": out, "stride_per_block": strides}
        stages.append(ResNet.make_stage(kind, count, norm=norm, **shape))
        channels = out
    return ResNet(stem, stages, out_features=out_features, freeze_at=backbone.frozen_stages)


def _block(
    backbone: Backbone, width: int, deformable: bool
) -> tuple[Callable[..., CNNBlockBase], int]:
    """What makes a block of a stage, and its outputs."""
    trunk = backbone.trunk
    if trunk.kind == "resnet" and backbone.depth < 50:
        return BasicBlock, width
    settings = {"bottleneck_channels": width, "stride_in_1x1": backbone.stride_in == "1x1"}
    kind = DeformBlock if deformable else BottleneckBlock
    if trunk.kind == "resnext":
        inside = trunk.groups * _share(width, trunk.group_width)
        settings |= {"bottleneck_channels": inside, "num_groups": trunk.groups}
    if trunk.kind == "res2net":
        kind = partial(Res2NetBlock, scales=trunk.scales, deformable=deformable)
        settings["bottleneck_channels"] = trunk.scales * _share(width, trunk.scale_width)
    return partial(kind, **settings), 4 * width


def _share(width, published):
    return max(1, width * published // STEM)
