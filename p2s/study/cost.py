"""Cost: hours, memory and disk of a study before it starts, and the hours that it has taken."""

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from p2s.spec import Coco, Glyphs
from p2s.study import records, status
from p2s.study.records import Outline
from p2s.study.runs import Run, Standing
from p2s.study.study import Study
from p2s.study.times import Times

BMP_HEADER = 54  # bytes of a picture, besides its pixels
HOURS = ["hours ahead", "hours taken"]  # of one process


class Needs(NamedTuple):
    """MB that what is ahead needs; None where no record tells yet."""

    memory: float | None  # of one process
    weights: float | None  # on the disk
    scenes: float  # pictures to draw


class Taken(NamedTuple):
    """What the runs of a scale that are done took, as their records tell; each training once."""

    trainings: int
    evaluations: int
    hours: float  # of one process
    longest: float  # of the trainings, in hours
    memory: float | None  # MB, the most that a process held; None where no record tells


def taken(study: Study) -> Taken:
    """What all experiments of a study have taken at its scale."""
    outlines, known = status.outlines_of(study), status.standings(study)
    done = [outlines[each.run.evaluation_id] for each in known if each.state == "done"]
    trained = {one.training: one.train_s for one in reversed(done) if one.train_s}.values()
    held = [one.memory_mb for one in done if one.memory_mb]
    return Taken(
        trainings=len(trained),
        evaluations=len(done),
        hours=sum(seconds for _, seconds in _taken(known, outlines)) / 3600,
        longest=max(trained, default=0) / 3600,
        memory=max(held, default=None),
    )


def table(study: Study, only: Iterable[str] = (), jobs: int = 1) -> str:
    """The costs of each experiment as Markdown, and the needs of all in two lines."""
    known = status.standings(study, only)
    ahead, found = status.still_ahead(study, known), costs(study, known)
    hours = found[HOURS].sum()
    lines = [found.round(2).to_markdown(index=False), ""]
    lines += [f"{hours[HOURS[0]]:.1f} hours ahead, {hours[HOURS[1]]:.1f} taken, of one process"]
    if ahead.evaluations:
        lines += [f"with {jobs} at once about {ahead.at_once(jobs) / 3600:.1f} hours ahead"]
        lines += [_told(needs(study, ahead), jobs)]
    return "\n".join(lines)


def costs(study: Study, known: Iterable[Standing]) -> pd.DataFrame:
    """A row for each experiment: trainings and evaluations ahead, and HOURS.

    What it shares with one above is counted there. Hours ahead are as in a plan, those taken as
    the records of what is done tell.
    """
    outlines = status.outlines_of(study)
    ahead, rows = status.still_ahead(study, known), {}
    times = Times(study.project, study.scales[study.scale], outlines.values())
    for each in known:
        rows.setdefault(each.run.experiment, dict.fromkeys(["trainings", "evaluations", *HOURS], 0))
    for run in ahead.trainings:
        _add(rows[run.experiment], "trainings", HOURS[0], times.training(run))
    for run in ahead.evaluations:
        seconds = status.START_S + times.evaluation(run)
        _add(rows[run.experiment], "evaluations", HOURS[0], seconds)
    for experiment, seconds in _taken(known, outlines):
        rows[experiment][HOURS[1]] += seconds / 3600
    return pd.DataFrame([{"experiment": name} | row for name, row in rows.items()])


def needs(study: Study, ahead: status.Ahead) -> Needs:
    """What is needed for what is ahead: of each kind of run the most that a record tells.

    A kind that has none is taken for the largest that has one.
    """
    outlines = status.outlines_of(study).values()
    memory = _most(outlines, "memory_mb", ahead.evaluations)
    weights = _most(outlines, "weights_mb", ahead.trainings)
    return Needs(
        memory=None if None in memory else max(memory, default=0),
        weights=None if None in weights else sum(weights),
        scenes=sum(map(_scenes, {run.spec.data for run in ahead.trainings})) / 1e6,
    )


def _add(row, count, hours, seconds):
    row[count] += 1
    row[hours] += seconds / 3600


def _taken(known, outlines):
    """Experiment and seconds of each evaluation that is done, and of each training once."""
    counted = set()
    for each in known:
        outline = outlines.get(each.run.evaluation_id)
        if each.state == "done" and outline:
            yield each.run.experiment, outline.evaluate_s or 0
            if outline.train_s and outline.training not in counted:
                counted.add(outline.training)
                yield each.run.experiment, outline.train_s


def _most(outlines: Iterable[Outline], name: str, runs: Iterable[Run]) -> list[float | None]:
    """A number for each run, or None for each where no record tells."""
    told: dict[str, float] = {}
    for outline in outlines:
        if (value := getattr(outline, name)) is not None:
            told[outline.kind] = max(value, told.get(outline.kind, 0))
    kinds = (records.kind(run.detector, run.spec.model_dump(mode="json")) for run in runs)
    largest = max(told.values(), default=None)
    return [told.get(kind, largest) for kind in kinds]


def _scenes(data: Coco | Glyphs) -> float:
    """Bytes of the pictures of scenes that are drawn; those of files are there."""
    if not isinstance(data, Glyphs):
        return 0
    row = -(-3 * data.size // 4) * 4  # of a BMP: whole words
    return (data.train + data.val) * (row * data.size + BMP_HEADER)


def _told(found, jobs):
    def gigabytes(value):
        return "no record tells yet" if value is None else f"{value / 1000:.1f} GB"

    memory = None if found.memory is None else jobs * found.memory
    of_disk = f"weights {gigabytes(found.weights)}, scenes {gigabytes(found.scenes)}"
    return f"memory of {jobs} at once: {gigabytes(memory)}; disk: {of_disk}"
