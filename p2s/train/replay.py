"""One training step as a function, and what is kept of a step whose numbers are not finite."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import nn
from torch.nn.utils import get_total_norm

from p2s.files import write_atomic
from p2s.maths.finite import all_finite, noted
from p2s.maths.likelihood import AUDIT
from p2s.maths.ranks import average_gradients, mean
from p2s.model.device import device_of, place, precision_of
from p2s.model.weights import fill
from p2s.model.zoo import build
from p2s.spec import Spec
from p2s.train import kept

FINITE = "features and predictions of all levels are finite"


class NonFiniteLoss(FloatingPointError):
    """A training step gave an infinite or undefined number; the message names the replay file."""


def gradients(
    model: nn.Module, batch: list[dict], seed: int, iteration: int
) -> tuple[dict[str, float], list[str]]:
    """Leave the gradients of one step in `model`; return its losses and what is not finite.

    The losses are floats by name, and so is what a model audits (`audit/...` of detectron2's event
    storage). What is not finite is a list of names, of losses or else of parameters with such a
    gradient. All of it, and what heads find in their own numbers, is one question to a device.
    Several ranks have the mean of their losses and gradients.
    """
    torch.manual_seed(int(np.random.SeedSequence((seed, iteration)).generate_state(1)[0]))
    model.zero_grad()
    try:
        with EventStorage() as storage, noted() as notes:
            losses = model(batch)
    except FloatingPointError as error:  # detectron2's heads check their own boxes and logits
        return {}, [str(error)]
    sum(losses.values()).backward()
    average_gradients(model.parameters())
    grads = {name: weight.grad for name, weight in model.named_parameters()}
    largest = get_total_norm([grad for grad in grads.values() if grad is not None], math.inf)
    told = torch.stack([*losses.values(), largest, notes.passed(largest)])
    *values, largest, passed = mean(told).tolist()
    if passed < 1:
        return {}, [notes.told() or "numbers of another process"]
    broken = [name for name, value in zip(losses, values, strict=True) if not math.isfinite(value)]
    if not (broken or math.isfinite(largest)):
        broken = [f"gradient of {name}" for name, grad in grads.items() if not all_finite(grad)]
    audit = {name: value for name, (value, _) in storage.latest().items() if name.startswith(AUDIT)}
    return dict(zip(losses, values, strict=True)) | audit, broken


@torch.no_grad()
def origin(model: nn.Module, batch: list[dict]) -> str:
    """Where numbers stop being finite: the levels of such features, else what a head says."""
    features = model.train().backbone(model.preprocess_image(batch).tensor)
    levels = [name for name, values in features.items() if not all_finite(values)]
    if levels:
        return f"features of {', '.join(levels)} are not finite"
    try:
        model.eval().detect(batch)
    except FloatingPointError as error:
        return str(error)
    return FINITE


def found(model: nn.Module, parts: list[list[dict]]) -> str:
    """The origin in words, and the images, of the first rank's part of a batch that has one."""
    for rank, part in enumerate(parts):
        if (words := origin(model, part)) != FINITE:
            return f"{words}; {_images(part)}{f' of rank {rank}' if len(parts) > 1 else ''}"
    return f"{FINITE}; {_images(sum(parts, []))}"


def keep_step(path: Path, model: nn.Module, spec: Spec, batch: list[dict], **where: Any) -> None:
    """Write all that one step needs to `path`; `where` has its seed, iteration and rate."""
    images = [
        {key: value for key, value in inputs.items() if key != "instances"} for inputs in batch
    ]
    truths = [_plain(inputs["instances"].get_fields()) for inputs in batch]
    buffer = io.BytesIO()
    step = {"spec": spec.model_dump_json(), "images": images, "truths": truths}
    step |= {"model": model.state_dict(), "precision": precision_of(model)}
    step["device"] = next(model.parameters()).device.type
    torch.save(step | where, buffer)
    write_atomic(path, buffer.getvalue())


def replay(path: str | Path) -> dict:
    """Do the step of a failure file again, in one process, in its precision and on its device.

    On the CPU where there is no GPU. A dict: "losses" (floats by name), "broken" (names of what is
    not finite), "origin" (where numbers stop being finite, in words), "iteration", "rate",
    "image_ids", "device", "precision".
    """
    step = kept.read(path, kept.Step)
    model = build(step.spec.without_weights()).train()
    fill(model, step.model, path)
    device, precision = _place(step.device, step.precision)
    place(model, device, precision)
    batch = [_input(*pair) for pair in zip(step.images, step.truths, strict=True)]
    losses, broken = gradients(model, batch, step.seed, step.iteration)
    return {
        "losses": losses,
        "broken": broken,
        "origin": origin(model, batch),
        "iteration": step.iteration,
        "rate": step.rate,
        "image_ids": [inputs["image_id"] for inputs in batch],
        "device": device.type,
        "precision": precision,
    }


def _place(device, precision):
    """Where a step was done or, without a GPU, the CPU, which knows no tf32."""
    here = device_of("cpu" if device == "cpu" else "auto")
    return here, "fp32" if (here.type, precision) == ("cpu", "tf32") else precision


def _images(batch):
    return f"images {', '.join(str(inputs['image_id']) for inputs in batch)}"


def _input(picture, truth):
    fields = truth.model_dump(exclude_none=True) | {"gt_boxes": Boxes(truth.gt_boxes)}
    inputs = picture.model_dump(exclude_unset=True)
    return inputs | {"instances": Instances(tuple(picture.image.shape[-2:]), **fields)}


def _plain(fields):
    return fields | {"gt_boxes": fields["gt_boxes"].tensor}
