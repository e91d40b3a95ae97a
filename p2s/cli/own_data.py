"""Training on one's own images: what `p2s train` and `p2s evaluate` do after the health check."""

import json
from collections.abc import Sequence
from contextlib import closing, contextmanager
from functools import reduce
from pathlib import Path
from typing import Annotated, Any

import click
import torch
from pydantic import Field, PositiveFloat, PositiveInt, field_validator
from torch import nn

from p2s.data import coco
from p2s.data.checks.doubts import crowded
from p2s.data.classes import in_classes_of
from p2s.deploy.error_page import write_errors
from p2s.deploy.sheet import sample_sheet
from p2s.files import finite_or_none, write_atomic
from p2s.maths import ranks
from p2s.measure.coco import detect, evaluate, score
from p2s.model.device import described, device_of, place, require, whereabouts
from p2s.model.zoo import build
from p2s.spec import Coco, Spec, Test
from p2s.spec.part import Part
from p2s.spec.pretraining import READINGS
from p2s.spec.sanity import refuse_absurd, refuse_fixed_statistics
from p2s.train import events
from p2s.train import folder as kept
from p2s.train.curve import Curve, LivePicture, drawn
from p2s.train.engine import Loop, load, train
from p2s.train.watch import Watch

# A detector that trains from scratch on a laptop; --set changes anything in it.
SMALL = {
    "backbone": {"depth": 18, "width": 32, "norm": "BN", "frozen_stages": 0, "fpn_channels": 64},
    "first_stage": {"pre_nms": 500, "proposals": 256},
    "second_stage": {"regions": 64, "channels": 256},
    "recipe": {"batch": 8},
}
RATE_FACTOR = 2  # small networks learn at twice the rate of the named detector
PRETRAINED = {"width": 64, "norm": "FrozenBN", "frozen_stages": 2}  # d2
EDGES = (0.8, 0.84, 0.88, 0.92, 0.96, 1.0)  # Sec. 5: 640, 672 ... of 800 pixels
LONG = 1333 / 800  # Sec. 5: the long edge at most, in short edges
WARMUP = 0.1  # of the iterations
CHANGEABLE = sorted(set(Spec.field_words()) - {"num_classes", "data"})  # what --set may change
PICTURE = "curve.png"
VALID = f"{', '.join(CHANGEABLE)} (the annotation file gives num_classes, the options give data)"


class Where(Part):
    """Where a model computes; see p2s.model.device."""

    device: str = "auto"
    precision: str = "fp32"

    @field_validator("device")
    @classmethod
    def _is_here(cls, name):
        device_of(name)
        return name

    def take(self, model: nn.Module) -> nn.Module:
        """Bring a model there, in place; what is not the CPU in fp32 is told."""
        self.tell()
        return place(model, device_of(self.device), self.precision)

    def tell(self) -> None:
        """Tell of what is not the CPU in fp32."""
        device = device_of(self.device)
        if (device.type, self.precision) != ("cpu", "fp32"):
            click.echo(f"on {described(device)}, {self.precision}", err=True)


class Job(Where):
    """What is to be trained on which files; the fields are the options of `p2s train`."""

    detector: str
    train: Path
    val: Path
    images: Path
    val_images: Path | None = None
    output: Path
    seed: Annotated[int, Field(ge=0)]
    size: PositiveInt  # pixels of the short edge
    iterations: PositiveInt
    weights: Path | None  # of the ResNet, trained on ImageNet
    workers: Annotated[int, Field(ge=0)] = 0  # threads that make batches ahead
    save_minutes: PositiveFloat = 1.0  # between two states
    validate_every: Annotated[int, Field(ge=0)] = 0  # iterations between two AP of val
    keep_best: bool = False  # the weights of the best AP, beside the last ones
    watch: Annotated[int, Field(ge=0)] = 0  # images of val behind it, in place of all
    tensorboard: bool = False  # whether its events are written
    settings: tuple[dict[str, Any], ...]  # of --set, as Spec.changed takes them

    def require_places(self, processes: int, here: int) -> None:
        """ValueError unless so many processes, of them `here` on this machine, can train it."""
        require(self.device, self.precision, here)
        spec = self.spec(["any"])
        refuse_absurd(spec, processes)
        refuse_fixed_statistics(spec)

    def spec(self, classes: Sequence[str]) -> Spec:
        """The Spec to train: the named detector, made small, then the options, then --set."""
        _refuse_settings_outside(CHANGEABLE, self.settings, VALID)
        sides = {"long_edge": round(LONG * self.size)}
        named = Spec.named(self.detector)
        recipe = {
            "iterations": self.iterations,
            "warmup": round(WARMUP * self.iterations),
            "rate": RATE_FACTOR * named.recipe.rate,
        }
        edges = [round(share * self.size) for share in EDGES]
        pretrained = {**PRETRAINED, "weights": self.weights} if self.weights else {}
        options = {
            "num_classes": len(classes),
            "backbone": pretrained,
            "recipe": {**recipe, **sides, "short_edge": edges},
            "test": {**sides, "short_edge": self.size},
            "data": self.model_dump(include=set(Coco.model_fields)) | {"kind": "coco"},
        }
        spec = reduce(Spec.changed, (SMALL, options, *self.settings), named)
        if (word := spec.backbone.weights) in READINGS:
            raise ValueError(f"backbone.weights {word} is for studies; valid: a file, None")
        return spec


