"""Backbones: a trunk and its neck, from a Spec."""

from functools import partial

from detectron2.modeling.backbone import FPN
from detectron2.modeling.backbone import Backbone as Maps
from detectron2.modeling.backbone.fpn import LastLevelMaxPool, LastLevelP6P7

from p2s.model.necks.bifpn import BiFPN
from p2s.model.necks.dla_up import DlaUp
from p2s.model.trunks.dla import Dla
from p2s.model.trunks.resnet import resnet
from p2s.spec import Backbone
from p2s.spec.backbone import Levels


def make_backbone(backbone: Backbone, levels: Levels) -> Maps:
    """The trunk and neck of a spec's backbone, with maps "p3".."p7" for levels (3, 7), and so on.

    Weights are random, from torch's global generator. `bottom_up` is the trunk.
    """
    stages = [f"res{stage}" for stage in range(levels[0], 6)]
    trunk = TRUNKS[backbone.trunk.kind](backbone, stages)
    return NECKS[backbone.neck.kind](trunk, backbone, levels)


def strides_and_channels(backbone: Maps) -> tuple[dict[str, int], int]:
    """The stride of each level by its name, the finest first, and the channels of all."""
    shapes = backbone.output_shape()
    [channels] = {shape.channels for shape in shapes.values()}
    return {name: shape.stride for name, shape in shapes.items()}, channels


def fpn(trunk: Maps, backbone: Backbone, levels: Levels) -> FPN:
    """detectron2's FPN on the stages of a trunk.

    P6 and P7 are convolutions of P5 (Tian et al., 2019, FCOS), or of res5 (Lin et al., 2017b); P6
    of P2-P6 is P5 subsampled (Lin et al., 2017).
    """
    channels, p6_from, shapes = backbone.fpn_channels, backbone.p6_from, trunk.output_shape()
    below = channels if p6_from == "p5" else shapes["res5"].channels
    tops = {7: partial(LastLevelP6P7, below, channels, p6_from), 6: LastLevelMaxPool, 5: type(None)}
    return FPN(trunk, [*shapes], channels, top_block=tops[levels[1]]())


TRUNKS = {"resnet": resnet, "resnext": resnet, "res2net": resnet, "dla": Dla}
NECKS = {"fpn": fpn, "bifpn": BiFPN, "dla_up": DlaUp}
