"""`p2s list` and `p2s info`: which detectors there are, and what one that was trained is."""

from typing import Any, Literal

import click
from pydantic import BaseModel

from p2s.cli.paths import MODEL_FOLDER
from p2s.cli.telling import say
from p2s.files import WEIGHTS, finite_or_none, read_json

WIDTHS = "{:29}{:12}{:9}{:>7}{:>8}{:>7}  {}"
HEAD = ("detector", "first", "second", "M", "GFLOP", "AP", "weights for p2s fetch")


class Numbers(BaseModel):
    """What is told of `metrics.json`."""

    AP: float | None = None
    AP50: float | None = None
    AP75: float | None = None


@click.command("list")
def list_():
    """Named detectors: stages, parameters, operations, the paper's AP, weights to be had.

    Below them, the models that come with p2s.

    M is millions of parameters. GFLOP are of an image of 800 x 1088 pixels, two operations a
    multiplication and addition, counted without weights. AP is the paper's on COCO val, of the net
    in the name, else ResNet-50; a dash: it has none with these settings.
    """
    from p2s.measure.structure import cost
    from p2s.spec import NAMED, Spec
    from p2s.study.structures import SIZE

    say(WIDTHS.format(*HEAD))
    weights = _weights()
    for name in NAMED:
        spec = Spec.named(name)
        of = cost(spec, SIZE)
        numbers = f"{of.parameters / 1e6:.1f}", f"{of.operations / 1e9:.0f}", _ap(name)
        stages = spec.first, spec.second
        say(WIDTHS.format(name, *stages, *numbers, ", ".join(weights.get(name, ()))))
    say("", *_examples())


@click.command()
@click.argument("model", type=MODEL_FOLDER)
def info(model):
    """What a model is: MODEL is its folder, a detector of `p2s fetch`, or one that came with p2s.

    Detector, classes, training, AP if it was evaluated, size, hash and settings.
    """
    from p2s.cli.own_data import spec_lines
    from p2s.study.example import card
    from p2s.train.folder import described

    spec, classes = described(model)
    told = {
        "model": model,
        "detector": _detector(model, spec),
        "classes": f"{len(classes)}: {', '.join(classes)}",
        "training": _training(model, spec),
        "AP": _numbers(model),
    }
    told |= _size(model / WEIGHTS, spec) | _broken(model / WEIGHTS)
    told |= came.lines() if (came := card.read(model)) else {}
    told["settings"] = ""
    say(*(f"{name:10}{text}" for name, text in told.items()), *spec_lines(spec))


def _size(weights, spec):
    """What a model takes, by its heading, and the hash of its weights."""
    from p2s.files import file_sha256
    from p2s.measure.structure import cost
    from p2s.spec.memory import require_image

    edge = spec.test.short_edge
    require_image(edge, edge, f"{weights.with_name('spec.json')}: test.short_edge {edge}")
    of, held = cost(spec, (edge, edge)), weights.stat().st_size
    return {
        "size": f"{of.parameters / 1e6:.1f} M parameters, {held / 1e6:.1f} MB",
        "cost": f"{of.operations / 1e9:.1f} GFLOP for {edge} pixels squared",
        "sha256": file_sha256(weights),
    }


def _broken(weights):
    """For what other commands refuse a file of weights, by its heading; nothing if it is sound."""
    from p2s.model.weights import read_weights, require_finite

    try:
        require_finite(weights, read_weights(weights))
    except ValueError as error:
        return {"broken": f"{error}".removeprefix(f"{weights}: ")}
    return {}


def _weights():
    """Names of the catalogue by named detector."""
    from p2s.data.catalogue import read_catalogue
    from p2s.spec.released import RELEASED

    by_detector = {}
    for name, source in read_catalogue().items():
        if source.detector:
            by_detector.setdefault(RELEASED[source.detector][0], []).append(name)
    return by_detector


def _examples():
    """A line each of what comes with the package."""
    from p2s.study.example import card
    from p2s.train.shelf import EXAMPLES

    for name, folder in EXAMPLES.items():
        came = card.read(folder)
        told = f"{came.detector} on glyphs, {came.lines()['AP']}" if came else "not in this p2s"
        yield f"{name:29}comes with p2s: {told}"


def _ap(name):
    from p2s.report.tables.runtimes import average_precision

    try:
        value = finite_or_none(average_precision(name))
    except FileNotFoundError:  # the published numbers are in the project, not in a wheel
        value = None
    return "-" if value is None else f"{value:.1f}"


def _detector(folder, spec):
    from p2s.spec import NAMED, Spec

    stages = f"{spec.first} + {spec.second}, P{spec.levels[0]}-P{spec.levels[1]}"
    if (imported := folder / "imported.json").exists():
        origin = read_json(imported, dict[Literal["as", "file", "sha256", "dropped"], Any])
        return f"{origin.get('as')} ({stages}), imported from {origin.get('file')}"
    names = [name for name in NAMED if _kinds(Spec.named(name)) == _kinds(spec)]
    return f"{names[-1]} ({stages})" if names else stages


def _kinds(spec):
    """What its name says of a detector."""
    backbone = spec.backbone
    return spec.first, spec.second, spec.levels, backbone.trunk.kind, backbone.neck.kind


def _training(folder, spec):
    from p2s.train.folder import told

    if not (folder / "training.json").exists():
        return "elsewhere"
    training = told(folder)
    recipe = f"{spec.recipe.steps} iterations of {spec.recipe.batch} images"
    place = f" on {training.where.device}" if training.where else ""
    return f"{recipe}, seed {training.seed}, {training.seconds / 60:.1f} minutes{place}"


def _numbers(folder):
    if not (kept := folder / "metrics.json").exists():
        return "not evaluated; `p2s evaluate` does"
    told = {name: finite_or_none(value) for name, value in read_json(kept, Numbers)}
    return ", ".join(f"{name} {'-' if v is None else format(v, '.1f')}" for name, v in told.items())