def run(job: Job) -> None:
    """Train, or load what is trained, and evaluate; `job.output` holds model, numbers, pictures."""
    data, val = (
        coco.read_coco(job.train, job.images),
        coco.read_coco(job.val, job.val_images or job.images),
    )
    val = in_classes_of(val, data.classes, told=f"{job.val}", trained=f"{job.train}")
    spec = job.spec(data.classes)
    click.echo(_summary(job, spec, data))
    torch.manual_seed(job.seed)
    model = job.take(build(spec))
    how = {"save_every": 60 * job.save_minutes, "workers": job.workers}
    with _live(job) as live:
        loop = Loop(**how, watch=_watch(job, val, spec.test), live=live)
        train(model, spec, data, job.output, seed=job.seed, loop=loop)
    if ranks.rank() == 0:
        write_atomic(job.output / "spec.json", spec.model_dump_json(indent=2).encode())
        write_atomic(job.output / PICTURE, drawn(kept.curve(job.output)))
        _tell_best(job.output / kept.BEST)
    click.echo(f"evaluating on {len(val.images)} images")
    answers = detect(model, val, spec.test)
    if ranks.rank() == 0:
        sample_sheet(val, *answers).save(job.output / "samples.png")
        metrics = score(val, *answers)
        write_metrics(job.output / "metrics.json", metrics, whereabouts(model))
        click.echo(table(metrics))
        _tell_crowded(val)


def evaluate_folder(
    folder: Path,
    annotations: Path,
    images: Path,
    settings: tuple[dict, ...],
    where: Where,
    errors: Path | None = None,
) -> tuple[dict, dict]:
    """Metrics of the model in a folder on annotated images, and where; settings are of test.

    What is wrong becomes a page in the folder `errors`, if it is given.
    """
    refuse_training_settings(settings)
    model, spec, classes = load(folder)
    data = coco.read_coco(annotations, images)
    trained = f"{folder / 'classes.json'}"
    data = in_classes_of(data, classes, told=f"{annotations}", trained=trained)
    test = reduce(Spec.changed, settings, spec).test
    detections, proposals = detect(where.take(model), data, test)
    metrics = score(data, detections, proposals)
    if errors:
        click.echo(f"{write_errors(errors, data, detections, metrics)}", err=True)
    return metrics, whereabouts(model)


def refuse_training_settings(settings: tuple[dict, ...]) -> None:
    """ValueError for settings of --set that are not of `test`, with those that are."""
    fields = ", ".join(f"test.{name}" for name in sorted(Test.model_fields))
    _refuse_settings_outside(["test"], settings, fields)


def write_metrics(path: str | Path, metrics: dict, where: dict[str, str]) -> None:
    """Write metrics, and where they were taken, as JSON; null where a number is undefined."""
    classes = {name: finite_or_none(value) for name, value in metrics["per_class"].items()}
    numbers = {
        name: finite_or_none(value) for name, value in metrics.items() if name != "per_class"
    }
    text = json.dumps({**numbers, "per_class": classes, "where": where}, indent=1, allow_nan=False)
    write_atomic(Path(path), text.encode())


def table(metrics: dict) -> str:
    """Metrics as lines of text, a dash where a number is undefined."""
    flat = {name: value for name, value in metrics.items() if name != "per_class"}
    flat |= {f"AP of {name}": value for name, value in metrics["per_class"].items()}
    width = max(map(len, flat))
    return "\n".join(
        f"{name:{width}}  {'-' if finite_or_none(value) is None else format(value, '.1f')}"
        for name, value in flat.items()
    )


def spec_lines(spec: Spec) -> list[str]:
    """A Spec as lines of text, one a part, without its data."""
    parts = spec.model_dump(mode="json", exclude={"data"})
    return [
        f"  {name}: " + ", ".join(f"{key} {value}" for key, value in fields.items())
        if isinstance(fields, dict)
        else f"  {name}: {fields}"
        for name, fields in parts.items()
    ]


def _watch(job, val, test):
    """Whom a training asks for AP: nobody, unless an option is about it."""
    if not (job.validate_every or job.keep_best or job.watch):
        return None
    some = val.first(job.watch) if job.watch else val
    keeps = job.keep_best or job.watch > 0
    return Watch(lambda model: evaluate(model, some, test)["AP"], job.validate_every, keeps)


@contextmanager
def _live(job):
    """What shows a training's curve while it grows."""
    picture = LivePicture(job.output / PICTURE)
    if not job.tensorboard:
        yield picture
        return
    with closing(events.Events(job.output / events.FOLDER)) as written:

        def live(curve: Curve) -> None:
            written(curve)
            picture(curve)

        yield live


def _tell_best(folder):
    if folder.exists():
        best = kept.told(folder)
        told = f"AP {best.AP:.1f} after {best.iteration} iterations"
        click.echo(f"{told}, watched: the best, better than at the end; --model {folder}")


def _tell_crowded(data):
    """Under a table: what its AP does not count."""
    rows = [row for of_image in data.annotations for row in of_image]
    if line := crowded(rows, dict(zip(data.category_ids, data.classes, strict=True))):
        click.echo(line)


def _summary(job, spec, data):
    images, trains = len(data.images), len(data.trainable)
    count = f"{images} images, {len(data.classes)} classes"
    if trains < images and not spec.recipe.empty:
        count = f"{trains} of {count}"
    first = f"{job.detector} on {count}, seed {job.seed}, to {job.output}"
    return "\n".join([first, *spec_lines(spec)])


def _refuse_settings_outside(parts, settings, valid):
    if foreign := sorted(set().union(*settings) - set(parts)):
        raise ValueError(
            f"--set {', '.join(foreign)}: not a setting of this command; valid: {valid}"
        )
