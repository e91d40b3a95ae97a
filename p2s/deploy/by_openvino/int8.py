"""int8 by OpenVINO: static quantisation of the graphs of some parts of a detector, by NNCF."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten

try:
    import nncf
except ImportError as error:
    raise ImportError(f"{error}: int8 needs `pip install nncf`") from None

# P6 and P7 cost next to nothing, and quantised they were all zeros.
EXACT = nncf.IgnoredScope(patterns=[".*top_block.*"], validate=False)


def quantize(model: nn.Module, parts: Sequence[nn.Module], images: Sequence[dict]) -> None:
    """Let the graphs of parts work in int8, with scales that images set.

    `images` are detectron2's inputs of any size; a few dozen of training do.
    """
    for part, calls in zip(parts, _calls(model, parts, images), strict=True):
        data = nncf.Dataset(
            [[tensor.numpy() for tensor in tree_flatten(call)[0]] for call in calls]
        )
        graph = part.forward.graph(*calls[0])
        few = nncf.quantize(graph, data, subset_size=len(calls), ignored_scope=EXACT)
        part.forward.compile(few)


@torch.no_grad()
def _calls(model, parts, images):
    """The arguments of each part for each image."""
    seen: list[list[Any]] = [[] for _ in parts]
    hooks = [
        part.register_forward_pre_hook(lambda _, inputs, kept=kept: kept.append(inputs))
        for part, kept in zip(parts, seen, strict=True)
    ]
    for inputs in images:
        model([inputs])
    for hook in hooks:
        hook.remove()
    return seen
