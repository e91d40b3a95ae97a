"""Recognition: which released detector weights are of, by their keys, and its layers' sizes.

Keys are as detectron2 and CenterNet2's authors write them, see p2s.model.naming.
"""

import re
from pathlib import Path
from typing import Any

from torch import Tensor

from p2s.model import backbone_recognition
from p2s.model.backbone_recognition import rows
from p2s.model.first.designs import NINE
from p2s.spec import Spec
from p2s.spec.released import RELEASED, released

FIRST = {  # the first stage by a start of its keys
    "centernet": "proposal_generator.centernet_head.",
    "rpn": "proposal_generator.rpn_head.",
    "retinanet": "head.cls_subnet.",
}
SECOND = {"faster": "roi_heads.box_predictor.cls_score.", "cascade": "roi_heads.box_predictor.0."}
LAYERS = {  # of a tower
    "centernet": re.compile(r"centernet_head\.bbox_tower\.\d+(\.conv)?\.weight$"),
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
    r"^roi_heads\.res5\.": "a C4 head; valid: FPN",
}


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
        kinds = (*parts, *backbone_recognition.kinds(tensors))
        valid = [name for name in RELEASED if _fits(released(name), name, kinds, classes)]
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
    changes = {
        "num_classes": _classes(path, tensors, spec.first, spec.second),
        "levels": backbone_recognition.levels(tensors),
        "backbone": backbone_recognition.sizes(path, tensors, spec.backbone),
        "first_stage": {"layers": len(layers)},
    }
    if spec.second == "none":
        return changes
    stage = {"faster": "", "cascade": "0."}[spec.second]
    boxes = rows(path, tensors, f"roi_heads.box_predictor.{stage}bbox_pred.weight")
    hidden = rows(path, tensors, f"roi_heads.box_head.{stage}fc1.weight")
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


def _fits(spec, name, kinds, classes):
    counted = any("num_classes" in changes for changes in RELEASED[name][1:])
    backbone = spec.backbone
    own = (spec.first, spec.second, backbone.trunk.kind, backbone.neck.kind)
    fits = own == kinds[:4] and kinds[4] in (None, spec.levels)
    return fits and (not counted or spec.num_classes == classes)


def _classes(path, tensors, first, second):
    if second == "none":
        anchors = len(NINE) if first == "retinanet" else 1
        return rows(path, tensors, f"{SCORES.get(first, 'roi_heads')}.weight") // anchors
    stage = {"faster": "", "cascade": "0."}[second]
    return rows(path, tensors, f"roi_heads.box_predictor.{stage}cls_score.weight") - 1
