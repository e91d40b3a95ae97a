"""Recognition of backbones: trunk, neck and levels by keys as others write them, and their sizes.

See p2s.model.backbone_naming.
"""

import re
from pathlib import Path
from typing import Any

from torch import Tensor

from p2s.model.trunks.resnet import BLOCKS
from p2s.spec import Backbone
from p2s.spec.backbone import Levels

Tensors = dict[str, Tensor]
TRUNK = "backbone.bottom_up."
NECKS = {"bifpn": r"^backbone\.(cell|repeated_bifpn)\.", "dla_up": r"^backbone\.dla_up\."}
DLA = r"^backbone\.(bottom_up\.|base\.|backbone\.)*base_layer\."
FPN_OUTPUT = "backbone.fpn_output{}.weight"
BIFPN_OUTPUTS = (
    r"^backbone\.(cell|repeated_bifpn)\.(\d+)\..*(after_combine\.conv\.conv|outputs_\w+)\.weight$"
)


def kinds(tensors: Tensors) -> tuple[str, str, Levels | None]:
    """The kinds of the trunk and of the neck, and the levels of a neck whose name tells them."""
    necks = [kind for kind, pattern in NECKS.items() if _has(tensors, pattern)]
    neck = [*necks, "fpn"][0]
    return _trunk(tensors), neck, levels(tensors) if neck == "bifpn" else None


def levels(tensors: Tensors) -> Levels:
    """The finest and the coarsest level."""
    if _has(tensors, NECKS["dla_up"]):
        return (2, 2)
    if _has(tensors, r"^backbone\.repeated_bifpn\."):
        return (3, 7) if _has(tensors, r"\.dla6\.") else (3, 5)
    return (2, 6) if FPN_OUTPUT.format(2) in tensors else (3, 7)


def sizes(path: Path, tensors: Tensors, backbone: Backbone) -> dict[str, Any]:
    """Of a backbone of known kinds, the changes that its weights' shapes tell, or ValueError."""
    channels = {}
    if backbone.neck.kind == "fpn":
        channels = {"fpn_channels": rows(path, tensors, FPN_OUTPUT.format(5))}
    if backbone.neck.kind == "bifpn":
        outputs = [key for key in tensors if re.search(BIFPN_OUTPUTS, key)]
        layers = {re.search(BIFPN_OUTPUTS, key)[2] for key in outputs}
        channels = {"fpn_channels": len(tensors[outputs[0]]), "neck": {"layers": len(layers)}}
    if backbone.trunk.kind == "dla":
        return channels | _dla(path, tensors)
    return channels | _resnet(path, tensors, backbone.trunk.kind)


def rows(path: Path, tensors: Tensors, key: str) -> int:
    """The first size of a tensor; ValueError if it is missing."""
    if key not in tensors:
        raise ValueError(f"{path}: {key} is missing; valid: keys of a released detector")
    return len(tensors[key])


def _trunk(tensors):
    if _has(tensors, DLA):
        return "dla"
    if _has(tensors, re.escape(TRUNK) + r".*\.convs\."):
        return "res2net"
    first = [tensors.get(f"{TRUNK}res2.0.conv{k}.weight") for k in (1, 2)]
    in_groups = all(x is not None for x in first) and first[1].shape[1] < len(first[0])
    return "resnext" if in_groups else "resnet"


def _dla(path, tensors):
    place = next(re.match(DLA, key)[0] for key in tensors if re.match(DLA, key))
    trunk = place.removesuffix("base_layer.")
    return {
        "depth": 34 if f"{trunk}level3.tree1.root.conv.weight" in tensors else 18,
        "width": rows(path, tensors, f"{trunk}level2.root.conv.weight"),
        "norm": _norm(tensors, f"{place}1."),
    }


def _norm(tensors, layer):
    has = {"BN": "num_batches_tracked", "FrozenBN": "running_mean"}
    return [*(name for name, key in has.items() if layer + key in tensors), "GN"][0]


def _resnet(path, tensors, kind):
    blocks, deformable = [0, 0, 0, 0], 0
    for key in tensors:
        if match := re.match(re.escape(TRUNK) + r"res([2-5])\.\d+\.conv1\.weight$", key):
            blocks[int(match[1]) - 2] += 1
        deformable += bool(re.search(r"\bres[2-5]\.0\.conv2_offset(s\.0)?\.weight$", key))
    deep = f"{TRUNK}res2.0.conv3.weight" in tensors and kind == "resnet"
    fits = [
        depth
        for depth, of_depth in BLOCKS.items()
        if of_depth == tuple(blocks) and (kind != "resnet" or deep == (depth >= 50))
    ]
    if not fits:
        raise ValueError(f"{path}: a trunk of {blocks} blocks; valid: ResNets {[*BLOCKS]}")
    norm, last = ("stem.bn1.", "6.") if kind == "res2net" else ("stem.conv1.norm.", "")
    return {
        "depth": fits[-1],
        "width": rows(path, tensors, f"{TRUNK}stem.conv1.{last}weight"),
        "norm": _norm(tensors, TRUNK + norm),
        "deformable_stages": deformable,
    }


def _has(tensors, pattern):
    return any(re.search(pattern, key) for key in tensors)
