"""Training on one's own images: what `p2s train` does after the health check."""

import sys
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from p2s.cli.evaluation import ap_of, found_in_all, kept_of
from p2s.cli.job import DETECTOR, Job
from p2s.cli.telling import say
from p2s.data import coco
from p2s.data.classes import in_classes_of, shared
from p2s.data.joined import JoinedSet, share_of_last, with_pseudo_labels
from p2s.deploy.sheet import sample_sheet
from p2s.files import read_json, write_atomic
from p2s.maths import ranks
from p2s.model.device import whereabouts
from p2s.model.zoo import build
from p2s.spec import Spec
from p2s.spec.changes import leaves
from p2s.train import events
from p2s.train import folder as kept
from p2s.train.curve import Curve, LiveLines, LivePicture, drawn
from p2s.train.engine import Loop, train
from p2s.train.watch import Watch

PICTURE, METRICS = "curve.png", "metrics.json"


def run(job: Job) -> None:
    """Train, or load what is trained, and evaluate; `job.output` holds model, numbers, pictures."""
    data, val = (
        coco.read_coco(job.train, job.images),
        coco.read_coco(job.val, job.val_images or job.images),
    )
    val = in_classes_of(val, data.classes, told=f"{job.val}", trained=f"{job.train}")
    data = with_pseudo_labels(data, job.data)
    spec = job.spec(data.classes)
    say(*_summary(job, spec, data))
    _evaluate(job, _trained(job, spec, data, val), val, spec)


def _trained(job, spec, data, val):
    """The model, trained now or before, whose folder has the curve of its training."""
    torch.manual_seed(job.seed)
    model = job.take(build(spec, data.classes))
    how = {"save_every": 60 * job.save_minutes, "workers": job.workers}
    before = (job.output / "training.json").exists()
    with _live(job, spec.recipe.steps) as live:
        loop = Loop(**how, watch=_watch(job, val, spec.test), live=live)
        train(model, spec, data, job.output, seed=job.seed, loop=loop)
    if ranks.rank() == 0:
        if before:
            say("trained already, evaluated again", err=True)
        write_atomic(job.output / "spec.json", spec.model_dump_json(indent=2).encode())
        write_atomic(job.output / PICTURE, drawn(kept.curve(job.output)))
        _tell_best(job.output)
    return model


def _evaluate(job, model, val, spec):
    """Metrics, and samples of what was found, in the model's folder."""
    say(f"evaluating on {len(val.images)} images")
    answers = kept_of(job.output, model, val, spec)
    with kept.named(job.output):
        found = found_in_all(model, val, spec.test, answers)
    if ranks.rank() == 0:
        sample_sheet(found.data, found.detections, found.proposals).save(job.output / "samples.png")
        found.measured(job.output / METRICS, whereabouts(model))
        say(f"next: p2s predict --model {job.output} PICTURES --output FOUND")
    answers.remove()


def left_out(folder: Path) -> int:
    """How many pictures the metrics in a trained model's folder had to do without."""
    path = folder / METRICS
    return read_json(path, dict[str, Any]).get("left_out", 0) if path.exists() else 0


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
    return Watch(ap_of(some, test), job.validate_every, keeps)


@contextmanager
def _live(job, steps):
    """What shows a training's curve while it grows."""
    shown = [LivePicture(job.output / PICTURE)]
    if not sys.stderr.isatty():  # where there is, a bar
        shown.append(LiveLines(steps, partial(say, err=True)))

    def live(curve: Curve) -> None:
        for show in shown:
            show(curve)

    with ExitStack() as opened:
        if job.tensorboard:
            written = opened.enter_context(closing(events.Events(job.output / events.FOLDER)))
            shown.append(written)
        yield live


def _tell_best(folder):
    if best := kept.best(folder):
        told = f"AP {best.AP:.1f} after {best.iteration} iterations, watched"
        say(f"{told}: the best, better than at the end; --model {folder / kept.BEST}")


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
    return [first, *started, *spec_lines(spec), rate]
