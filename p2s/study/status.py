"""Status: what is to run, what has run, and closing the gap.

How a run stands is what the files say, so a study that was killed goes on when started again.
"""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, get_args

import click
from tqdm import tqdm

from p2s.data import releases
from p2s.spec import Coco
from p2s.study import provenance, records, runner
from p2s.study.experiments import annotation_files
from p2s.study.project import TRAIN_EVAL
from p2s.study.runs import Run, Standing, State
from p2s.study.study import Study

EVALUATION_SHARE = 0.1  # of a training's time: the guess for an evaluation until one is measured
START_S = 10.0  # of a notebook: its kernel and imports


@dataclass(frozen=True)
class Ahead:
    """What is still to do, and the seconds it takes on one core."""

    evaluations: list[Run]
    trainings: list[Run]  # the first evaluation of each training whose weights are not there
    seconds: float
    guessed: bool  # whether a part of the time comes from scales.yaml


def standings(study: Study, only: Iterable[str] = ()) -> list[Standing]:
    """How every run of a study stands, as the files say; `only` names experiments."""
    recorded = _outlines(study)
    code = provenance.source_hash(study.project.root / TRAIN_EVAL)
    return [_standing(study, run, recorded, code) for run in study.runs(only)]


def plan(study: Study, *, only: Iterable[str] = (), jobs: int = 1) -> Ahead:
    """Tell, one line a run, what a study would do, and how long it takes."""
    ahead = _ahead(study, standings(study, only))
    first = {run.evaluation_id for run in ahead.trainings}
    for run in ahead.evaluations:
        work = "train, evaluate" if run.evaluation_id in first else "evaluate"
        click.echo(f"{work:16}{run.label}")
    counts = f"{len(ahead.trainings)} trainings, {len(ahead.evaluations)} evaluations"
    click.echo(f"{counts} to run: {_duration(ahead, jobs)}")
    return ahead


def status(study: Study, *, only: Iterable[str] = (), jobs: int = 1) -> list[Standing]:
    """Tell, one line a run, how a study stands, and the time left."""
    known = standings(study, only)
    for standing in known:
        click.echo(str(standing))
    states = [standing.state for standing in known]
    counts = [f"{states.count(state)} {state}" for state in get_args(State)]
    left = _duration(_ahead(study, known), jobs)
    click.echo(f"{', '.join(counts)}; left: {left}")
    wanted = {run.evaluation_id for run in study.runs()}
    others = {name for name, outline in _outlines(study).items() if not outline.problem} - wanted
    if others:
        click.echo(f"{len(others)} more records: other settings, or an older numerics version")
    return known


def run(
    study: Study, executor: Any, *, only: Iterable[str] = (), template: Path = TRAIN_EVAL
) -> int:
    """Run what is missing or changed, one line a run; returns the number of runs that failed.

    `executor` is as `runner.outcomes` takes it. Runs that are at work in another process are waited
    for, and run here if they end without a record.
    """
    template = study.project.root / template
    known = standings(study, only)
    waiting = [standing.run for standing in known if standing.state != "done"]
    click.echo(f"{len(known) - len(waiting)} of {len(known)} runs are done")
    if elsewhere := sum(standing.state == "running" for standing in known):
        click.echo(f"{elsewhere} at work in another process: waiting for their records")
    for data in dict.fromkeys(waited.spec.data for waited in waiting):
        _refuse_bad_files(study, data)
    if waiting:
        runner.parameters(template, runner.given(study.project, waiting[0]))
    failed = 0
    bar = tqdm(total=len(waiting), disable=None, unit="run")  # only in a terminal
    with bar, closing(runner.outcomes(study.project, waiting, template, executor)) as outcomes:
        for outcome in outcomes:
            bar.write(str(outcome))
            bar.update()
            failed += outcome.state == "failed"
    return failed


def _outlines(study):
    project, scale = study.project, study.scale
    return records.outlines(project.records(scale), project.cache / f"records-{scale}.json")


def _standing(study, run, recorded, code):
    project, outline = study.project, recorded.get(run.evaluation_id)
    if outline and not outline.problem:
        return Standing(run, "done", "" if outline.source_hash == code else "by older code")
    if runner.is_at_work(project, run):
        return Standing(run, "running")
    if project.failure(run).exists():
        return Standing(run, "failed", project.failure(run).read_text())
    return Standing(run, "missing", outline.problem if outline else "")


def _ahead(study, known):
    waiting = [standing.run for standing in known if standing.state != "done"]
    trainings: dict[str, Run] = {}
    for waited in waiting:
        if not runner.is_trained(study.project, waited):
            trainings.setdefault(waited.training_id, waited)
    measured = _measured(study)
    guess = 60 * study.scales[study.scale].minutes_a_training
    unknown = (guess, guess * EVALUATION_SHARE)
    seconds = sum(measured.get(_kind(waited), unknown)[0] for waited in trainings.values())
    seconds += sum(START_S + measured.get(_kind(waited), unknown)[1] for waited in waiting)
    guessed = any(_kind(waited) not in measured for waited in waiting)
    return Ahead(waiting, list(trainings.values()), seconds, guessed)


def _measured(study):
    """Median seconds of a training and of an evaluation by `_kind`, from a scale's records."""
    by_kind = {}
    for outline in _outlines(study).values():
        times = outline.train_s, outline.evaluate_s
        if None not in times:
            by_kind.setdefault((outline.detector, outline.num_classes), []).append(times)
    columns = {kind: zip(*times, strict=True) for kind, times in by_kind.items()}
    return {kind: tuple(median(times) for times in both) for kind, both in columns.items()}


def _kind(run):
    """What a run's time depends on most."""
    return run.detector, run.spec.num_classes


def _duration(ahead, jobs):
    source = "guessed from scales.yaml" if ahead.guessed else "measured in earlier runs"
    at_once = max(1, min(jobs, len(ahead.evaluations)))
    minutes = ahead.seconds / 60 / at_once
    shown = f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} hours"
    return f"about {shown} with {at_once} at once ({source})" if ahead.evaluations else "nothing"


def _refuse_bad_files(study, data):
    if isinstance(data, Coco):
        for path in annotation_files(data, study.project.root):
            if not path.exists():
                told = f"{path}: not found; scale {study.scale} needs it"
                raise FileNotFoundError(f"{told}{releases.origin(data)}")
        if problems := releases.check(data, study.project.root):
            raise ValueError("; ".join(problems))
