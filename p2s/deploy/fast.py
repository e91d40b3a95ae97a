"""Fast inference on CPUs: the same detector, folded, compiled and in a chosen precision.

Inputs and outputs stay as they were. Nearly all of the time goes into convolutions, so they are
given what oneDNN likes: channels_last maps, no normalisation after them, packed weights.
"""

import copy
import shutil
import sys
from collections.abc import Sequence

import torch
import torch._dynamo.config as dynamo
import torch._inductor.config as inductor
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from detectron2.modeling.roi_heads import FastRCNNConvFCHead
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._pytree import tree_map_only

from p2s.model.detector import first_head, region_heads, set_first_head
from p2s.model.device import widened
from p2s.model.second.stage import RESOLUTION

PRECISIONS = ("fp32", "bf16", "int8")
COMPILATIONS = 256  # of one line of source, for all modules and sizes that it runs on
NO_COMPILER = "no C++ compiler (g++ or clang++) here: the fast model runs without torch.compile"


def optimize(
    model: nn.Module,
    precision: str = "fp32",
    compile: bool = True,
    calibration: Sequence[dict] = (),
) -> nn.Module:
    """A copy of any named detector for fast inference, with the same inputs and outputs.

    `precision` is that of backbone and heads; boxes and scores are always computed in fp32.
    "int8" keeps the region heads in bf16 and needs `calibration`: inputs of one padded size, which
    is then the only one that the model takes. `compile` uses torch.compile: the first image takes
    about a minute. That needs a C++ compiler; without one a line on stderr says so, and "int8"
    is a ValueError.
    """
    compile = compile and _has_compiler()
    _refuse(precision, compile, calibration)
    fast = as_convolutions(fold(copy.deepcopy(model).eval())).requires_grad_(False)
    regions = region_heads(fast)
    if precision == "int8":
        from p2s.deploy.quantize import quantize

        quantize(fast, calibration)
    in_bf16 = {"fp32": [], "bf16": [fast.backbone, first_head(fast), *regions], "int8": regions}
    for part in in_bf16[precision]:
        in_precision(part, torch.bfloat16)
    return compile_parts(fast) if compile else fast


def fold(model: nn.Module) -> nn.Module:
    """Put every fixed batch normalisation into the convolution before it, in place."""
    for conv in [module for module in model.modules() if isinstance(module, Conv2d)]:
        if isinstance(conv.norm, FrozenBatchNorm2d | nn.BatchNorm2d):
            norm, conv.norm = conv.norm, None
            fixed = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
            conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *fixed)
        if conv.norm is None and conv.activation is None:
            # detectron2's wrapper has nothing left to add; quantisers know torch's own class only,
            # and FPN holds its convolutions in lists too, where no other object could replace them.
            conv.__class__ = nn.Conv2d
    return model.to(memory_format=torch.channels_last)


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


def in_precision(part: nn.Module, dtype: torch.dtype) -> None:
    """Let a module work in `dtype`, in place, and answer in fp32."""

    def narrow(_, inputs):
        return tree_map_only(torch.Tensor, lambda tensor: tensor.to(dtype), inputs)

    part.to(dtype).register_forward_pre_hook(narrow)
    part.register_forward_hook(widened)


def compile_parts(model: nn.Module) -> nn.Module:
    """Compile backbone and heads in place, with weights packed for oneDNN; returns the model."""
    model.backbone = compiled(model.backbone)
    set_first_head(model, compiled(first_head(model)))
    if regions := region_heads(model):
        model.roi_heads.box_head = nn.ModuleList(map(compiled, regions))
    return model


def compiled(part: nn.Module) -> nn.Module:
    """A module through torch.compile, with weights packed for oneDNN; call it without gradient."""
    # Both settings are the process's: an option of one torch.compile does not reach the packing,
    # and torch counts compilations by source line, which the heads of several models share.
    inductor.freezing = True
    dynamo.recompile_limit = max(dynamo.recompile_limit, COMPILATIONS)
    return torch.compile(part)


def _as_convolution(linear):
    channels = linear.in_features // RESOLUTION**2
    conv = nn.Conv2d(channels, linear.out_features, RESOLUTION)
    weight = linear.weight.detach().reshape(conv.weight.shape)
    conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(linear.bias.detach())
    return conv.to(memory_format=torch.channels_last)


def _has_compiler():
    has_any = any(shutil.which(name) for name in ("g++", "clang++"))
    if not has_any:
        print(NO_COMPILER, file=sys.stderr)
    return has_any


def _refuse(precision, compile, calibration):
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r}; valid: {', '.join(PRECISIONS)}")
    if precision == "int8" and not (compile and calibration):
        raise ValueError("precision 'int8' needs calibration images and torch.compile")
