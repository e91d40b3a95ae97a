"""Trunks and pyramids: detectron2's ResNet of any width with its FPN.

Images are RGB with ImageNet's mean and deviation, and a bottleneck block strides in its 3x3
convolution, both as in torchvision. The Caffe weights of detectron2's MSRA models (BGR, stride in
the first 1x1) don't fit and are refused.
"""

import re
from functools import partial
from pathlib import Path

import torch
from detectron2.modeling.backbone import FPN, ResNet
from detectron2.modeling.backbone.fpn import LastLevelMaxPool, LastLevelP6P7
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem, BottleneckBlock

from p2s.model.layers import group_norm
from p2s.model.weights import read_weights, readable, require_fit
from p2s.spec import Backbone

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # He, Table 1

# torchvision's names, or those of detectron2's conversion of them, to detectron2's
RENAMED = (
    (r"^(conv1|bn1)\.", r"stem.\1."),
    (r"^layer(\d)\.", lambda match: f"res{int(match[1]) + 1}."),
    (r"\bbn(\d)\.", r"conv\1.norm."),
    (r"\bdownsample\.0\.", "shortcut."),
    (r"\bdownsample\.1\.", "shortcut.norm."),
)
UNUSED = re.compile(r"^(stem\.)?fc\.|^linear\.|num_batches_tracked$")  # classifier, counters


def resnet_fpn(backbone: Backbone, levels: tuple[int, int]) -> FPN:
    """The FPN of a spec's backbone, with maps "p3".."p7" or "p2".."p6" for levels (3, 7), (2, 6).

    P6 and P7 are convolutions of P5 (Tian et al., 2019, FCOS); P6 of P2-P6 is P5 subsampled
    (Lin et al., 2017). Weights are random, from torch's global generator.
    """
    channels = backbone.fpn_channels
    tops = {(3, 7): LastLevelP6P7(channels, channels, "p5"), (2, 6): LastLevelMaxPool()}
    stages = [f"res{stage}" for stage in range(levels[0], 6)]
    return FPN(_resnet(backbone, stages), stages, channels, top_block=tops[levels])


def load_imagenet(fpn: FPN, path: str | Path) -> None:
    """Fill the trunk of an FPN from a local ResNet file of torchvision or detectron2.

    Reads .safetensors, .pth or .pt and detectron2's .pkl. Raises ValueError, with the file and what
    is wrong, unless it holds exactly this trunk and no code; its classifier is dropped.
    """
    trunk = fpn.bottom_up
    content = read_weights(path)
    with readable(path):  # a checkpoint may hold other things than tensors
        content = content.get("model", content)
        tensors = {_renamed(name): torch.as_tensor(value) for name, value in content.items()}
    tensors = {name: value for name, value in tensors.items() if not UNUSED.search(name)}
    wanted = {name: v for name, v in trunk.state_dict().items() if not UNUSED.search(name)}
    require_fit(path, wanted, tensors, "this ResNet")
    trunk.load_state_dict(tensors, strict=False)  # only the counters of BN are left


def _resnet(backbone, out_features):
    norm = partial(group_norm, group_width=2) if backbone.norm == "GN" else backbone.norm
    stem = BasicStem(out_channels=backbone.width, norm=norm)
    stages, channels = [], backbone.width
    for stage, blocks in enumerate(BLOCKS[backbone.depth]):
        kind, out, more = _block(backbone.depth, backbone.width * 2**stage)
        strides = [1 if stage == 0 else 2] + [1] * (blocks - 1)
        shape = {"in_channels": channels, "out_channels": out, "stride_per_block": strides}
        stages.append(ResNet.make_stage(kind, blocks, norm=norm, **shape, **more))
        channels = out
    return ResNet(stem, stages, out_features=out_features, freeze_at=backbone.frozen_stages)


def _block(depth, width):
    if depth < 50:
        return BasicBlock, width, {}
    return BottleneckBlock, 4 * width, {"bottleneck_channels": width}


def _renamed(name):
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name
