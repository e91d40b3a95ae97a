"""Pretraining: a trunk and pyramid that can read glyphs, where the paper has ImageNet's (Sec. 5).

Of the given boxes of other scenes they learn to tell the character and the style, with which a
large vocabulary is spelt: no label of theirs is a class of a detector. A training at scale desk is
too short to learn that from uneven and federated annotation. N images, R boxes.
"""

from pathlib import Path

import torch
from detectron2.structures import Boxes, ImageList, Instances
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from p2s.data import glyphs
from p2s.data.glyphs import ink
from p2s.data.glyphs.styles import STYLES
from p2s.files import canonical_hash, file_sha256
from p2s.model.backbones import make_backbone, strides_and_channels
from p2s.model.detector import TwoStageDetector
from p2s.model.imagenet import load_imagenet
from p2s.spec import Spec
from p2s.spec.pretraining import PUBLISHED, READINGS, Reading
from p2s.train import engine
from p2s.train.readers import LocationReader, RegionReader, normalised_layers, plain_layers
from p2s.train.shelf import trunk_file


class GivenBoxes(nn.Module):
    """A first stage that proposes the true boxes, a little off, and has nothing to learn."""

    def __init__(self, jitter: float):
        super().__init__()
        self.jitter = jitter

    def forward(
        self, images: ImageList, features: dict[str, Tensor], truths: list[Instances]
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """As detectron2's proposal generators, in training."""
        return [_jittered(of_image, self.jitter) for of_image in truths], {}


class Reader(nn.Module):
    """What given boxes show, as the loss of the character and of the style, of each way to read."""

    def __init__(self, strides: dict[str, int], readers: dict[str, tuple[nn.Module, int]]):
        super().__init__()
        self.names = sorted(strides)
        self.readers = nn.ModuleDict({name: reader for name, (reader, _) in readers.items()})
        widths = {name: width for name, (_, width) in readers.items()}
        self.character, self.style = (
            nn.ModuleDict({name: nn.Linear(width, words) for name, width in widths.items()})
            for words in (len(ink.CHARACTERS), len(STYLES))
        )

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        proposals: list[Instances],
        truths: list[Instances],
    ) -> tuple[None, dict[str, Tensor]]:
        """As detectron2's heads, in training."""
        levels = [features[name] for name in self.names]
        boxes = [of_image.proposal_boxes for of_image in proposals]
        style, character = spelt(torch.cat([of_image.gt_classes for of_image in truths]))
        losses = {}
        for name, reader in self.readers.items():
            seen, which = reader(levels, boxes)
            losses |= {
                f"loss_{name}_character": cross_entropy(
                    self.character[name](seen), character[which]
                ),
                f"loss_{name}_style": cross_entropy(self.style[name](seen), style[which]),
            }
        return None, losses


def spelt(label: Tensor) -> tuple[Tensor, Tensor]:
    """The number of the style and of the character of labels (R,); see p2s.data.glyphs.ink."""
    return label // len(ink.CHARACTERS), label % len(ink.CHARACTERS)


def pretrain(backbone: nn.Module, spec: Spec, cache: Path) -> None:
    """Give the backbone of a Spec what its word for weights says: a reading's, or others'.

    ValueError where others' are not at hand, or another file is.
    """
    if (word := spec.backbone.weights) not in PUBLISHED:
        return read_glyphs(backbone, spec, cache)
    path = trunk_file(word)
    if (found := file_sha256(path)) != PUBLISHED[word]:
        raise ValueError(f"{path}: sha256 {found} (valid: {PUBLISHED[word]}, as published)")
    return load_imagenet(backbone, path, spec.backbone)


def read_glyphs(
    backbone: nn.Module, spec: Spec, cache: Path, reading: Reading | None = None
) -> None:
    """Give the backbone of a Spec the weights of such a training, which is kept in the cache.

    The first that needs it trains; whoever comes meanwhile waits for it.
    """
    reading = reading or READINGS[spec.backbone.weights]
    bare, scenes = spec.backbone.model_copy(update={"weights": None}), reading.scenes
    own = {"levels": reading.levels or spec.levels, "zoom": spec.zoom, "backbone": bare}
    edges = {name: getattr(spec.recipe, name) for name in ("short_edge", "long_edge")}
    recipe = reading.recipe.model_copy(update=edges)  # scenes are enlarged as the detector's are
    own = Spec(**own, num_classes=scenes.classes, recipe=recipe, data=scenes)
    data, _ = glyphs.load(scenes, cache / "data")
    parts = [reading.model_dump(mode="json"), own.training_fields(), data.fingerprint]
    torch.manual_seed(scenes.seed)
    model = reader(own, reading)
    engine.train(model, own, data, cache / "pretrained" / canonical_hash(parts), seed=scenes.seed)
    learnt, names = model.backbone.state_dict(), backbone.state_dict()
    backbone.load_state_dict(names | {n: learnt[n] for n in names if n in learnt})


def reader(spec: Spec, reading: Reading) -> TwoStageDetector:
    """What is trained: the backbone of a Spec under a `Reader` of given boxes."""
    backbone = make_backbone(spec.backbone, spec.levels)
    strides, channels = strides_and_channels(backbone)
    ordered = [strides[name] for name in sorted(strides)]
    layers = normalised_layers if reading.locations else plain_layers
    regions = RegionReader(ordered, spec.zoom, layers(channels, reading.channels))
    readers = {"region": (regions, reading.channels)}
    if reading.locations:
        readers["location"] = (
            LocationReader(ordered, channels, spec.zoom, reading.locations - 1),
            channels,
        )
    heads = Reader(strides, readers)
    model = TwoStageDetector(backbone, GivenBoxes(reading.jitter), heads, spec.backbone.pixels)
    return model.to(memory_format=torch.channels_last).train()


def _jittered(truths, jitter):
    boxes = truths.gt_boxes.tensor
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    moved = Boxes(boxes + jitter * sides * torch.randn_like(boxes))
    return Instances(truths.image_size, proposal_boxes=moved)
