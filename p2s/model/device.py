"""Devices: where a model computes, and in which precision its convolutions do."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from detectron2.modeling.backbone.fpn import LastLevelP6P7
from filelock import FileLock, Timeout
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from p2s.model.detector import first_head, region_heads
from p2s.model.first.heads import Integral

PRECISIONS = ("fp32", "tf32", "bf16")


def device_of(name: str) -> torch.device:
    """The device of a name: cpu, cuda (this rank's GPU), cuda:1, or auto, cuda if there is one.

    ValueError, with those of this machine, unless it is there.
    """
    here = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    gpu = f"cuda:{torch.cuda.current_device()}" if here[1:] else None
    asked = {"auto": gpu or "cpu", "cuda": gpu}.get(name, name)
    if asked not in here:
        raise ValueError(f"device {name!r} is not here; valid: auto, {', '.join(here)}")
    return torch.device(asked)


def described(device: torch.device) -> str:
    """A device in words, with a GPU's name."""
    if device.type == "cpu":
        return f"cpu, {torch.get_num_threads()} threads"
    return f"{device}, {torch.cuda.get_device_name(device)}"


def whereabouts(model: nn.Module) -> dict[str, str]:
    """Where a model computes, in words."""
    device = next(model.parameters()).device
    return {"device": described(device), "precision": precision_of(model)}


def place(model: nn.Module, device: torch.device, precision: str = "fp32") -> nn.Module:
    """Bring a model to a device, in place, and let its convolutions work in a precision there.

    tf32 rounds the factors of products on a GPU. bf16 is torch's autocast for backbone and heads in
    training and test; weights, losses, scores and decoding stay in fp32. ValueError names the
    valid ones.
    """
    _require_precision(device, precision)
    if device.type == "cuda":
        round_products(precision)
    model = model.to(device)
    model.precision = precision  # for precision_of
    if precision == "bf16":
        for part in (model.backbone, first_head(model), *region_heads(model)):
            _work_in_bf16(part, device.type)
    return model


def precision_of(model: nn.Module) -> str:
    """The precision that a model was placed in; fp32 if it never was."""
    return getattr(model, "precision", "fp32")


def require(name: str, precision: str, processes: int) -> None:
    """ValueError unless so many processes here can compute on the device of a name, a GPU each."""
    device, gpus = device_of(name), torch.cuda.device_count()
    _require_precision(device, precision)
    if processes == 1 or device.type == "cpu":
        return
    if name not in ("auto", "cuda"):
        raise ValueError(
            f"device {name} for {processes} processes: valid: cuda, a GPU each, or cpu"
        )
    if processes > gpus:
        raise ValueError(
            f"processes {processes} on device {name}: each has a GPU of its own, and {gpus} are "
            f"here; valid: processes 1 to {gpus}, or device cpu"
        )


def _require_precision(device, precision):
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r}; valid: {', '.join(PRECISIONS)}")
    if (device.type, precision) == ("cpu", "tf32"):
        raise ValueError("precision 'tf32' is of GPUs; valid on a CPU: fp32, bf16")


@cache  # keeps the lock
def claim_gpu(folder: Path) -> FileLock:
    """Make the GPU current that the fewest processes have claimed, until this one ends.

    They agree by locks in a folder that they share. There has to be a GPU.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    while not _is_mine(lock := FileLock(folder / f"gpu-{number}.lock")):
        number += 1  # all GPUs once, then again
    torch.cuda.set_device(number % torch.cuda.device_count())
    return lock


def _is_mine(lock):
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def round_products(precision: str) -> None:
    """Let GPUs round the factors of products of float32 in tf32, and in no other precision."""
    # By torch's older names: what the newer ones set, its compiler and exporter fail to read.
    rounds = precision == "tf32"  # torch's own choice is a mixture
    torch.backends.cuda.matmul.allow_tf32 = rounds
    torch.backends.cudnn.allow_tf32 = rounds


def widened(_module: nn.Module, _inputs: tuple, outputs: Any) -> Any:
    """A forward hook: what a module answers, however nested, with its tensors in float32."""
    return tree_map_only(Tensor, Tensor.float, outputs)


@dataclass(eq=False)
class _Autocast:
    """The forward of a module under autocast, or kept out of it; it goes along into a copy."""

    module: nn.Module
    kind: str
    enabled: bool

    def __call__(self, *inputs):
        if not self.enabled:
            inputs = tree_map_only(Tensor, Tensor.float, inputs)
        with torch.autocast(self.kind, torch.bfloat16, self.enabled):
            return type(self.module).forward(self.module, *inputs)


def _work_in_bf16(part, kind):
    part.forward = _Autocast(part, kind, True)
    part.register_forward_hook(widened)
    # P6 and P7 are small, and on a CPU torch errs in the gradient of a stride over a single cell.
    for module in part.modules():
        if isinstance(module, Integral | LastLevelP6P7):
            module.forward = _Autocast(module, kind, False)
