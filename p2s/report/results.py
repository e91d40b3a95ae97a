"""Results: what the records of an experiment say at a scale; the one input of the whole report.

All numbers are in one tidy frame, a line a run and metric. What is no number, such as curves,
scenes and maps, is in the records themselves.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from p2s.report.intervals import STARTED
from p2s.spec import Spec
from p2s.spec.data import PARTS
from p2s.study import experiments, published
from p2s.study.experiments import Contrast, Experiment
from p2s.study.records import Record
from p2s.study.runs import Run
from p2s.study.study import Study

# Scales whose records come with the project
COMMITTED = ("desk", "gated", "photographs", "highway", "pictures")
NEWEST = "gated"  # the one whose records take the place others'
PHOTOGRAPHS = "highway"  # the real ones that the paper's claims are asked of
GATED = (NEWEST, PHOTOGRAPHS)  # whose precursors had to pass a gate: the new verdicts are theirs
OF_GROUPS = ("AP", "APr", "APc", "APf")
METRICS = (
    *("AP", "AP50", "AP75", "APs", "APm", "APl", *OF_GROUPS[1:]),
    *(f"{name}_{by}" for by in ("fixed", "full") for name in OF_GROUPS),
    *(f"{name}_{part}" for name in ("AR", "p_object") for part in PARTS),
    *("proposal_AR", "proposal_AR100", "proposal_AR256", "proposals_per_image"),
    *(f"TIDE_{kind}" for kind in ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")),
)
RUN = ("row", "variant", "detector", "scale", "seed", "training", "first", "fusion")
WHERE = ("row", "variant", "scale", "seed")  # of a run
COLUMNS = (*RUN, "record", "weights", "metric", "value", "paper")
RANK = {"product": 2, "class": 1}  # of a fusion among examples


@dataclass(frozen=True, eq=False)
class Results:
    """An experiment at a scale: its tidy frame, its runs, and the records that there are.

    frame: COLUMNS; training and weights are equal in lines that share them, record is the id or
    None, value is NaN where no record is, paper is the published value of the row.
    """

    experiment: Experiment
    scale: str
    frame: pd.DataFrame
    runs: tuple[Run, ...]
    records: dict[str, Record]  # by evaluation id

    def of(self, metric: str) -> pd.DataFrame:
        """The lines of a metric, one a run in the order of the experiment."""
        return self.frame[self.frame["metric"] == metric]

    @property
    def name(self) -> str:
        """The experiment's."""
        return self.experiment.name

    @property
    def rows(self) -> list[str]:
        """The names of the rows that the scale has, in order."""
        return list(dict.fromkeys(run.row for run in self.runs))

    @property
    def metrics(self) -> list[str]:
        """The METRICS of which some line has a number."""
        seen = set(self.frame.loc[self.frame["value"].notna(), "metric"])
        return [metric for metric in METRICS if metric in seen]

    @property
    def contrasts(self) -> list[Contrast]:
        """Those of the experiment whose rows are here: at a scale of files scenes are none."""
        rows = set(self.rows)
        return [contrast for contrast in self.experiment.contrasts if {*contrast.rows} <= rows]

    @cached_property
    def main(self) -> "Results":
        """The first variant alone: the one that the claim is about."""
        return self.only(self.runs[0].variant) if self.runs else self

    def only(self, variant: str) -> "Results":
        """One variant alone."""
        runs = tuple(run for run in self.runs if run.variant == variant)
        return replace(self, frame=self.frame[self.frame["variant"] == variant], runs=runs)

    @cached_property
    def not_started(self) -> set[str]:
        """The rows whose mean AP in the first variant is below STARTED."""
        mean = self.main.of("AP").groupby("row")["value"].mean()
        return {*mean.index[mean < STARTED]}

    @property
    def chosen(self) -> list[Record]:
        """The records of the runs that have one, in their order."""
        return [record for _, record in self.pairs if record]

    @property
    def pairs(self) -> Iterator[tuple[Run, Record | None]]:
        """Each run and its record."""
        return ((run, self.records.get(run.evaluation_id)) for run in self.runs)

    def findings(self, measure: str) -> Iterator[tuple[Run, dict[str, Any]]]:
        """Each run and what its record says of a measure; empty where it says nothing."""
        return ((run, finding(record, measure)) for run, record in self.pairs)

    def lines(
        self, measure: str, columns: Sequence[str], told: Callable[..., Iterable[tuple]]
    ) -> pd.DataFrame:
        """A tidy frame of a measure: WHERE and `columns`, what `told` has of a run and its finding.

        A run's finding is empty where it has no record.
        """
        lines = [
            (*(getattr(run, name) for name in WHERE), *numbers)
            for run, said in self.findings(measure)
            for numbers in told(run, said)
        ]
        return pd.DataFrame(lines, columns=[*WHERE, *columns])

    @property
    def names(self) -> dict[str, str]:
        """The first row of each training, by training id: what figures call it."""
        named: dict[str, str] = {}
        for run in self.runs:
            named.setdefault(run.training_id, run.row)
        return named

    @cached_property
    def ran(self) -> dict[str, str]:
        """Names of rows and variants that say a number of proposals of which a scale has a share.

        By name, what ran: `128 of 256` in place of 256.
        """
        rows = {row.name: row for row in self.experiment.rows}
        variants = {variant.name: variant for variant in self.experiment.variants}
        names = {}
        for run in self.runs:
            own, had = Spec.named(run.detector).test.proposals, run.spec.test.proposals
            of_variant = variants[run.variant].changes.get("test", {}) if run.variant else {}
            its = "proposals" in of_variant  # a variant's number, then, and not the row's
            part = variants[run.variant] if its else rows[run.row]
            asked = part.changes.get("test", {}).get("proposals", own)
            if asked != had:
                number = rf"(?<!\d){asked}(?!\d)"
                names[part.name] = re.sub(number, f"{had} of {asked}", part.name)
        return {name: ran for name, ran in names.items() if ran != name}

    def said(self, label: str) -> str:
        """A label of a table, a row's or a variant's or a contrast's, with what ran in it."""
        for name, words in self.ran.items():
            if label == name or label.startswith(f"{name}: ") or label.endswith(f", {name}"):
                return label.replace(name, words)
        return label

    @property
    def examples(self) -> list[Record]:
        """A record a first stage to draw scenes of: the first seed's last, with the product if any.

        Photographs are left out: git has none.
        """
        seeds = [run.seed for run in self.runs]
        first = [run for run in self.runs if run.seed == min(seeds)]
        ranked = sorted(first, key=lambda run: RANK.get(_fusion(run.spec), 0))
        best = {run.spec.first: run for run in ranked}
        ordered = sorted(best.values(), key=first.index)
        shown = [self.records.get(run.evaluation_id) for run in ordered]
        return [record for record in shown if record and record.spec["data"]["kind"] == "glyphs"]


