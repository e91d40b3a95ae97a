"""Status: what is to run, what has run, and closing the gap.

How a run stands is what the files say, so a study that was killed goes on when started again.
"""

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import click
from tqdm import tqdm

from p2s.data import releases
from p2s.data.catalogue import bringing, read_catalogue
from p2s.files import cut, printable, shortened, text_of
from p2s.scratch import remove_orphans
from p2s.spec import Coco, Spec
from p2s.spec.pretraining import PUBLISHED
from p2s.spec.sanity import refuse_absurd, refuse_fixed_statistics
from p2s.study import provenance, records, runner
from p2s.study.experiments import annotation_files
from p2s.study.project import TRAIN_EVAL, Project
from p2s.study.runs import Run, Standing, State, given, typed
from p2s.study.study import Study
from p2s.study.times import Pace, Times
from p2s.train.shelf import trunk_file

MOST_NOTE = 2**20  # bytes of why a run failed
START_S = 10.0  # of a notebook: its kernel and imports


@dataclass(frozen=True)
class Ahead:
    """What is still to do, and the seconds it takes, one after the other."""

    evaluations: list[Run]
    trainings: list[Run]  # the first evaluation of each training whose weights are not there
    training_s: float
    evaluation_s: float
    sources: tuple[str, ...]  # what the times are from

    @property
    def seconds(self) -> float:
        """Of both."""
        return self.training_s + self.evaluation_s

    def at_once(self, jobs: int) -> float:
        """Seconds with so many at once: no more than there are trainings, then evaluations."""
        trainings = self.training_s / max(1, min(jobs, len(self.trainings)))
        return trainings + self.evaluation_s / max(1, min(jobs, len(self.evaluations)))


def standings(study: Study, only: Iterable[str] = ()) -> list[Standing]:
    """How every run of a study stands, as the files say; `only` names experiments."""
    recorded = outlines_of(study)
    code = provenance.source_hash(study.project.root / TRAIN_EVAL)
    return [_standing(study, run, recorded, code) for run in study.runs(only)]


def plan(
    study: Study,
    *,
    only: Iterable[str] = (),
    jobs: int = 1,
    measure: Callable[[Spec], Pace] | None = None,
) -> Ahead:
    """Tell, one line a run, what a study would do, and how long it takes.

    `measure` is asked for the Pace of what no record tells of; None: guess.
    """
    ahead = still_ahead(study, standings(study, only), measure)
    first = {run.evaluation_id for run in ahead.trainings}
    for run in ahead.evaluations:
        work = "train, evaluate" if run.evaluation_id in first else "evaluate"
        click.echo(f"{work:16}{printable(run.label)}")
    counts = f"{len(ahead.trainings)} trainings, {len(ahead.evaluations)} evaluations"
    click.echo(f"{counts} to run: {_duration(ahead, jobs)}")
    for line in needs(ahead.evaluations, study.project):
        click.echo(printable(line))
    return ahead


def status(study: Study, *, only: Iterable[str] = (), jobs: int = 1) -> list[Standing]:
    """Tell, one line a run, how a study stands, and the time left."""
    known = standings(study, only)
    for standing in known:
        click.echo(printable(str(standing)))
    states = [standing.state for standing in known]
    counts = [f"{states.count(state)} {state}" for state in get_args(State)]
    left = _duration(still_ahead(study, known), jobs)
    click.echo(f"{', '.join(counts)}; left: {left}")
    wanted = {run.evaluation_id for run in study.runs()}
    others = {name for name, outline in outlines_of(study).items() if not outline.problem} - wanted
    if others:
        click.echo(f"{len(others)} more records: other settings, or an older numerics version")
    return known


def run(
    study: Study,
    executor: Any,
    *,
    only: Iterable[str] = (),
    processes: int = 1,
    template: Path = TRAIN_EVAL,
) -> int:
    """Run what is missing or changed, one line a run; returns the number of runs that failed.

    Each training has so many `processes`; ValueError, before anything runs, for one that they, or
    bad files, could not do. `executor` is as `runner.outcomes` takes it. Runs that are at work in
    another process are waited for, and run here if they end without a record.
    """
    remove_orphans()  # of a study that was killed, perhaps at its very end
    template = study.project.root / template
    known = standings(study, only)
    waiting = [standing.run for standing in known if standing.state != "done"]
    click.echo(f"{len(known) - len(waiting)} of {len(known)} runs are done")
    if elsewhere := sum(standing.state == "running" for standing in known):
        click.echo(f"{elsewhere} at work in another process: waiting for their records")
    _refuse_hopeless(study, waiting, processes)
    if waiting:
        study.project.require_places(study.scale)
        typed(template, given(study.project, waiting[0]))
    failed = 0
    bar = tqdm(total=len(waiting), disable=None, unit="run")  # only in a terminal
    with bar, closing(runner.outcomes(study.project, waiting, template, executor)) as outcomes:
        for outcome in outcomes:
            bar.write(printable(str(outcome)))
            bar.update()
            failed += outcome.state == "failed"
    return failed


