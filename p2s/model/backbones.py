"""Backbones: a trunk and its neck, and a trunk's weights from others' files.

By default images are RGB with ImageNet's mean and deviation, and a bottleneck block strides in its
3x3 convolution, both as in torchvision. The Caffe weights of detectron2's MSRA models need what a
Spec calls p2s.spec.released.MSRA.
"""

import json
import re
from functools import partial
from pathlib import Path

import torch
from detectron2.checkpoint.c2_model_loading import convert_basic_c2_names
from detectron2.modeling.backbone import FPN
from detectron2.modeling.backbone import Backbone as Maps
from detectron2.modeling.backbone.fpn import LastLevelMaxPool, LastLevelP6P7

from p2s.model.necks.bifpn import BiFPN
from p2s.model.necks.dla_up import DlaUp
from p2s.model.trunks.dla import Dla
from p2s.model.trunks.resnet import resnet
from p2s.model.weights import read_weights, readable, require_finite, require_fit
from p2s.spec import Backbone
from p2s.spec.backbone import Levels
from p2s.spec.released import MSRA

# torchvision's names, or those of detectron2's conversion of them, to detectron2's
RENAMED = (
    (r"^(conv1|bn1)\.", r"stem.\1."),
    (r"^layer(\d)\.", lambda match: f"res{int(match[1]) + 1}."),
    (r"\bbn(\d)\.", r"conv\1.norm."),
    (r"\bdownsample\.0\.", "shortcut."),
    (r"\bdownsample\.1\.", "shortcut.norm."),
)
# Classifier, counters, a bias of zeros
UNUSED = re.compile(r"^(stem\.)?fc(1000)?\.|^linear\.|num_batches_tracked$|^stem\.conv1\.bias$")


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


def load_imagenet(maps: Maps, path: str | Path, backbone: Backbone) -> None:
    """Fill the trunk of a backbone from a local ResNet file of torchvision or detectron2.

    Reads .safetensors, .pth or .pt and detectron2's .pkl, Caffe's names too. Raises ValueError,
    with the file and what is wrong, unless it holds exactly this trunk and no code, and images come
    to the trunk of a Spec as to the file's; its classifier is dropped.
    """
    trunk = maps.bottom_up
    content = read_weights(path)
    if is_caffe := "conv1_w" in content:
        _require_msra(path, backbone)
        content = dict(zip(convert_basic_c2_names([*content]), content.values(), strict=True))
    with readable(path):  # a checkpoint may hold other things than tensors
        content = content.get("model", content)
        tensors = {_renamed(name): torch.as_tensor(value) for name, value in content.items()}
    tensors = {name: value for name, value in tensors.items() if not UNUSED.search(name)}
    wanted = {name: v for name, v in trunk.state_dict().items() if not UNUSED.search(name)}
    tensors = _still(wanted) | tensors if is_caffe else tensors
    require_fit(path, wanted, tensors, "this ResNet")
    require_finite(path, tensors)
    trunk.load_state_dict(tensors, strict=False)  # only the counters of BN are left


def _require_msra(path, backbone):
    if any(getattr(backbone, name) != value for name, value in MSRA.items()):
        pixels = json.dumps(MSRA["pixels"].model_dump(mode="json"))
        raise ValueError(
            f"{path} is an MSRA trunk; valid: --set 'backbone.pixels={pixels}' "
            f"--set backbone.stride_in={MSRA['stride_in']}"
        )


def _still(wanted):
    """Means of 0 and variances of 1: Caffe's files have the statistics in their scales."""
    return {
        name: torch.full_like(value, name.endswith("var"))
        for name, value in wanted.items()
        if "running_" in name
    }


def _renamed(name):
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name