def results(study: Study, name: str, keep: Callable[[str], bool] = lambda _: True) -> Results:
    """The Results of an experiment; of records `keep` says by id which count."""
    experiment = study.experiments[name]
    runs = tuple(study.asked([name]))
    recorded = {run.evaluation_id: study.record(run) for run in runs}
    records = {key: record for key, record in recorded.items() if record and keep(key)}
    printed = {row.name: _published(row.paper) for row in experiment.rows}
    fixed = {variant.name for variant in experiment.variants if variant.fixed}
    lines = [
        line
        for run in runs
        for line in _lines(run, records.get(run.evaluation_id), printed[run.row], fixed)
    ]
    kinds = {"value": float, "paper": float, "record": object}
    frame = pd.DataFrame(lines, columns=list(COLUMNS)).astype(kinds)
    # Where some runs have a record and some not, pandas makes NaN of None.
    frame["record"] = frame["record"].where(frame["record"].notna(), None)
    return Results(experiment, study.scale, frame, runs, records)


def committed_scale(study: Study, name: str) -> str:
    """The scale of an experiment's committed results: NEWEST, or the first that has its data.

    NEWEST takes over once each row has a record there under each variant: experiments share runs,
    so that the first records of one may be another's.
    """
    if _has_every_cell(study.at(NEWEST), name):
        return NEWEST
    experiment = study.experiments[name]
    having = (scale for scale in COMMITTED if experiments.cells(experiment, study.scales[scale]))
    return next(having, COMMITTED[0])


def finding(record: Record | None, measure: str) -> dict[str, Any]:
    """What a record says of a measure of its experiment; empty where it says nothing."""
    return record.findings.get(measure, {}) if record else {}


def _has_every_cell(study, name):
    """Whether some seed of each row and variant of an experiment has a record."""
    folder, seen = study.project.records(study.scale), {}
    for run in study.runs([name]):
        here = (folder / f"{run.evaluation_id}.json").exists()
        seen[run.row, run.variant] = seen.get((run.row, run.variant), False) or here
    return bool(seen) and all(seen.values())


def _lines(run, record, printed, fixed):
    """A line for each of METRICS of a run."""
    values = _metrics(record, run)
    if run.variant in fixed:
        values |= {name: values.get(f"{name}_fixed") for name in OF_GROUPS}
    # A training made again elsewhere may have other weights under its identity.
    weights = (record.weights if record else None) or run.training_id
    names = (run.row, run.variant, run.detector, run.scale, run.seed, run.training_id)
    where = (*names, run.spec.first, _fusion(run.spec), record.id if record else None, weights)
    for metric in METRICS:
        yield (*where, metric, values.get(metric), printed.get(metric, np.nan))


def _metrics(record, run):
    """The record's, with the recall of all proposals, which the first records call AR256."""
    values = record.metrics if record else {}
    few = run.spec.test.proposals <= 256
    return ({"proposal_AR": values.get("proposal_AR256")} if few else {}) | values


def _fusion(spec: Spec) -> str:
    return spec.test.fusion if spec.second != "none" else "none"


def _published(place):
    """What the paper prints of a row, by metric."""
    columns = place.columns if place else {}
    return {
        metric: published.published(place.table, place.row, column)
        for metric, column in columns.items()
    }
