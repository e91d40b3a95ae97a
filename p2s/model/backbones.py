"""Backbones: a trunk and its neck, from a Spec."""

from collections.abc import Callable
from functools import partial

from detectron2.modeling.backbone import FPN
from detectron2.modeling.backbone import Backbone as Maps
from detectron2.modeling.backbone.fpn import LastLevelMaxPool, LastLevelP6P7

from p2s.model.necks.bifpn import BiFPN
from p2s.model.necks.dla_up import DlaUp
from p2s.model.trunks.dla import Dla
from p2s.model.trunks.lite0 import Lite0
from p2s.model.trunks.resnet import resnet
from p2s.spec import Backbone
from p2s.spec.backbone import Fpn, Levels


def make_backbone(backbone: Backbone, levels: Levels) -> Maps:
    """The trunk and neck of a spec's backbone, with maps "p3".."p7" for levels (3, 7), and so on.

    Weights are random, from torch's global generator. `bottom_up` is the trunk.
    """
    stages = [f"res{stage}" for stage in range(levels[0], 6)]
    make_trunk = partial(TRUNKS[backbone.trunk.kind], backbone, stages)
    if isinstance(backbone.neck, Fpn):
        return fpn(make_trunk, backbone, levels)
    return NECKS[backbone.neck.kind](make_trunk(), backbone, levels)


def strides_and_channels(backbone: Maps) -> tuple[dict[str, int], int]:
    """The stride of each level by its name, the finest first, and the channels of all."""
    shapes = backbone.output_shape()
    [channels] = {shape.channels for shape in shapes.values()}
    return {name: shape.stride for name, shape in shapes.items()}, channels


def fpn(make_trunk: Callable[[], Maps], backbone: Backbone, levels: Levels) -> FPN:
    """detectron2's FPN on the stages of a trunk.

    P6 and P7 are convolutions of P5 (Tian et al., 2019, FCOS), or of res5 (Lin et al., 2017b); P6
    of P2-P6 is P5 subsampled (Lin et al., 2017).
    """
    channels = backbone.fpn_channels
    # Drawn before the trunk, and for any levels: the first weights of all records are.
    top = LastLevelP6P7(channels, channels, "p5")
    trunk = make_trunk()
    shapes = trunk.output_shape()
    if backbone.p6_from == "res5":
        top = LastLevelP6P7(shapes["res5"].channels, channels, "res5")
    tops = {7: top, 6: LastLevelMaxPool(), 5: None}
    return FPN(trunk, [*shapes], channels, top_block=tops[levels[1]])


TRUNKS = {"resnet": resnet, "resnext": resnet, "res2net": resnet, "dla": Dla, "lite0": Lite0}
NECKS = {"bifpn": BiFPN, "dla_up": DlaUp}
