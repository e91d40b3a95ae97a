"""int8 inference by static quantisation: backbone and dense head, with torchao's PT2E for x86.

Values are rounded to 8 bits by scales that calibration images set. What follows the dense head is
left to `optimize`. A quantised model takes images of the size that it was calibrated with.
"""

import copy

import torch
from torch import nn
from torch.export import export

from p2s.model.first.heads import DenseHead, Predictions

try:
    from torchao.quantization.pt2e.inductor_passes.x86 import (
        _register_quantization_weight_pack_pass as register_int8_convolutions,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
        X86InductorQuantizer,
        get_default_x86_inductor_quantization_config,
    )
except ImportError as error:
    raise ImportError(f"{error}: int8 needs torchao; run `pip install torchao`") from None


@torch.no_grad()
def quantize(model: nn.Module, images: list[dict]) -> None:
    """Make the backbone and a dense head of a folded model work in int8, in place.

    `images` are detectron2's inputs, all of one size after padding; a few dozen of training do.
    An RPN's head is left as it is: one layer, and not of `DenseHead`.
    """
    register_int8_convolutions()
    first, levels = model.proposal_generator, []
    if isinstance(getattr(first, "head", None), DenseHead):
        first.head = _ByLevel(first.head, len(first.in_features))
        levels = first.head.levels
    model.backbone = _OneSize(model.backbone, _watched(model, model.backbone, images[0]))
    for index, level in enumerate(levels):
        levels[index] = _watched(model, level, images[0])
    for inputs in images:
        model([inputs])
    model.backbone.graph = convert_pt2e(model.backbone.graph)
    for index, level in enumerate(levels):
        levels[index] = convert_pt2e(level)


class _OneSize(nn.Module):
    """A backbone as a graph, which takes images of one size."""

    def __init__(self, backbone, graph):
        super().__init__()
        self.graph, self.size = graph, None
        self.size_divisibility = backbone.size_divisibility
        self.padding_constraints = backbone.padding_constraints

    def forward(self, images):
        """As the backbone; ValueError for an image of another size than the first one."""
        size = tuple(images.shape[-2:])
        self.size = self.size or size
        if size != self.size:
            raise ValueError(f"images of {size} pixels; this int8 model is for {self.size} alone")
        return self.graph(images)


class _ByLevel(nn.Module):
    """A dense head as a graph a level: a quantiser knows a module by its one place in a graph."""

    def __init__(self, head: DenseHead, num_levels: int):
        super().__init__()
        self.levels = nn.ModuleList(_OfLevel(head, level) for level in range(num_levels))

    def forward(self, maps):
        """As `DenseHead`."""
        outputs = [head(features) for head, features in zip(self.levels, maps, strict=True)]
        return Predictions(*(torch.cat(field, 1) for field in zip(*outputs, strict=True)))


class _OfLevel(nn.Module):
    def __init__(self, head, level):
        super().__init__()
        self.head, self.level = copy.copy(head), level

    def forward(self, features):
        return self.head.at_level(features, self.level)


def _watched(model, part, image):
    """The part as a graph that watches its values; its arguments are those that an image gives."""
    seen = []
    hook = part.register_forward_pre_hook(lambda _, arguments: seen.append(arguments))
    model([image])
    hook.remove()
    quantizer = X86InductorQuantizer()
    quantizer.set_global(get_default_x86_inductor_quantization_config())
    return prepare_pt2e(export(part, seen[0]).module(), quantizer)
