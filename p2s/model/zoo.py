"""From a Spec to a model, by constructors only."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from p2s.model import joint
from p2s.model.backbones import make_backbone, strides_and_channels
from p2s.model.detector import OneStageDetector, TwoStageDetector
from p2s.model.first.cascade_rpn import cascade_rpn
from p2s.model.first.contract import dense_detector, dense_stage
from p2s.model.first.guided_anchoring import guided_anchoring
from p2s.model.first.rpn import rpn
from p2s.model.imagenet import load_imagenet
from p2s.model.second import sigmoid as large_vocabulary
from p2s.model.second.stage import second_stage
from p2s.model.start import start
from p2s.spec import Spec
from p2s.spec.memory import require_weights
from p2s.spec.second_stage import Softmax

# All other first stages are one-stage detectors.
PROPOSAL_NETWORKS = {"rpn": rpn, "ga_rpn": guided_anchoring, "cascade_rpn": cascade_rpn}


def build(spec: Spec, classes: Sequence[str] = ()) -> OneStageDetector | TwoStageDetector:
    """The detector of a Spec, in training mode and channels_last.

    Its weights are drawn from torch's global generator: seed that for a reproducible model. Of one
    that it starts from, the layers that tell classes are carried over by the names of `classes`.
    ValueError, before anything is made, if this machine has not the memory.
    """
    require_weights(spec)
    backbone = make_backbone(spec.backbone, spec.levels)
    if isinstance(spec.backbone.weights, Path):
        load_imagenet(backbone, spec.backbone.weights, spec.backbone)
    where = (spec, *strides_and_channels(backbone))
    if spec.second == "none":
        model = OneStageDetector(backbone, first_stage(*where), spec.backbone.pixels)
    else:
        model = TwoStageDetector(backbone, *two_stages(*where), spec.backbone.pixels)
    if spec.recipe.start:
        start(model, Path(spec.recipe.start), classes)
    # Convolutions follow their weights' layout, so this makes every map channels_last too.
    return model.to(memory_format=torch.channels_last).train()


def two_stages(spec: Spec, strides: dict[str, int], channels: int) -> tuple[nn.Module, nn.Module]:
    """The first and the second stage of a Spec, on their own objectives or on a joint one."""
    where = (spec, strides, channels)
    if spec.second_stage.objective != "sampled":
        return joint.stages(*where)
    if not isinstance(spec.second_stage.cls_loss, Softmax):
        return first_stage(*where), large_vocabulary.second_stage(*where)
    return first_stage(*where), second_stage(*where)


def first_stage(spec: Spec, strides: dict[str, int], channels: int) -> nn.Module:
    """The first stage of a Spec, or its one-stage detector; see p2s.model.first.contract."""
    if spec.second == "none":
        return dense_detector(spec, strides, channels)
    return PROPOSAL_NETWORKS.get(spec.first, dense_stage)(spec, strides, channels)
