"""Pace: how long a training step and a tested image of a Spec take here, for the hours of a plan.

Images are noise, weights random: assignment and pooling are as dear as on photographs, but reading
pictures is left out.
"""

import json
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch.nn.utils import clip_grad_value_

from p2s.bench.nets import lively, picture
from p2s.bench.timing import now, threads
from p2s.bench.training import noise_batch
from p2s.maths import ranks
from p2s.model.device import described, device_of, place, require
from p2s.model.zoo import build
from p2s.scratch import scratch
from p2s.spec import Spec
from p2s.study.project import Place
from p2s.study.times import Pace
from p2s.train import descent
from p2s.train.processes import together
from p2s.train.replay import gradients

ROUNDS, ENOUGH_S = 5, 8.0  # rounds that are measured after the first, or fewer if they take long
PIXELS = 10**6  # of a batch on a CPU, where time and memory grow with the number of images
ASPECT = 4 / 3  # of a tested picture


def pace(where: Place, spec: Spec) -> Pace:
    """The Pace of a Spec on a device in as many processes as a node has; an image in one.

    Each rank has its part of a step's batch, a node that of its ranks. On a CPU, on one thread a
    process as in a study, no more images of it are taken than PIXELS allow, and the time is
    multiplied. ValueError without the device.
    """
    require(where.device, where.precision, where.processes)  # before any process is started
    device = device_of(where.device)
    spec = spec.without_weights()
    with threads(1), scratch() as folder:
        kept = folder / "seconds.json"
        together(partial(_step, spec, where, kept), where.processes)
        step = json.loads(kept.read_text())
        image = _image(spec, where)
        words = f"a step measured on {described(device)}"
    if where.precision != "fp32":
        words += f", {where.precision}"
    if where.processes > 1:
        words += f", {where.processes} processes"
    return Pace(step, image, words)


def _step(spec, where, kept):
    """Write the seconds of a step of the whole batch; every rank has its part."""
    device = device_of(where.device)
    part = len(range(spec.recipe.batch // where.nodes)[ranks.part()])
    few = max(1, PIXELS // spec.recipe.image_edges[1] ** 2)
    count = part if device.type == "cuda" else min(part, few)
    spec = spec.changed({"recipe": {"batch": count}})
    torch.manual_seed(0)
    model = place(build(spec), device, where.precision).train()
    optimizer, batch = descent.optimizer(model, spec.recipe), noise_batch(spec, ranks.rank())
    for group in optimizer.param_groups:
        group["lr"] = descent.rate_at(spec.recipe, 0)  # noise teaches nothing: do not diverge

    def step():
        gradients(model, batch, 0, 0)
        clip_grad_value_(model.parameters(), spec.recipe.clip)
        optimizer.step()

    seconds = _seconds(step, device) * part / count
    if ranks.rank() == 0:
        kept.write_text(json.dumps(seconds))


def _image(spec, where):
    device = device_of(where.device)
    model = place(lively(spec), device, where.precision)
    model.set_test(spec.test)
    short = spec.test.short_edge
    image = picture((short, min(round(ASPECT * short), spec.test.long_edge)))
    with torch.inference_mode():
        return _seconds(lambda: model.detect(image), device)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """The median seconds of a work; the first time, which chooses algorithms, is left out."""
    taken: list[float] = []
    for _ in range(1 + ROUNDS):
        begun = now(device)
        work()
        taken.append(now(device) - begun)
        if ranks.anywhere(len(taken) > 1 and sum(taken) > ENOUGH_S):
            break
    return median(taken[1:])
