"""Fast inference: the same detector, folded, compiled and in a chosen precision.

Inputs and outputs stay as they were. Nearly all of the time goes into convolutions, so they are
given what a device likes: channels_last maps, no normalisation after them, and `means` of its own.
"""

import copy
import sys
from collections.abc import Sequence

import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._pytree import tree_map_only

from p2s.deploy import chip
from p2s.deploy.means import CPU, Means, means_of
from p2s.model.detector import first_head, region_heads, set_first_head
from p2s.model.device import device_of, round_products, widened
from p2s.model.trunks.lite0 import Lite0

ENGINES = ("torch", "openvino")
NO_COMPILER = "no {} here: the fast model runs without torch.compile"


def optimize(
    model: nn.Module,
    precision: str = "fp32",
    compile: bool = True,
    calibration: Sequence[dict] = (),
    device: str | torch.device | None = None,
    engine: str = "torch",
) -> nn.Module:
    """A copy of any named detector for fast inference, with the same inputs and outputs.

    `precision` is that of backbone and heads; boxes and scores are always computed in fp32.
    "int8" is of CPUs, rounds backbone and dense head, and needs `calibration`, a few dozen inputs;
    "tf32" is of GPUs; "auto" is the fastest engine and precision here that is equal enough, see
    p2s.deploy.auto. `device` is a name of p2s.model.device.device_of, None where the model is.
    `engine` "openvino" is Intel's runtime, on a CPU. Of "torch" `compile` uses torch.compile, which
    takes about a minute at the first image and needs a C++ compiler, on a GPU Triton; without one a
    line on stderr says so, and "int8" is a ValueError. Its "int8" takes one padded size alone.
    """
    place = device_of(str(device)) if device else next(model.parameters()).device
    if precision == "auto":
        from p2s.deploy import auto

        return auto.optimized(optimize, model, place, calibration)
    means = means_of(place)
    _refuse(means, precision, calibration, engine)
    compile = engine == "torch" and compile and _has_compiler(means)
    if (engine, precision, compile) == ("torch", "int8", False):
        raise ValueError("precision 'int8' of engine 'torch' needs torch.compile")
    if place.type == "cuda":
        round_products(precision)
    else:
        chip.warn_if_slow(precision)
    fast = fold(copy.deepcopy(model).to(place).eval()).requires_grad_(False)
    if engine == "openvino":
        from p2s.deploy.by_openvino.parts import serve

        return serve(fast, precision, calibration)
    return _by_torch(fast, means, precision, compile, calibration)


def _by_torch(fast, means, precision, compile, calibration):
    fast = means.relayed(fast)
    if precision == "int8":
        from p2s.deploy.quantize import quantize

        quantize(fast, calibration)
    regions = region_heads(fast)
    narrow = {
        "bf16": [fast.backbone, first_head(fast), *regions],
        "int8": [] if chip.is_slow("bf16") else regions,
    }
    for part in narrow.get(precision, ()):
        in_precision(part, torch.bfloat16)
    return compile_parts(fast, means) if compile else fast


def fold(model: nn.Module) -> nn.Module:
    """Put every fixed batch normalisation into the convolution before it, in place."""
    for trunk in [module for module in model.modules() if isinstance(module, Lite0)]:
        trunk.fold()
    for conv in [module for module in model.modules() if isinstance(module, Conv2d)]:
        if isinstance(conv.norm, FrozenBatchNorm2d | nn.BatchNorm2d):
            norm, conv.norm = conv.norm, None
            fixed = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
            conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *fixed)
        if type(conv) is Conv2d and conv.norm is None and conv.activation is None:
            # detectron2's wrapper has nothing left to add; quantisers know torch's own class only,
            # and FPN holds its convolutions in lists too, where no other object could replace them.
            conv.__class__ = nn.Conv2d
    return model.to(memory_format=torch.channels_last)


def in_precision(part: nn.Module, dtype: torch.dtype) -> None:
    """Let a module work in `dtype`, in place, and answer in fp32."""

    def narrow(_, inputs):
        return tree_map_only(torch.Tensor, lambda tensor: tensor.to(dtype), inputs)

    part.to(dtype).register_forward_pre_hook(narrow)
    part.register_forward_hook(widened)


def compile_parts(model: nn.Module, means: Means) -> nn.Module:
    """Compile backbone and heads in place by the means of their device; returns the model."""
    model.backbone = means.compiled(model.backbone)
    set_first_head(model, means.compiled(first_head(model)))
    if regions := region_heads(model):
        model.roi_heads.box_head = nn.ModuleList(map(means.compiled, regions))
    return model


def _has_compiler(means):
    has_one = means.has_compiler()
    if not has_one:
        print(NO_COMPILER.format(means.compiler), file=sys.stderr)
    return has_one


def _refuse(means, precision, calibration, engine):
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r}; valid: {', '.join(ENGINES)}")
    if engine == "openvino" and means is not CPU:
        raise ValueError(f"engine 'openvino' on {means.device}; valid: device cpu")
    if precision not in means.precisions:
        valid = ", ".join(("auto", *means.precisions))
        raise ValueError(f"precision {precision!r} on {means.device}; valid: {valid}")
    if precision == "int8" and not calibration:
        raise ValueError("precision 'int8' needs calibration images")
