"""Recognition: which released detector weights are of, by their keys, and its layers' sizes.

Keys are as detectron2 and CenterNet2's authors write them, see p2s.model.naming.
"""

import re
from pathlib import Path
from typing import Any

from torch import Tensor

from p2s.model.first.designs import NINE
from p2s.model.trunks.resnet import BLOCKS
from p2s.spec import Spec
from p2s.spec.released import RELEASED, released

FIRST = {  # the first stage by a start of its keys
    "centernet": "proposal_generator.centernet_head.",
    "rpn": "proposal_generator.rpn_head.",
    "retinanet": "head.cls_subnet.",
}
SECOND = {"faster": "roi_heads.box_predictor.cls_score.", "cascade": "roi_heads.box_predictor.0."}
LAYERS = {  # of a tower
    "centernet": re.compile(r"centernet_head\.bbox_tower\.\d+\.weight$"),
    "rpn": re.compile(r"rpn_head\.conv.*weight$"),
    "retinanet": re.compile(r"^head\.bbox_subnet\.\d+\.weight$"),
}
SCORES = {
    "centernet": "proposal_generator.centernet_head.cls_logits",
    "retinanet": "head.cls_score",
}
ALIEN = {  # what has no net of ours, by keys
    r"^backbone\.body\.": "a detector of torchvision's: it rounds anchors and pools regions half a "
    "cell away, which no Spec says; torchvision's ResNets are files for backbone.weights",
    r"^(conv1_w|(stem\.)?conv1\.weight)$": "a trunk alone: a file for backbone.weights",
    r"^backbone\.bottom_up\.(base|dla)": "a DLA trunk; valid: ResNet",
    r"^backbone\.bottom_up\..*conv2_offset\.": "deformable convolutions; valid: a plain ResNet",
    r"^backbone\.bottom_up\..*convs\.": "a Res2Net trunk; valid: ResNet",
    r"^roi_heads\.res5\.": "a C4 head; valid: FPN",
}
TRUNK = "backbone.bottom_up."


def refuse_alien(path: Path, tensors: dict[str, Tensor]) -> None:
    """ValueError that says what weights are of, if they are known to be of no net of ours."""
    for pattern, what in ALIEN.items():
        if any(re.search(pattern, key) for key in tensors):
            raise ValueError(f"{path} is of {what}")


def name_of(path: Path, tensors: dict[str, Tensor], asked: str | None = None) -> str:
    """Which of RELEASED weights are of; ValueError if not the one that is asked, or not one."""
    parts, valid = _stages(tensors), [*RELEASED]
    if asked:
        released(asked)
    if parts:
        classes = _classes(path, tensors, *parts)
        valid = [name for name in RELEASED if _fits(released(name), name, parts, classes)]
    if asked in valid and parts:
        return asked
    if any(key.endswith("freq_weight") for key in tensors) and not asked:
        valid = [name for name in valid if released(name).second_stage.cls_loss.is_selective]
    if len(valid) == 1 and not asked:
        return valid[0]
    told = f"keys are of {' and '.join(parts)}" if parts else f"keys are such as {[*tensors][:3]}"
    raise ValueError(f"{path}: {told}; valid --as: {', '.join(valid)}")


def sizes(path: Path, tensors: dict[str, Tensor], spec: Spec) -> dict[str, Any]:
    """Of the Spec of a released detector, the changes that its weights' shapes tell."""
    layers = [key for key in tensors if LAYERS[spec.first].search(key) and tensors[key].dim() == 4]
    pyramid = "backbone.fpn_output{}.weight"
    changes = {
        "num_classes": _classes(path, tensors, spec.first, spec.second),
        "levels": (2, 6) if pyramid.format(2) in tensors else (3, 7),
        "backbone": _trunk(path, tensors)
        | {"fpn_channels": _rows(path, tensors, pyramid.format(5))},
        "first_stage": {"layers": len(layers)},
    }
    if spec.second == "none":
        return changes
    stage = {"faster": "", "cascade": "0."}[spec.second]
    boxes = _rows(path, tensors, f"roi_heads.box_predictor.{stage}bbox_pred.weight")
    hidden = _rows(path, tensors, f"roi_heads.box_head.{stage}fc1.weight")
    by_class = {"boxes": "by_class"} if boxes > 4 and spec.second == "faster" else {}
    return changes | {"second_stage": {"channels": hidden, **by_class}}


def _stages(tensors):
    """The first and the second stage by keys; None without a first one."""

    def kind(starts, default):
        found = [
            kind for kind, start in starts.items() if any(k.startswith(start) for k in tensors)
        ]
        return found[0] if found else default

    first = kind(FIRST, None)
    return (first, kind(SECOND, "none")) if first else None


def _fits(spec, name, parts, classes):
    counted = any("num_classes" in changes for changes in RELEASED[name][1:])
    return (spec.first, spec.second) == parts and (not counted or spec.num_classes == classes)


def _classes(path, tensors, first, second):
    if second == "none":
        anchors = len(NINE) if first == "retinanet" else 1
        return _rows(path, tensors, f"{SCORES.get(first, 'roi_heads')}.weight") // anchors
    stage = {"faster": "", "cascade": "0."}[second]
    return _rows(path, tensors, f"roi_heads.box_predictor.{stage}cls_score.weight") - 1


def _trunk(path, tensors):
    blocks = [0, 0, 0, 0]
    for key in tensors:
        if match := re.match(re.escape(TRUNK) + r"res([2-5])\.\d+\.conv1\.weight$", key):
            blocks[int(match[1]) - 2] += 1
    deep = f"{TRUNK}res2.0.conv3.weight" in tensors
    fits = [d for d, of_depth in BLOCKS.items() if of_depth == tuple(blocks) and deep == (d >= 50)]
    if not fits:
        raise ValueError(f"{path}: a trunk of {blocks} blocks; valid: ResNets {[*BLOCKS]}")
    norm = f"{TRUNK}stem.conv1.norm."
    has = {"BN": f"{norm}num_batches_tracked", "FrozenBN": f"{norm}running_mean"}
    norms = [kind for kind, key in has.items() if key in tensors]
    width = _rows(path, tensors, f"{TRUNK}stem.conv1.weight")
    return {"depth": fits[0], "width": width, "norm": [*norms, "GN"][0]}


def _rows(path, tensors, key):
    if key not in tensors:
        raise ValueError(f"{path}: {key} is missing; valid: keys of a released detector")
    return len(tensors[key])
