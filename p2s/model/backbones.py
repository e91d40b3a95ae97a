"""Trunks and pyramids: detectron2's ResNet of any width with its FPN.

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
from detectron2.modeling.backbone import FPN, ResNet
from detectron2.modeling.backbone.fpn import LastLevelMaxPool, LastLevelP6P7
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem, BottleneckBlock

from p2s.model.layers import BatchNorm, group_norm
from p2s.model.weights import read_weights, readable, require_finite, require_fit
from p2s.spec import Backbone
from p2s.spec.released import MSRA

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # He, Table 1

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


def resnet_fpn(backbone: Backbone, levels: tuple[int, int]) -> FPN:
    """The FPN of a spec's backbone, with maps "p3".."p7" or "p2".."p6" for levels (3, 7), (2, 6).

    P6 and P7 are convolutions of P5 (Tian et al., 2019, FCOS), or of res5 (Lin et al., 2017b); P6
    of P2-P6 is P5 subsampled (Lin et al., 2017). Weights are random, from torch's global generator.
    """
    channels, p6_from = backbone.fpn_channels, backbone.p6_from
    below = channels if p6_from == "p5" else _block(backbone, 8 * backbone.width)[1]
    tops = {(3, 7): LastLevelP6P7(below, channels, p6_from), (2, 6): LastLevelMaxPool()}
    stages = [f"res{stage}" for stage in range(levels[0], 6)]
    return FPN(_resnet(backbone, stages), stages, channels, top_block=tops[levels])


def load_imagenet(fpn: FPN, path: str | Path, backbone: Backbone) -> None:
    """Fill the trunk of an FPN from a local ResNet file of torchvision or detectron2.

    Reads .safetensors, .pth or .pt and detectron2's .pkl, Caffe's names too. Raises ValueError,
    with the file and what is wrong, unless it holds exactly this trunk and no code, and images come
    to the trunk of a Spec as to the file's; its classifier is dropped.
    """
    trunk = fpn.bottom_up
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


def _resnet(backbone, out_features):
    ours = {"GN": partial(group_norm, group_width=2), "BN": BatchNorm}
    norm = ours.get(backbone.norm, backbone.norm)
    stem = BasicStem(out_channels=backbone.width, norm=norm)
    stages, channels = [], backbone.width
    for stage, blocks in enumerate(BLOCKS[backbone.depth]):
        kind, out, more = _block(backbone, backbone.width * 2**stage)
        strides = [1 if stage == 0 else 2] + [1] * (blocks - 1)
        shape = {"in_channels": channels, "out_channels": out, "stride_per_block": strides}
        stages.append(ResNet.make_stage(kind, blocks, norm=norm, **shape, **more))
        channels = out
    return ResNet(stem, stages, out_features=out_features, freeze_at=backbone.frozen_stages)


def _block(backbone, width):
    if backbone.depth < 50:
        return BasicBlock, width, {}
    settings = {"bottleneck_channels": width, "stride_in_1x1": backbone.stride_in == "1x1"}
    return BottleneckBlock, 4 * width, settings


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
