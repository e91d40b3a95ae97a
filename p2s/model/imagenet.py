"""ImageNet's weights: others' files of a trunk.

By default images are RGB with ImageNet's mean and deviation, and a bottleneck block strides in its
3x3 convolution, both as in torchvision. Caffe weights of detectron2's MSRA and FAIR models need
what a Spec calls p2s.spec.released.TRUNKS, as does an EfficientNet-Lite0. Files of a DLA have its
authors' names, of a Res2Net those of CenterNet2's authors, of an EfficientNet-Lite0 the order of
its layers.
"""

import json
import re
from itertools import zip_longest
from pathlib import Path

import torch
from detectron2.checkpoint.c2_model_loading import convert_basic_c2_names
from detectron2.modeling.backbone import Backbone as Maps
from torch import Tensor

from p2s.model.backbone_naming import DLA, RES2NET, renamed
from p2s.model.weights import as_tensors, read_weights, require_finite, require_fit
from p2s.spec import Backbone
from p2s.spec.released import TRUNKS

# torchvision's names, or those of detectron2's conversion of them, to detectron2's
TORCHVISION = (
    (r"^(conv1|bn1)\.", r"stem.\1."),
    (r"^layer(\d)\.", lambda match: f"res{int(match[1]) + 1}."),
    (r"\bbn(\d)\.", r"conv\1.norm."),
    (r"\bdownsample\.0\.", "shortcut."),
    (r"\bdownsample\.1\.", "shortcut.norm."),
)
OURS = {"dla": DLA, "res2net": RES2NET}  # our names to others'
# Classifier, counters, a bias of zeros
UNUSED = re.compile(r"^(stem\.)?fc(1000)?\.|^linear\.|num_batches_tracked$|^stem\.conv1\.bias$")
HEAD = re.compile(r"^(_conv_head|_bn1|_fc)\.")  # of an EfficientNet-Lite0: before its classifier
IDLE = re.compile(r"^level[34]\.project\.")  # layers of a DLA-34 that no map depends on
OFFSETS = re.compile(r"\.offset\.(weight|bias)$")  # of deformable convolutions: not pretrained


def load_imagenet(maps: Maps, path: str | Path, backbone: Backbone) -> None:
    """Fill the trunk of a backbone from a local file of others.

    Reads .safetensors, .pth or .pt and detectron2's .pkl, Caffe's names too. Raises ValueError,
    with the file and what is wrong, unless it holds exactly this trunk and no code, and images come
    to the trunk of a Spec as to the file's; its classifier is dropped.
    """
    trunk, path = maps.bottom_up, Path(path)
    content, kind = read_weights(path), backbone.trunk.kind
    if (is_caffe := "conv1_w" in content) or kind == "lite0":
        _require_pixels(path, backbone)
    if is_caffe:
        content = dict(zip(convert_basic_c2_names([*content]), content.values(), strict=True))
    wanted = {name: v for name, v in trunk.state_dict().items() if not UNUSED.search(name)}
    tensors = as_tensors(path, content.get("model", content))
    tensors = _as_ours(tensors, wanted, kind)
    tensors = _still(wanted) | tensors if is_caffe else tensors
    require_fit(path, wanted, tensors, f"this {backbone.trunk.title}")
    require_finite(path, tensors)
    trunk.load_state_dict(tensors, strict=False)  # only the counters of BN are left


def _as_ours(tensors: dict[str, Tensor], wanted: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    """The tensors of a file by our names, with our own offsets where it has none."""
    if kind == "lite0":
        return _in_order(tensors, wanted)
    if kind in OURS:
        ours = {renamed(name, OURS[kind]): name for name in wanted}
        tensors = {ours.get(name, name): value for name, value in tensors.items()}
    else:
        tensors = {renamed(name, TORCHVISION): value for name, value in tensors.items()}
    used = {name: value for name, value in tensors.items() if not UNUSED.search(name)}
    used = {name: v for name, v in used.items() if name in wanted or not IDLE.search(name)}
    return {name: value for name, value in wanted.items() if OFFSETS.search(name)} | used


def _in_order(tensors, wanted):
    """The tensors of an EfficientNet-Lite0 by our names, where what each holds is told alike."""
    used = {n: v for n, v in tensors.items() if not (UNUSED.search(n) or HEAD.search(n))}
    pairs = zip_longest(used, wanted, fillvalue="")
    agreed = {theirs: ours for theirs, ours in pairs if _last(theirs) == _last(ours)}
    return {agreed.get(name, name): value for name, value in used.items()}


def _last(name):
    return name.rpartition(".")[2]


def _require_pixels(path, backbone):
    needed = TRUNKS[backbone.trunk.kind]
    if any(getattr(backbone, name) != value for name, value in needed.items()):
        pixels = json.dumps(needed["pixels"].model_dump(mode="json"))
        stride = f" --set backbone.stride_in={needed['stride_in']}" if "stride_in" in needed else ""
        named = {"resnet": "an MSRA trunk", "lite0": f"an {backbone.title}"}
        whose = named.get(backbone.trunk.kind, "a FAIR trunk")
        raise ValueError(f"{path} is {whose}; valid: --set 'backbone.pixels={pixels}'{stride}")


def _still(wanted):
    """Means of 0 and variances of 1: Caffe's files have the statistics in their scales."""
    return {
        name: torch.full_like(value, name.endswith("var"))
        for name, value in wanted.items()
        if "running_" in name
    }
