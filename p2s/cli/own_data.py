"""Training on one's own images: what `p2s train` and `p2s evaluate` do after the health check."""

import json
import sys
from collections import Counter
from contextlib import ExitStack, closing, contextmanager
from functools import partial, reduce
from pathlib import Path

import click
import numpy as np
import torch

from p2s.cli.job import DETECTOR, Job, Where, refuse_training_settings
from p2s.data import coco
from p2s.data.checks.doubts import crowded
from p2s.data.classes import beyond, in_classes_of, shared
from p2s.data.joined import JoinedSet, share_of_last, with_pseudo_labels
from p2s.deploy.error_page import write_errors
from p2s.deploy.sheet import sample_sheet
from p2s.files import finite_or_none, write_atomic
from p2s.maths import ranks
from p2s.measure.coco import detect, evaluate, score
from p2s.measure.rows import Rows
from p2s.model.device import whereabouts
from p2s.model.zoo import build
from p2s.spec import Spec
from p2s.spec.changes import leaves
from p2s.train import events
from p2s.train import folder as kept
from p2s.train.curve import Curve, LiveLines, LivePicture, drawn
from p2s.train.engine import Loop, load, train
from p2s.train.watch import Watch

PICTURE = "curve.png"


def run(job: Job) -> None:
    """Train, or load what is trained, and evaluate; `job.output` holds model, numbers, pictures."""
    data, val = (
        coco.read_coco(job.train, job.images),
        coco.read_coco(job.val, job.val_images or job.images),
    )
    val = in_classes_of(val, data.classes, told=f"{job.val}", trained=f"{job.train}")
    data = with_pseudo_labels(data, job.data)
    spec = job.spec(data.classes)
    click.echo(_summary(job, spec, data))
    torch.manual_seed(job.seed)
    model = job.take(build(spec, data.classes))
    how = {"save_every": 60 * job.save_minutes, "workers": job.workers}
    before = (job.output / "training.json").exists()
    with _live(job, spec.recipe.steps) as live:
        loop = Loop(**how, watch=_watch(job, val, spec.test), live=live)
        train(model, spec, data, job.output, seed=job.seed, loop=loop)
    if ranks.rank() == 0:
        if before:
            click.echo("trained already, evaluated again", err=True)
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
        click.echo(f"next: p2s predict --model {job.output} PICTURES --output FOUND")


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


def submit(
    folder: Path,
    annotations: Path,
    images: Path,
    settings: tuple[dict, ...],
    where: Where,
    target: Path,
) -> None:
    """Write what the model in a folder finds as COCO's results, which its server takes."""
    refuse_training_settings(settings)
    model, spec, classes = load(folder)
    given = coco.read_pictures(annotations, images)
    trained = f"{folder / 'classes.json'}"
    data = in_classes_of(given, classes, told=f"{annotations}", trained=trained)
    detections, _ = detect(where.take(model), data, reduce(Spec.changed, settings, spec).test)
    rows = Rows.of_detections(detections)
    names = np.array(classes, object)[rows.labels]
    results = rows.where(np.isin(names, given.classes)).results(data)
    write_atomic(target, json.dumps(results).encode())
    if line := beyond(Counter(names), given.classes, told=f"{annotations}"):
        click.echo(line, err=True)
    click.echo(f"{target}: {len(results)} detections in {len(data)} pictures")


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
    """A Spec as lines of text, one a part, without its data and what does nothing in it."""
    parts = {name: part for name, part in spec.nested().items() if name != "data"}
    return [f"  {name}: {_told(part)}" for name, part in parts.items()]


def _told(part):
    if not isinstance(part, dict):
        return part
    words = ((name.removesuffix(".kind"), value) for name, value in leaves(part))
    return ", ".join(f"{name} {value}" for name, value in words)


def _watch(job, val, test):
    """Whom a training asks for AP: nobody, unless an option is about it."""
    if not (job.validate_every or job.keep_best or job.watch):
        return None
    some = val.first(job.watch) if job.watch else val
    keeps = job.keep_best or job.watch > 0
    return Watch(lambda model: evaluate(model, some, test)["AP"], job.validate_every, keeps)


@contextmanager
def _live(job, steps):
    """What shows a training's curve while it grows."""
    shown = [LivePicture(job.output / PICTURE)]
    if not sys.stderr.isatty():  # where there is, a bar
        shown.append(LiveLines(steps, partial(click.echo, err=True)))

    def live(curve: Curve) -> None:
        for show in shown:
            show(curve)

    with ExitStack() as opened:
        if job.tensorboard:
            written = opened.enter_context(closing(events.Events(job.output / events.FOLDER)))
            shown.append(written)
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
    if isinstance(data, JoinedSet):
        shares = share_of_last(data)
        count += "; pseudo-labelled: " + ", ".join(f"{v:.0%} of {k}" for k, v in shares.items())
    name = f"from {job.start}" if job.start else job.detector or DETECTOR
    first = f"{name} on {count}, seed {job.seed}, to {job.output}"
    started = [f"classes {shared(data.classes, kept.described(job.start)[1])}"] if job.start else []
    rate = f"  rate for a batch of {spec.recipe.batch}: {spec.recipe.scaled_rate:g}"
    return "\n".join([first, *started, *spec_lines(spec), rate])
