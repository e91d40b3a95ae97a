"""The ways to run a detector that are measured, by the name that tables print."""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import product
from typing import Any

import torch
from torchvision.models import detection

from p2s.bench.nets import Autocast, lively, onnx, picture, torchvisions, with_our_means
from p2s.bench.timing import CPU
from p2s.bench.training import stock
from p2s.deploy.fast import optimize
from p2s.deploy.means import means_of
from p2s.model.device import place
from p2s.spec import NAMED, Spec
from p2s.spec.released import AUTHORS
from p2s.study.experiments import Experiment, Scale, cells

LARGE_VOCABULARY = {"classes": 365, "detections": 300}  # what Tables 7 and 8 keep of an image
TORCHVISION = {
    "fasterrcnn_resnet50_fpn": detection.fasterrcnn_resnet50_fpn,
    "retinanet_resnet50_fpn": detection.retinanet_resnet50_fpn,
}


@dataclass(frozen=True)
class Way:
    """A way to run a detector: what makes the model, and what can be said of it."""

    make: Callable  # () -> a callable on detectron2's inputs
    detector: str  # a name of the paper's tables, or of torchvision's
    spec: Spec | None = None  # of the network; None of another project's
    precision: str = "fp32"
    runtime: str = "ours"  # whose program it is
    means: str = "none"  # of ours that make it fast; see benches.Row
    count: int | None = None  # of classes or proposals, where that is what varies
    staged: bool = True  # whether its parts can be timed one by one

    @property
    def columns(self) -> dict[str, Any]:
        """What a row of a Bench says of it."""
        names = ("detector", "count", "runtime", "means", "precision")
        return {name: getattr(self, name) for name in names}


def means(detector: str, size: tuple[int, int], device: torch.device = CPU) -> dict[str, Way]:
    """Every way to run one detector on an image of a size; the reference comes first.

    That is the authors' package where it has the detector, else detectron2's layout and RoIAlign.
    onnxruntime and OpenVINO are asked on a CPU alone; on a GPU the reference and ours run in bf16
    too.
    """
    spec = Spec.named(detector)
    if (spec.first, spec.second) == ("centernet", "cascade"):
        from p2s.bench import peers

        spec = spec.changed(AUTHORS)
        model = peers.like_theirs(lively(spec)).to(device)
        name, make, runtime = "authors' centernet2", partial(peers.authors, model, spec), "authors"
    else:
        model = lively(spec).to(device)
        name, make, runtime = "detectron2's way", lambda: stock(copy.deepcopy(model)), "detectron2"
    of = partial(Way, detector=detector, spec=spec)
    return {
        name: of(make, runtime=runtime),
        "ours, as trained": of(lambda: model),
        **(_in_autocast(of, model, name, make, runtime) if device.type == "cuda" else {}),
        "ours, optimised, eager": of(partial(optimize, model, compile=False), means="eager"),
        **_compiled(of, model, picture(size), device),
        **(_by_others(of, model, size) if device.type == "cpu" else {}),
        **_torchvisions(device),
    }


def detectors(names: Iterable[str] = tuple(NAMED), device: torch.device = CPU) -> dict[str, Way]:
    """The optimised model of every named detector, CenterNet2 the reference."""
    ordered = sorted(names, key=lambda name: name != "CenterNet2")  # stable: the others as named
    return {name: _optimised(name, Spec.named(name), device) for name in ordered}


def with_classes(
    names: Iterable[str], counts: Iterable[int], device: torch.device = CPU
) -> dict[str, Way]:
    """The optimised models of detectors with so many classes; 300 detections from 365 on."""
    ways = {}
    for name, count in product(names, counts):
        spec = Spec.named(name).changed({"num_classes": count})
        if count >= LARGE_VOCABULARY["classes"]:
            spec = spec.changed({"test": {"detections": LARGE_VOCABULARY["detections"]}})
        ways[f"{name}, {count} classes"] = _optimised(name, spec, device, count=count)
    return ways


def with_proposals(
    names: Iterable[str], counts: Iterable[int], device: torch.device = CPU
) -> dict[str, Way]:
    """The optimised models of detectors with so many proposals an image."""
    ways = {}
    for name, count in product(names, counts):
        spec = Spec.named(name).changed({"test": {"proposals": count}})
        ways[f"{name}, {count} proposals"] = _optimised(name, spec, device, count=count)
    return ways


def of_rows(experiment: Experiment, scale: Scale, device: torch.device = CPU) -> dict[str, Way]:
    """The optimised model of each row of an experiment at a `Scale`, in the first variant.

    All keep scores above detectron2's threshold: a variant with all scores is for AP. It has the
    classes of the experiment's data set, and is not compiled: that takes a minute a row and gains
    little over the means before it. Raises ValueError where it has no row at that scale.
    """
    scale = scale.on(experiment.data_set)
    classes = {name: n for name, n in scale.changes.items() if name == "num_classes"}
    pairs, ways = cells(experiment, scale), {}
    for row, variant in pairs:
        if variant is pairs[0][1]:
            named = Spec.named(row.detector)
            spec = named.changed(classes).changed(row.changes)
            spec = spec.changed(variant.changes if variant else {})
            spec = spec.changed({"test": {"score_threshold": named.test.score_threshold}})
            ways[row.name] = _optimised(row.detector, spec, device, means="eager")
    if not ways:
        raise ValueError(f"experiment {experiment.name}: no row has a full size, all are of scenes")
    return ways


def _optimised(detector, spec, device, means="compiled", count=None):
    def make():
        return optimize(lively(spec).to(device), compile=means == "compiled")

    return Way(make, detector, spec, means=means, count=count)


def _in_autocast(of, model, name, make, runtime):
    """The reference and ours as bf16 trains them."""
    bf16 = {"precision": "bf16"}
    return {
        f"{name}, bf16": of(lambda: Autocast(make()), runtime=runtime, staged=False, **bf16),
        "ours, as trained, bf16": of(
            lambda: place(copy.deepcopy(model), model.pixel_mean.device, "bf16"), **bf16
        ),
    }


def _compiled(of, model, image, device):
    """Ours in every precision; int8 is calibrated on the image."""
    ways = {}
    # To round to tf32 is a setting of the process, which all ways share.
    for precision in [word for word in means_of(device).precisions if word != "tf32"]:
        options = {"calibration": image} if precision == "int8" else {}
        make = partial(optimize, model, precision, **options)
        ways[f"ours, optimised, {precision}"] = of(make, precision=precision, means="compiled")
    return ways


def _by_others(of, model, size):
    """onnxruntime, and OpenVINO where it is installed."""
    ways, image = {}, picture(size)
    for name, precision, calibration in (("", "fp32", ()), (", int8", "int8", image)):
        make = partial(onnx, model, size, calibration=calibration)
        options = {"precision": precision, "runtime": "onnxruntime", "staged": False}
        ways[f"ours, onnxruntime{name}"] = of(make, **options)
    for precision in means_of(CPU).precisions if find_spec("openvino") else ():
        options = {"calibration": image, "engine": "openvino"}
        make = partial(optimize, model, precision, **options)
        ways[f"ours, openvino, {precision}"] = of(make, precision=precision, runtime="openvino")
    return ways


def _torchvisions(device):
    """Torchvision's detectors as shipped and with our means."""
    ways = {}
    for name, net in TORCHVISION.items():
        of = partial(Way, detector=name, runtime="torchvision", staged=False)
        ways[f"torchvision {name}"] = of(partial(torchvisions, net, device))
        ways[f"torchvision {name}, our means"] = of(
            partial(with_our_means, net, device), means="compiled"
        )
    return ways
