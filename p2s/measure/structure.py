"""What detectors are made of, read off the built models, and their multiply-adds (Fig. 2).

Models are built on the meta device: they have layers and shapes, but no weight and no pixel.
"""

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from p2s.model.detector import first_head
from p2s.model.second.stage import RESOLUTION
from p2s.model.zoo import build
from p2s.spec import Spec

IN_STEPS = ("ga_rpn", "cascade_rpn")  # first stages of more than one head
TOWERS = ("shared_tower", "score_tower", "box_tower", "conv")  # of our heads, of detectron2's RPN


class Cost(NamedTuple):
    """What a detector costs, weights apart."""

    parameters: int
    operations: int  # floating point operations of an image, two a multiplication and addition


@torch.no_grad()
def cost(spec: Spec, size: tuple[int, int]) -> Cost:
    """The cost of the detector of a Spec, for images of a height and width in pixels.

    Its second stage is counted on all the proposals of `spec.test`; pooling, NMS and the like are
    not counted.
    """
    with torch.device("meta"):
        model = build(spec.without_weights()).eval()
        trunk, maps = _features(model, size)
        head = _counted(first_head(model), maps)[0]["Global"]
        stages = []
        if spec.second != "none":
            stages = _heads(model.roi_heads, spec.test.proposals, maps[0].shape[1])
    parameters = sum(weight.numel() for weight in model.parameters())
    regions = sum(stage["multiply_adds"] for stage in stages)
    return Cost(parameters, 2 * (trunk + head + regions))


@torch.no_grad()
def structure_numbers(spec: Spec, size: tuple[int, int]) -> dict[str, Any]:
    """What the detector of a Spec is made of, for images of a height and width in pixels.

    The values are those of a `study.structures.Structure`, a dict a block of layers. ValueError
    if its first stage is not one head.
    """
    if spec.first in IN_STEPS:
        raise ValueError(f"first {spec.first}: its first stage is not one head with its outputs")
    proposals = 0 if spec.second == "none" else spec.test.proposals
    with torch.device("meta"):
        model = build(spec).eval()
        trunk, maps = _features(model, size)
        cells = sum(level[0, 0].numel() for level in maps)
        return {
            "fusion": spec.test.fusion,
            "backbone": spec.backbone.title,
            "levels": spec.levels,
            "trunk": trunk,
            **_dense(first_head(model), maps, cells),
            "cells": cells,
            "proposals": proposals,
            "heads": _heads(model.roi_heads, proposals, maps[0].shape[1]) if proposals else [],
        }


def _features(model, size):
    """The multiply-adds of backbone and FPN, and the maps that the first stage reads."""
    unit = model.backbone.size_divisibility  # images are padded to it
    image = torch.zeros(1, 3, *(-(-side // unit) * unit for side in size))
    counts, features = _counted(model.backbone, image)
    return counts["Global"], [features[name] for name in model.proposal_generator.in_features]


def _dense(head, maps, cells):
    """The towers of a dense head, its anchors of a cell and scores of an anchor."""
    counts, (logit, *_) = _counted(head, maps)
    places, scores = _shape(logit)
    names = [name for name in TOWERS if _convolutions(getattr(head, name, None))]
    towers = [_convolutions(getattr(head, name)) for name in names]
    of_scores = counts.get("score_tower", 0) + counts.get("score", 0)
    everything = counts["Global"]
    shares = [of_scores, everything - of_scores] if len(towers) == 2 else [everything]
    blocks = [
        _block(len(convolutions), convolutions[0].out_channels, share)
        for convolutions, share in zip(towers, shares, strict=True)
    ]
    return {"towers": blocks, "anchors": places // cells, "scores": scores}


def _shape(logit):
    """Anchors of all cells and scores of each: of (N, A, K), or of detectron2's (N, S, H, W)."""
    if isinstance(logit, list):
        return sum(level.numel() for level in logit), 1
    return logit.shape[1:]


def _heads(stages, proposals, channels):
    regions = torch.zeros(proposals, channels, RESOLUTION, RESOLUTION)
    blocks = []
    for trunk, predictor in zip(stages.box_head, stages.box_predictor, strict=True):
        counts, _ = _counted(nn.Sequential(trunk, predictor), regions)
        layers = [module for module in trunk.modules() if isinstance(module, nn.Linear)]
        blocks.append(_block(len(layers), layers[-1].out_features, counts["Global"]))
    return blocks


def _of_deformed(
    _features: Any, weight: torch.Size, *_: Any, out_shape: torch.Size, **__: Any
) -> int:
    """The operations of a deformable convolution: those of a plain one."""
    return 2 * out_shape[0] * out_shape[2:].numel() * weight.numel()


# What torch's counter does not know: sampling is not counted.
UNKNOWN = {torch.ops.torchvision.deform_conv2d.default: _of_deformed}


def _block(layers, channels, multiply_adds):
    return {"layers": layers, "channels": channels, "multiply_adds": multiply_adds}


def _convolutions(module):
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)] if module else []


def _counted(module, *inputs):
    """Multiply-adds of a module by the names of its parts, "Global" in all; its output."""
    with FlopCounterMode(display=False, custom_mapping=UNKNOWN) as counter:
        output = module(*inputs)
    counts = {
        name.split(".", 1)[-1]: sum(ops.values()) // 2  # an operation each: multiply, add
        for name, ops in counter.get_flop_counts().items()
    }
    return counts, output
