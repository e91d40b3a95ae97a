"""Released weights: a file of CenterNet2's authors or of detectron2's zoo as a detector of ours."""

import re
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from p2s.model.naming import to_ours, to_theirs
from p2s.model.recognition import name_of, refuse_alien, sizes
from p2s.model.weights import as_tensors, read_weights, require_finite, require_fit
from p2s.model.zoo import build
from p2s.spec import Spec
from p2s.spec.released import released

UNNEEDED = {  # by what no detection depends on: patterns of keys
    "counters": r"\.num_batches_tracked$",
    "pixels, which the Spec has": r"^pixel_(mean|std)$",
    "anchors, which follow from the Spec": r"\.cell_anchors\.",
    "layers that no map depends on": r"\.level[34]\.project\.",
    "head of masks": r"^roi_heads\.mask_head\.",
    "head of keypoints": r"^roi_heads\.keypoint_head\.",
    "frequencies of classes": r"\.(freq_weight|fed_loss_cls_weights)$",
}
BESIDE = {  # entries of a checkpoint by what they are
    "origin": ("__author__", "matching_heuristics"),
    "state of the training": ("optimizer", "scheduler", "trainer", "hooks", "iteration", "epoch"),
    "averaged weights": ("ema", "ema_state", "model_ema"),
}
GROUPS = 32  # of every group normalisation; C2, d2


class Released(NamedTuple):
    """A released detector as ours, in evaluation mode, and its file's unneeded keys by reason."""

    name: str
    spec: Spec
    model: nn.Module
    dropped: dict[str, list[str]]


def read_released(
    path: str | Path, name: str | None = None, settings: Sequence[dict] = ()
) -> Released:
    """The detector that a file holds: every key is used, or known to be unneeded.

    `name` is one of p2s.spec.released; None: told from the keys. Sizes of layers are told from
    shapes; `settings` change the Spec last. ValueError in one line where anything does not fit.
    """
    path = Path(path)
    tensors, dropped = _weights(path)
    refuse_alien(path, tensors)
    name = name_of(path, tensors, name)
    spec = released(name)
    spec = reduce(Spec.changed, (sizes(path, tensors, spec), *settings), spec)
    _require_pixels(path, tensors, spec)
    model = build(spec).eval()
    _require_groups(path, model)
    ours = model.state_dict()
    wanted = to_theirs(ours, spec)
    dropped |= _unneeded(tensors.keys() - wanted.keys())
    used = tensors.keys() - {key for keys in dropped.values() for key in keys}
    require_fit(path, wanted, {key: tensors[key] for key in sorted(used)}, name)
    require_finite(path, tensors)
    model.load_state_dict(to_ours(tensors, ours, spec))
    return Released(name, spec, model, dropped)


def _weights(path: Path) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """The tensors of a file, and the other entries of a checkpoint by what they are."""
    content = read_weights(path)
    weights = content.get("model", content)
    beside = [key for key in content if key != "model"] if weights is not content else []
    named = {what: [key for key in keys if key in beside] for what, keys in BESIDE.items()}
    known = [key for keys in named.values() for key in keys]
    if unknown := [key for key in beside if key not in known]:
        raise ValueError(
            f"{path}: unknown beside the weights: {', '.join(map(str, unknown[:3]))}; "
            f"valid: {', '.join(key for keys in BESIDE.values() for key in keys)}"
        )
    return as_tensors(path, weights), {what: keys for what, keys in named.items() if keys}


def _unneeded(keys):
    by_reason = {
        reason: sorted(key for key in keys if re.search(pattern, key))
        for reason, pattern in UNNEEDED.items()
    }
    return {reason: found for reason, found in by_reason.items() if found}


def _require_pixels(path, tensors, spec):
    pixels = spec.backbone.pixels
    for key, wanted in (("pixel_mean", pixels.mean), ("pixel_std", pixels.std)):
        given = tensors[key].flatten().float() if key in tensors else torch.tensor(wanted)
        if given.shape != (3,) or not torch.allclose(given, torch.tensor(wanted), rtol=1e-4):
            field = f"backbone.pixels.{key.removeprefix('pixel_')}"
            raise ValueError(
                f"{path}: {key} is {given.tolist()}, the Spec has {[*wanted]}; valid: --set "
                f"'{field}={given.tolist()}', and backbone.pixels.order to go with it"
            )


def _require_groups(path, model):
    for name, norm in model.named_modules():
        if isinstance(norm, nn.GroupNorm) and norm.num_groups != GROUPS:
            raise ValueError(
                f"{path}: {norm.num_channels} channels are normalised in {GROUPS} groups, in ours "
                f"({name}) in {norm.num_groups}; valid: as many as published"
            )
