"""Full-size inference: our ways, the authors' and torchvision's, on the same image in one run."""

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from detectron2.modeling import GeneralizedRCNN, detector_postprocess
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from p2s.bench.nets import lively, picture
from p2s.bench.timing import CPU, ceiling, medians, now, rate, turns
from p2s.bench.ways import Way
from p2s.deploy.matching import unmatched
from p2s.model.detector import run_first_stage
from p2s.spec import Spec

PHASES = ("pre", "first", "second", "post", "total")  # columns of seconds, in order
CEILINGS = {"fp32": torch.float32, "bf16": torch.bfloat16}  # int8 has no plain convolution


def inference_times(
    ways: dict[str, Way], size: tuple[int, int], rounds: int = 7, device: torch.device = CPU
) -> dict[str, Any]:
    """Measure ways on one image, in turns; the first is the reference of the others.

    Returns "rows" and "ceiling" (operations a second of one convolution, by precision). A row
    holds the median seconds of each part; `ratio`, times faster than the reference; counts of
    proposals and detections; `unmatched` detections where it is the reference's network; the
    `operations` of an image and `share`, operations a second over the ceiling's; on a GPU `rate`,
    images a second.
    """
    inputs, models = picture(size), {name: way.make() for name, way in ways.items()}
    convs = {f"ceiling {name}": ceiling(dtype, device) for name, dtype in CEILINGS.items()}
    with torch.no_grad():
        outputs = {name: answer(models[name], inputs, way.staged) for name, way in ways.items()}
        runs = {
            name: _timed(models[name], inputs, way.staged, device) for name, way in ways.items()
        }
        convolved = {name: conv for name, (conv, _) in convs.items()}
        seconds = turns(runs | convolved, rounds, device=device)
    peak = {name[8:]: flops / medians(seconds[name])["total"] for name, (_, flops) in convs.items()}
    rows = [
        {"way": name, **way.columns}
        | _speed(seconds[name], seconds[next(iter(ways))])
        | rate(1, medians(seconds[name])["total"], device)
        | _counts(*outputs[name], way.spec)
        | _likeness(way, outputs[name][1], *_first(ways, outputs))
        | _work(way, tuple(size), seconds[name], peak)
        for name, way in ways.items()
    ]
    return {"rows": rows, "ceiling": peak}


def _first(ways, outputs):
    name = next(iter(ways))
    return ways[name].spec, outputs[name][1]


def _speed(seconds, reference):
    middle = medians(seconds)
    return {
        **middle,
        "ratio": medians(reference)["total"] / middle["total"],
        "seconds": seconds["total"],
    }


def _likeness(way, detections, spec, wanted):
    if way.spec is None or way.spec != spec:
        return {}
    return dict(zip(("unmatched", "unmatched_inside"), unmatched(detections, wanted), strict=True))


def _work(way, size, seconds, peak):
    if way.spec is None:
        return {}
    work = operations(way.spec, size)
    rate = work / medians(seconds)["total"]
    limit = peak.get(way.precision)
    return {"operations": work, "share": rate / limit if limit else None}


def answer(model: Callable, inputs: list[dict], is_staged: bool) -> tuple[int | None, Any]:
    """The number of proposals of an image, None where a model does not say, and its detections."""
    if is_staged:
        _, _, [proposals] = run_first_stage(model, inputs)
    [output] = model(inputs)
    found = output["instances"].to("cpu") if "instances" in output else output
    return len(proposals) if is_staged else None, found


def staged(model: nn.Module, inputs: list[dict], device: torch.device = CPU) -> dict[str, float]:
    """Seconds of pre-processing, first stage, second stage and post-processing of an image.

    The first stage is all up to the proposals, the backbone too, as in the paper's Table 1; of a
    one-stage detector it is all up to the detections.
    """
    marks = [now(device)]
    images = model.preprocess_image(inputs)
    marks.append(now(device))
    features = model.backbone(images.tensor)
    answers, _ = model.proposal_generator(images, features, None)
    marks.append(now(device))
    if isinstance(model, GeneralizedRCNN):
        answers, _ = model.roi_heads(images, features, answers)
    marks.append(now(device))
    for sample, instances in zip(inputs, answers, strict=True):
        detector_postprocess(instances, sample["height"], sample["width"])
    marks.append(now(device))
    return dict(zip(PHASES, [end - start for start, end in pairwise(marks)], strict=False))


@lru_cache  # the ways of a detector share a network, and counting takes a pass of it
def operations(spec: Spec, size: tuple[int, int]) -> int:
    """Floating point operations of an image, two a multiplication and addition."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        lively(spec)(picture(size))
    return counter.get_total_flops()


def profile(ways: dict[str, Way], size: tuple[int, int], path: Path) -> str:
    """Write a trace of the last way on one image, for chrome://tracing; returns its table."""
    inputs, model = picture(size), [*ways.values()][-1].make()
    with torch.no_grad():
        model(inputs)
        with torch.profiler.profile(activities=torch.profiler.supported_activities()) as trace:
            model(inputs)
    trace.export_chrome_trace(str(path))
    return trace.key_averages().table(sort_by="self_cpu_time_total", row_limit=15)


def _timed(model, inputs, is_staged, device):
    return (lambda: staged(model, inputs, device)) if is_staged else (lambda: model(inputs))


def _counts(proposals, output, spec):
    detections = len(output) if hasattr(output, "pred_boxes") else len(output["scores"])
    enough = detections >= (spec.test.detections if spec else 100)
    if proposals is not None and spec.second != "none":
        enough &= proposals >= min(spec.test.proposals, 256)
    return {"proposals": proposals, "detections": detections, "valid": enough}
