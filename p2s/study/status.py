"""The study: what is to run, what has run, and closing the gap.

How a run stands is what the files say, so a study that was killed goes on when started again.
"""

from contextlib import closing
from dataclasses import dataclass
from statistics import median

import click
from filelock import FileLock, Timeout
from tqdm import tqdm

from p2s.data import releases
from p2s.spec import Coco
from p2s.study import provenance, records, runner
from p2s.study.experiments import annotation_files, load_scales
from p2s.study.project import TRAIN_EVAL
from p2s.study.runs import Run, Standing, runs

EVALUATION_SHARE = 0.1  # of a training's time: the guess for an evaluation until one is measured
START_S = 10.0  # of a notebook: its kernel and imports


@dataclass(frozen=True)
class Plan:
    """What is still to do, and the seconds it takes on one core."""

    evaluations: list[Run]
    trainings: list[Run]  # the first evaluation of each training whose weights are not there
    seconds: float
    guessed: bool  # whether a part of the time comes from scales.yaml


def standings(project, scale, only=()):
    """How every run of a scale stands, as the files say; `only` names experiments."""
    found, damaged = records.survey(project.records(scale))
    code = provenance.source_hash(project.root / TRAIN_EVAL)
    known = []
    for each in runs(project, scale, only):
        record = found.get(each.evaluation_id)
        if record:
            note = "" if record.source_hash == code else "by older code"
            known.append(Standing(each, "done", note))
        elif _locked(project.lock(each)):
            known.append(Standing(each, "running"))
        elif project.failure(each).exists():
            known.append(Standing(each, "failed", project.failure(each).read_text()))
        else:
            known.append(Standing(each, "missing", damaged.get(each.evaluation_id, "")))
    return known


def plan(project, scale, *, only=(), jobs=1):
    """Tell, one line a run, what a study would do, and how long it takes; returns the Plan."""
    ahead = _ahead(project, scale, standings(project, scale, only))
    first = {each.evaluation_id for each in ahead.trainings}
    for each in ahead.evaluations:
        work = "train, evaluate" if each.evaluation_id in first else "evaluate"
        click.echo(f"{work:16}{each.label}")
    counts = f"{len(ahead.trainings)} trainings, {len(ahead.evaluations)} evaluations"
    click.echo(f"{counts} to run: {_duration(ahead, jobs)}")
    return ahead


def status(project, scale, *, only=(), jobs=1):
    """Tell, one line a run, how a study stands, and the time left; returns the standings."""
    known = standings(project, scale, only)
    for each in known:
        click.echo(str(each))
    states = [each.state for each in known]
    counts = [f"{states.count(s)} {s}" for s in ("done", "running", "failed", "missing")]
    left = _duration(_ahead(project, scale, known), jobs)
    click.echo(f"{', '.join(counts)}; left: {left}")
    wanted = {each.evaluation_id for each in runs(project, scale)}
    others = set(records.survey(project.records(scale))[0]) - wanted
    if others:
        click.echo(f"{len(others)} more records: other settings, or an older numerics version")
    return known


def run(project, scale, executor, *, only=(), template=TRAIN_EVAL):
    """Run what is missing or changed, one line a run; returns the number of runs that failed.

    Runs that are at work in another process are waited for, and run here if they end without a
    record.
    """
    template = project.root / template
    known = standings(project, scale, only)
    waiting = [each.run for each in known if each.state != "done"]
    click.echo(f"{len(known) - len(waiting)} of {len(known)} runs are done")
    if elsewhere := sum(each.state == "running" for each in known):
        click.echo(f"{elsewhere} at work in another process: waiting for their records")
    for data in dict.fromkeys(each.spec.data for each in waiting):
        _refuse_bad_files(project, scale, data)
    if waiting:
        runner.parameters(template, runner.given(project, waiting[0]))
    failed = 0
    bar = tqdm(total=len(waiting), disable=None, unit="run")  # only in a terminal
    with bar, closing(runner.outcomes(project, waiting, template, executor)) as ended:
        for each in ended:
            bar.write(str(each))
            bar.update()
            failed += each.state == "failed"
    return failed


def _ahead(project, scale, known):
    waiting = [each.run for each in known if each.state != "done"]
    trainings = {}
    for each in waiting:
        if not runner.is_trained(project, each):
            trainings.setdefault(each.training_id, each)
    measured = _measured(project, scale)
    guess = 60 * load_scales(project)[scale].minutes_a_training
    unknown = (guess, guess * EVALUATION_SHARE)
    seconds = sum(measured.get(_kind(each), unknown)[0] for each in trainings.values())
    seconds += sum(START_S + measured.get(_kind(each), unknown)[1] for each in waiting)
    guessed = any(_kind(each) not in measured for each in waiting)
    return Plan(waiting, list(trainings.values()), seconds, guessed)


def _measured(project, scale):
    """Median seconds of a training and of an evaluation by `_kind`, from a scale's records."""
    by_kind = {}
    for record in records.survey(project.records(scale))[0].values():
        both = record.timings.get("train_s"), record.timings.get("evaluate_s")
        if None not in both:
            by_kind.setdefault((record.detector, record.spec["num_classes"]), []).append(both)
    columns = {kind: zip(*times, strict=True) for kind, times in by_kind.items()}
    return {kind: tuple(median(times) for times in both) for kind, both in columns.items()}


def _kind(run):
    """What a run's time depends on most."""
    return run.detector, run.spec.num_classes


def _duration(ahead, jobs):
    source = "guessed from scales.yaml" if ahead.guessed else "measured in earlier runs"
    minutes = ahead.seconds / 60 / jobs
    shown = f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} hours"
    return f"about {shown} with {jobs} at once ({source})" if ahead.evaluations else "nothing"


def _refuse_bad_files(project, scale, data):
    if isinstance(data, Coco):
        for path in annotation_files(data, project.root):
            if not path.exists():
                told = f"{path}: not found; scale {scale} needs it"
                raise FileNotFoundError(f"{told}{releases.origin(data)}")
        if problems := releases.check(data, project.root):
            raise ValueError("; ".join(problems))


def _locked(path):
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
