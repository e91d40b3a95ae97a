"""The fastest engine and precision here: measured once on a small detector, and remembered."""

import json
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import NamedTuple

import torch
from detectron2.structures import Instances
from torch import nn

from p2s import environment
from p2s.deploy import chip
from p2s.deploy.matching import unmatched
from p2s.deploy.means import means_of
from p2s.files import canonical_hash, read_json, write_atomic
from p2s.model.device import described
from p2s.model.zoo import build
from p2s.spec import Spec

# A network of full width whose convolutions are like those of all, small enough for seconds.
PROBE = Spec.named("CenterNet*").changed({"backbone": {"depth": 18, "weights": None}})
SIZE = (480, 640)  # of the probe's image, pixels
ROUNDS = 5
ALIKE = {"pixels": 2.0, "score": 0.02}  # of detections that are equal enough
MOST = 0.05  # of detections may differ by more


class Choice(NamedTuple):
    """How a detector is made fast."""

    engine: str
    precision: str
    compile: bool

    def __str__(self):
        return f"{self.engine} {self.precision}" + (", compiled" * self.compile)


def choices(device: torch.device, calibrated: bool) -> Iterator[Choice]:
    """What is installed, and has units here; int8 where there are calibration images."""
    means = means_of(device)
    compiles = means.has_compiler()
    on_cpu = device.type == "cpu"
    precisions = [name for name in means.precisions if not (on_cpu and chip.is_slow(name))]
    if not calibrated:
        precisions = [name for name in precisions if name != "int8"]
    for precision in precisions:
        if precision != "int8" or (compiles and find_spec("torchao")):
            yield Choice("torch", precision, compiles)
    yield Choice("torch", "fp32", False)
    if on_cpu and find_spec("openvino"):
        for precision in precisions:
            if precision != "int8" or find_spec("nncf"):
                yield Choice("openvino", precision, True)


def by_speed(optimize: Callable, device: torch.device, calibrated: bool) -> list[Choice]:
    """The choices, the fastest first; `optimize` is p2s.deploy.fast's."""
    found = dict.fromkeys(choices(device, calibrated))
    kept = _kept(device, found)
    if not kept.exists():
        print("measuring once which engine is the fastest here", file=sys.stderr)
        seconds = [_seconds(optimize, device, choice) for choice in found]
        write_atomic(kept, json.dumps(seconds).encode())
    seconds = read_json(kept, list[float])
    return [choice for _, choice in sorted(zip(seconds, found, strict=True))]


def optimized(
    optimize: Callable, model: nn.Module, device: torch.device, calibration: Sequence[dict]
) -> nn.Module:
    """The model by the fastest choice that is equal enough on the calibration images, told."""
    wanted = _found(model, calibration)
    for choice in by_speed(optimize, device, bool(calibration)):
        fast = optimize(model, choice.precision, choice.compile, calibration, device, choice.engine)
        if are_alike(_found(fast, calibration), wanted):
            print(f"optimised for {described(device)}: {choice}", file=sys.stderr)
            return fast
    return model


def are_alike(found: Sequence[Instances], wanted: Sequence[Instances]) -> bool:
    """Whether the detections of each image are the same but for MOST of all."""
    differ = sum(unmatched(*pair, **ALIKE)[1] for pair in zip(found, wanted, strict=True))
    return differ <= MOST * sum(map(len, wanted))


@torch.no_grad()
def _found(model, images):
    return [model([image])[0]["instances"].to("cpu") for image in images]


def _seconds(optimize, device, choice):
    """The median seconds of the probe's image."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(PROBE).eval()
        image = [{"image": torch.rand(3, *SIZE) * 255, "height": SIZE[0], "width": SIZE[1]}]
    fast = optimize(model, choice.precision, choice.compile, image, device, choice.engine)
    taken = []
    with torch.no_grad():
        for _ in range(2 + ROUNDS):
            begun = perf_counter()
            [found] = fast(image)
            found["instances"].to("cpu")  # waits for a GPU
            taken.append(perf_counter() - begun)
    return median(taken[2:])


def _kept(device, found):
    """The file of what was measured on this machine by these programs."""
    programs = [version(name) for name in ("torch", "openvino") if find_spec(name)]
    machine = [platform.node(), described(device), chip.told()]
    key = canonical_hash([*machine, *programs, *map(str, found)])
    return environment.user_cache() / "fastest" / f"{key}.json"