def needs(runs: Sequence[Run], project: Project) -> list[str]:
    """What is missing to carry out runs of one scale, a line each; of trained ones no weights."""
    ahead = [run for run in runs if not project.is_trained(run)]
    released = dict.fromkeys(run.weights for run in ahead if run.weights)
    lines = [f"released weights are missing: `p2s fetch {' '.join(released)}`"] * bool(released)
    for weights in dict.fromkeys(run.spec.backbone.weights for run in ahead if not run.weights):
        if isinstance(weights, Path):
            lines += _of_files([project.root / weights], runs[0].scale, project)
        if weights in PUBLISHED:
            lines += _of_trunk(weights, project)
    for data in dict.fromkeys(run.spec.data for run in runs):
        if isinstance(data, Coco):
            lines += _of_data(data, runs[0].scale, project)
    return [*dict.fromkeys(lines)]


def outlines_of(study: Study) -> dict[str, records.Outline]:
    """The outlines of the records of a study's scale, by id."""
    project, scale = study.project, study.scale
    return records.outlines(project.records(scale), project.cache / f"records-{scale}.json")


def _standing(study, run, recorded, code):
    project, outline = study.project, recorded.get(run.evaluation_id)
    problem = outline.problem or records.misfit(outline.asked, run) if outline else ""
    if outline and not problem:
        return Standing(run, "done", "" if outline.source_hash == code else "by older code")
    if runner.is_at_work(project, run):
        return Standing(run, "running")
    if project.failure(run).exists():
        return Standing(run, "failed", _noted(project.failure(run)))
    return Standing(run, "missing", problem)


def _noted(path):
    """Why a run failed, or why nobody can tell: running it again makes a new note."""
    try:
        return shortened(text_of(path, MOST_NOTE))
    except ValueError as error:
        return str(error)


def still_ahead(
    study: Study, known: Iterable[Standing], measure: Callable[[Spec], Pace] | None = None
) -> Ahead:
    """What is not done of what is known, and its seconds; `measure` as in `plan`."""
    waiting = [standing.run for standing in known if standing.state != "done"]
    trainings: dict[str, Run] = {}
    for waited in waiting:
        if not (waited.weights or study.project.is_trained(waited)):
            trainings.setdefault(waited.training_id, waited)
    outlines = [*outlines_of(study).values()]
    times = Times(study.project, study.scales[study.scale], outlines, measure)
    training_s = sum(times.training(waited) for waited in trainings.values())
    evaluation_s = sum(START_S + times.evaluation(waited) for waited in waiting)
    return Ahead(waiting, [*trainings.values()], training_s, evaluation_s, (*times.sources,))


def _duration(ahead, jobs):
    at_once = max(1, min(jobs, len(ahead.evaluations)))
    minutes = ahead.at_once(jobs) / 60
    hours = minutes / 60
    shown = f"{minutes:.0f} min" if minutes < 100 else f"{hours:.1f} hours"
    if hours > 1000:
        shown = f"{hours / 24:,.0f} days"
    told = f"about {shown} with {at_once} at once ({'; '.join(ahead.sources)})"
    return told if ahead.evaluations else "nothing"


def _of_trunk(name, project) -> Iterator[str]:
    if importlib.util.find_spec("timm") is None:
        yield "timm is missing: pip install timm"
    try:
        trunk_file(name, project.root)
    except ValueError as error:
        yield str(error)


def _of_data(data, scale, project) -> Iterator[str]:
    train, val, *made = annotation_files(data, project.root)
    yield from _of_files([train, val], scale, project, releases.origin(data))
    for path in made:
        if not path.exists():
            yield f"{path}: not found; scale {scale} needs it: `p2s pseudo-label` makes it"


def _of_files(files, scale, project, origin="") -> Iterator[str]:
    if missing := [*dict.fromkeys(path for path in files if not path.exists())]:
        catalogue = read_catalogue()
        found = dict.fromkeys(bringing(catalogue, path, project.root) for path in missing)
        names = " ".join(name for name in found if name)
        command = f": `p2s fetch {names}`" if names else ""
        told = ", ".join(map(str, missing))
        yield f"{told}: not found; scale {scale} needs it{origin}{command}"


def _refuse_hopeless(study, waiting, processes):
    for waited in waiting:
        _refuse_absurd(study, waited, processes)
    if absent := needs(waiting, study.project):
        raise FileNotFoundError("; ".join(absent))
    for asked in dict.fromkeys((each.spec.data, each.spec.recipe.empty) for each in waiting):
        _refuse_bad_files(study, *asked)


def _refuse_absurd(study, run, processes):
    if run.weights or study.project.is_trained(run):
        return
    try:
        refuse_absurd(run.spec, processes)
        refuse_fixed_statistics(run.spec)
    except ValueError as error:
        path = study.project.experiments / f"{run.experiment}.yaml"
        raise ValueError(f"{path}: {run.label}: {error}") from None


def _refuse_bad_files(study, data, empty):
    """Refuse files with problems; what is doubted of others is told, as `p2s train` does."""
    if not isinstance(data, Coco):
        return
    told = releases.check(data, study.project.root, empty)
    if told.problems:
        raise ValueError("; ".join(told.problems))
    for line in told.doubts:
        click.echo(cut(f"warning: {line}"), err=True)
