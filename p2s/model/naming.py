"""Naming: how the authors' CenterNet2 and detectron2 call the weights of our detectors.

Ours are detectron2's own modules but for dense heads and for Faster's head, a cascade of one stage.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from p2s.model.backbone_naming import backbone_rules, renamed
from p2s.spec import Spec

HEAD, THEIR_HEAD = r"^proposal_generator\.head\.", "proposal_generator.centernet_head."
TWO_STAGE = (  # patterns of our names with theirs; all others are equal
    (HEAD + r"shared_tower\.", f"{THEIR_HEAD}bbox_tower."),
    (HEAD + r"score\.", f"{THEIR_HEAD}agn_hm."),
    (HEAD + r"ltrb\.", f"{THEIR_HEAD}bbox_pred."),
)
ONE_STAGE = (
    (HEAD + r"score_tower\.", f"{THEIR_HEAD}cls_tower."),
    (HEAD + r"box_tower\.", f"{THEIR_HEAD}bbox_tower."),
    (HEAD + r"score\.", f"{THEIR_HEAD}cls_logits."),
    (HEAD + r"ltrb\.", f"{THEIR_HEAD}bbox_pred."),
)
FASTER = ((r"^roi_heads\.(box_head|box_predictor)\.0\.", r"roi_heads.\1."),)
RETINANET = (
    # Of a layer they have no place for the norm that it lacks
    (HEAD + r"score_tower\.(\d+)", lambda match: f"head.cls_subnet.{int(match[1]) // 3 * 2}"),
    (HEAD + r"box_tower\.(\d+)", lambda match: f"head.bbox_subnet.{int(match[1]) // 3 * 2}"),
    (HEAD + r"score\.", "head.cls_score."),
    (HEAD + r"ltrb\.", "head.bbox_pred."),
)
RENAMED = {  # by first and second stage
    ("centernet", "none"): ONE_STAGE,
    ("centernet", "faster"): TWO_STAGE + FASTER,
    ("centernet", "cascade"): TWO_STAGE,
    ("rpn", "faster"): FASTER,
    ("rpn", "cascade"): (),
    ("retinanet", "none"): RETINANET,
}
SCALES = "proposal_generator.head.scales"  # one tensor of ours, a tensor a level of theirs
OURS_ALONE = {"roi_heads.image_counts", "roi_heads.images"}  # classes of data, for training


def to_theirs(ours: dict[str, Tensor], spec: Spec) -> dict[str, Tensor]:
    """The weights of our detector of a Spec by the names of others."""
    theirs = {}
    for our_name, names in _names(ours, spec):
        value = ours[our_name]
        parts = [value] if len(names) == 1 else value.split(1)
        theirs |= dict(zip(names, parts, strict=True))
    return theirs


def to_ours(theirs: dict[str, Tensor], ours: dict[str, Tensor], spec: Spec) -> dict[str, Tensor]:
    """The weights of others by our names, and what is ours alone as it is."""
    named = {}
    for our_name, names in _names(ours, spec):
        parts = [theirs[name] for name in names]
        named[our_name] = parts[0] if len(parts) == 1 else torch.cat(parts)
    return {name: value for name, value in ours.items() if name in OURS_ALONE} | named


def _names(ours: dict[str, Tensor], spec: Spec) -> Iterator[tuple[str, list[str]]]:
    rules = (*RENAMED[spec.first, spec.second], *backbone_rules(spec), *_deformable(spec))
    for name in [name for name in ours if name not in OURS_ALONE]:
        if name == SCALES:
            yield name, [f"{THEIR_HEAD}scales.{level}.scale" for level in range(len(ours[name]))]
        else:
            yield name, [renamed(name, rules)]


def _deformable(spec):
    """Of the last layer of a tower, where it is deformable."""
    if not spec.first_stage.deformable:
        return ()
    last = 3 * spec.first_stage.layers - 3
    return ((rf"(_tower\.{last})\.(weight|bias)$", r"\1.conv.\2"),)
