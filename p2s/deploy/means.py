"""What makes a detector fast on a kind of device: its layers, its precisions, its compiler."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
import torch._dynamo.config as dynamo
import torch._inductor.config as inductor
from detectron2.modeling.roi_heads import FastRCNNConvFCHead
from torch import nn

from p2s.model.second.stage import RESOLUTION

COMPILATIONS = 256  # of one line of source, for all modules and sizes that it runs on


@dataclass(frozen=True)
class Means:
    """How a kind of device is served."""

    device: str  # as a message calls it
    precisions: tuple[str, ...]  # of backbone and heads
    relayed: Callable[[nn.Module], nn.Module]  # a detector, in place, with the layers it likes
    compiled: Callable[[nn.Module], nn.Module]  # a part through torch.compile
    compiler: str  # what that needs
    has_compiler: Callable[[], bool]


def as_convolutions(model: nn.Module) -> nn.Module:
    """Make the first layer of every region head the convolution that it equals, in place.

    On a map as large as its kernel both are one matrix product; oneDNN's is the faster one, and it
    reads pooled regions as they lie in memory, where a linear layer needs a copy.
    """
    heads = [part for part in model.modules() if isinstance(part, FastRCNNConvFCHead)]
    for head in heads:
        conv = _as_convolution(head.fc1)
        # Sequential: the layers run in their order, the flattening after the convolution.
        head.flatten, head.fc1 = conv, nn.Flatten()
        head.fcs.clear()  # detectron2's list of its layers would keep the old weights in memory
    return model


def as_they_are(model: nn.Module) -> nn.Module:
    """The model: a GPU pools regions into the order that a linear layer reads."""
    return model


def packed(part: nn.Module) -> nn.Module:
    """A module through torch.compile, with weights packed for oneDNN; call it without gradient."""
    # A setting of the process: an option of one torch.compile does not reach the packing.
    inductor.freezing = True
    return _compiled(part)


def fused(part: nn.Module) -> nn.Module:
    """A module through torch.compile and Triton, weights as they are; call it without gradient."""
    # The option is for a process that packs another model's weights.
    return _compiled(part, {"freezing": False})


def _compiled(part, options=None):
    # torch counts compilations by source line, which the heads of several models share.
    dynamo.recompile_limit = max(dynamo.recompile_limit, COMPILATIONS)
    return torch.compile(part, options=options)


def _as_convolution(linear):
    channels = linear.in_features // RESOLUTION**2
    conv = nn.Conv2d(channels, linear.out_features, RESOLUTION)
    weight = linear.weight.detach().reshape(conv.weight.shape)
    conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(linear.bias.detach())
    return conv.to(memory_format=torch.channels_last)


def _is_here(*programs):
    return any(shutil.which(name) for name in programs)


CPU = Means(
    device="a CPU",
    precisions=("fp32", "bf16", "int8"),
    relayed=as_convolutions,
    compiled=packed,
    compiler="C++ compiler (g++ or clang++)",
    has_compiler=lambda: _is_here("g++", "clang++"),
)
GPU = Means(
    device="a GPU",
    precisions=("fp32", "tf32", "bf16"),
    relayed=as_they_are,
    compiled=fused,
    compiler="Triton with a C compiler (gcc or clang)",  # which builds what starts a kernel
    has_compiler=lambda: find_spec("triton") is not None and _is_here("gcc", "clang", "cc"),
)


def means_of(device: torch.device) -> Means:
    """The means that serve a device."""
    return GPU if device.type == "cuda" else CPU
