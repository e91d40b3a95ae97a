"""Listed: every record of a project, at all scales, with the experiments that asked for it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from p2s.report.intervals import DASH
from p2s.report.results import NEWEST
from p2s.spec import NAMED, Spec
from p2s.spec.changes import leaves
from p2s.study.project import Project
from p2s.study.records import Record
from p2s.study.runs import Run
from p2s.study.study import Study

NOT_ASKED = "not asked for any more"
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
ABOUT = ("scale", "experiments", "row", "detector", "seed", "score")
COLUMNS = (*ABOUT, *METRICS, "minutes", "made", "id")


@dataclass(frozen=True, eq=False)
class Listed:
    """A record, and the runs that it is of; none of one that no experiment asks for any more."""

    record: Record
    runs: tuple[Run, ...]

    @property
    def experiments(self) -> str:
        """Names of experiments, in order."""
        return ", ".join(dict.fromkeys(run.experiment for run in self.runs)) or NOT_ASKED

    @property
    def row(self) -> str:
        """What the first experiment calls it."""
        names = [self.runs[0].row, self.runs[0].variant] if self.runs else [self.record.detector]
        return " | ".join(filter(None, names))

    def settings(self) -> list[str]:
        """What in its Spec differs from the paper's of its detector, each `name value`."""
        name = self.record.detector
        paper = Spec.named(name).model_dump(mode="json") if name in NAMED else {}
        known = dict(leaves(paper))
        here = dict(leaves(self.record.spec))
        return [f"{name} {value}" for name, value in here.items() if known.get(name) != value]


def every(project: Project) -> list[Listed]:
    """All records that can be read, those of scale NEWEST first."""
    study = Study.load(project, NEWEST)
    having = [scale for scale in study.scales if any(project.records(scale).glob("*.json"))]
    having.sort(key=lambda scale: scale == NEWEST)
    return [one for scale in reversed(having) for one in _of_scale(study.at(scale))]


def frame(every: Sequence[Listed]) -> pd.DataFrame:
    """A line a record, with its id; NaN where a number is undefined."""
    lines = pd.DataFrame([_line(one) for one in every], columns=COLUMNS)
    return lines.astype(dict.fromkeys([*METRICS, "minutes"], float))


def _line(one):
    record = one.record
    about = record.scale, one.experiments, one.row, record.detector, record.seed
    numbers = (record.metrics.get(name) for name in METRICS)
    return *about, fusion(record), *numbers, minutes(record), record.created[:10], record.id


def fusion(record: Record) -> str:
    """How its score was made; of a one-stage detector, which has one probability, none."""
    return DASH if record.spec["second"] == "none" else record.spec["test"]["fusion"]


def minutes(record: Record) -> float:
    """How long its training took; 0 of one that was not trained here."""
    return (record.timings.get("train_s") or 0) / 60


def _of_scale(study):
    asked: dict[str, list[Run]] = {}
    for run in study.asked():
        asked.setdefault(run.evaluation_id, []).append(run)
    found = [Listed(record, tuple(asked.get(key, ()))) for key, record in study.records.items()]
    return sorted(found, key=lambda one: (not one.runs, one.experiments, one.row, one.record.seed))
