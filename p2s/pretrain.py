"""Pretraining: a trunk and pyramid that can read glyphs, where the paper has ImageNet's (Sec. 5).

Of the given boxes of other scenes they learn to tell the character and the style, with which a
large vocabulary is spelt: no label of theirs is a class of a detector. A training at scale desk is
too short to learn that from uneven and federated annotation. N images, R boxes.
"""

from pathlib import Path

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads import FastRCNNConvFCHead
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from p2s import engine
from p2s.backbones import resnet_fpn
from p2s.data import glyphs, ink
from p2s.data.styles import STYLES
from p2s.detector import TwoStageDetector
from p2s.pooler import FastROIPooler
from p2s.records import training_id
from p2s.second_stage import RESOLUTION
from p2s.spec import Glyphs, Recipe, Spec

SCENES = Glyphs(seed=1000, train=6000, val=1, classes=ink.LABELS)  # of all labels, all alike
RECIPE = Recipe(
    iterations=4000,
    batch=8,
    rate=2e-3,
    optimizer="adamw",
    warmup=200,
    flip=False,
    short_edge=(SCENES.size,),
    long_edge=SCENES.size,
)
JITTER = 0.05  # of a box's size: the deviation of its corners, as proposals are off too
CHANNELS = 128


class GivenBoxes(nn.Module):
    """A first stage that proposes the true boxes, a little off, and has nothing to learn."""

    def forward(self, images, features, truths):
        """As detectron2's proposal generators, in training."""
        return [_jittered(each) for each in truths], {}


class Reader(nn.Module):
    """What a region shows, as the loss of its character and of its style."""

    def __init__(self, strides: dict[str, int], channels: int):
        super().__init__()
        self.names = sorted(strides)
        self.pool = FastROIPooler(RESOLUTION, [1 / strides[name] for name in self.names])
        pooled = ShapeSpec(channels=channels, height=RESOLUTION, width=RESOLUTION)
        self.trunk = FastRCNNConvFCHead(pooled, conv_dims=[], fc_dims=[CHANNELS] * 2)
        self.character = nn.Linear(CHANNELS, len(ink.CHARACTERS))
        self.style = nn.Linear(CHANNELS, len(STYLES))

    def forward(self, images, features, proposals, truths):
        """As detectron2's heads, in training."""
        boxes = [each.proposal_boxes for each in proposals]
        seen = self.trunk(self.pool([features[name] for name in self.names], boxes))  # (R, C)
        style, character = spelt(torch.cat([each.gt_classes for each in truths]))
        return None, {
            "loss_character": cross_entropy(self.character(seen), character),
            "loss_style": cross_entropy(self.style(seen), style),
        }


def spelt(label: Tensor) -> tuple[Tensor, Tensor]:
    """The number of the style and of the character of labels (R,); see p2s.data.ink."""
    return label // len(ink.CHARACTERS), label % len(ink.CHARACTERS)


def read_glyphs(backbone, spec: Spec, cache: Path, scenes=SCENES, recipe=RECIPE):
    """Give the backbone of a Spec the weights of such a training, which is kept in the cache.

    The first that needs it trains; whoever comes meanwhile waits for it.
    """
    bare = spec.backbone.model_copy(update={"weights": None})
    own = Spec(
        num_classes=scenes.classes, levels=spec.levels, backbone=bare, recipe=recipe, data=scenes
    )
    torch.manual_seed(scenes.seed)
    model = reader(own)
    data, _ = glyphs.load(scenes, cache / "data")
    folder = cache / "pretrained" / training_id(own, data.fingerprint, scenes.seed)
    engine.train(model, own, data, folder, seed=scenes.seed)
    backbone.load_state_dict(model.backbone.state_dict())


def reader(spec: Spec) -> TwoStageDetector:
    """What is trained: the backbone of a Spec under a `Reader` of given boxes."""
    backbone = resnet_fpn(spec.backbone, spec.levels)
    strides = {name: shape.stride for name, shape in backbone.output_shape().items()}
    model = TwoStageDetector(backbone, GivenBoxes(), Reader(strides, spec.backbone.fpn_channels))
    return model.to(memory_format=torch.channels_last).train()


def _jittered(truths):
    boxes = truths.gt_boxes.tensor
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    moved = Boxes(boxes + JITTER * sides * torch.randn_like(boxes))
    return Instances(truths.image_size, proposal_boxes=moved)
