"""Answers: what the records, or the mathematics, say of a test in experiments/claims.yaml.

A test is asked at the scale that its experiment is for; where no record is, it is untested.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from p2s.maths.propositions import PROPOSITIONS
from p2s.report import claims, verdicts
from p2s.report.claims import Compared, Fused, Proved, Quantified, Timed
from p2s.report.intervals import NEGLIGIBLE, Estimate, estimate
from p2s.report.results import NEWEST, PHOTOGRAPHS, Results, results
from p2s.report.tables import calibration, fusion, gate, judged, posterior, ratios
from p2s.report.tables.benches import latest
from p2s.report.verdicts import OPPOSITE, PUBLISHED, UNTESTED, Difference
from p2s.study.benches import Bench, Row
from p2s.study.experiments import Experiment, cells
from p2s.study.records import Record
from p2s.study.study import Study

MODEL = "scale model"
SCALES = ("equations", MODEL, "photographs", "speed", "released")  # of the ledger
RECORDS = {MODEL: NEWEST, "photographs": PHOTOGRAPHS, "released": "paper"}  # the study's scales
RELEASED = "released"  # the experiment of released weights
ROUNDED = 1e-6  # of a proposition's numbers, below which they are of rounding
NOTHING = Estimate(np.nan, np.nan, np.nan, 0)
OF_P_OBJECT = {"calibrated": "p_object", "calibrated but for duplicates": "p_object_near"}


class Answer(NamedTuple):
    """What came out at a scale: `estimate` in `unit`, with the interval that its status is by."""

    scale: str
    expects: str
    status: str  # of verdicts.VERDICTS, or UNTESTED
    note: str = ""
    unit: str = ""
    tolerance: str = ""  # within which a size is as published
    paper: float = np.nan
    estimate: Estimate = NOTHING
    interval: tuple[float, float] = (np.nan, np.nan)

    @property
    def resolves(self) -> float:
        """The smallest effect that is seen by itself: half of the interval."""
        return (self.interval[1] - self.interval[0]) / 2


@dataclass(frozen=True, eq=False)
class Answers:
    """What a study answers; Results and tables are kept while it is asked."""

    study: Study

    def of(self, test: claims.Test) -> list[Answer]:
        """The Answer at the scale of a test, if that has its rows."""
        if isinstance(test, Proved):
            return [_proved(test)]
        if isinstance(test, Timed):
            return [self._timed(test)]
        ask = self._compared if isinstance(test, Compared) else self._measured
        answer = ask(test, scale_of(self.study.experiments[test.experiment]))
        return [answer] if answer else []

    def results(self, experiment: str, scale: str) -> Results:
        """The Results of an experiment at a scale of the ledger."""
        key = experiment, scale
        if key not in self._results:
            self._results[key] = results(self.study.at(RECORDS[scale]), experiment)
        return self._results[key]

    def records(self, test: claims.Test, scale: str) -> list[list[Record]]:
        """Those that answer a test, row by row and seed by seed; none of times and equations."""
        if isinstance(test, Proved | Timed) or scale not in self._recorded:
            return []
        of = self.results(test.experiment, scale)
        variant = test.variant if isinstance(test, Compared) else None
        rows = claims.contrast(test, self.study).rows if isinstance(test, Compared) else test.rows
        pairs = [*(of.only(variant) if variant else of.main).pairs]
        return [[record for run, record in pairs if record and run.row == row] for row in rows]

    def rows(self, test: Timed) -> list[Row]:
        """Both rows of a test of speed; empty where one is not measured."""
        bench = self._benches.get(test.bench)
        rows = [ratios.row(bench, columns) for columns in (test.row, test.than)]
        return [row for row in rows if row] if None not in rows else []

    @cached_property
    def _results(self) -> dict[tuple[str, str], Results]:
        return {}

    @cached_property
    def _frames(self) -> dict[tuple[str, ...], pd.DataFrame | None]:
        return {}

    @cached_property
    def _recorded(self) -> set[str]:
        """The scales that have some record: of others no run need be known."""
        folders = {scale: self.study.project.records(name) for scale, name in RECORDS.items()}
        return {scale for scale, folder in folders.items() if any(folder.glob("*.json"))}

    @cached_property
    def _missed(self):
        """What of the gate is missed, by scale."""
        gated = {scale: self.study.at(RECORDS[scale]) for scale in (MODEL, "photographs")}
        return {scale: gate.missed(judged.points(of)) for scale, of in gated.items()}

    @cached_property
    def _benches(self) -> dict[str, Bench]:
        return latest(self.study.project)

    def _rows(self, experiment, scale) -> dict[str, list[str]]:
        """The rows that a scale has of an experiment, by variant."""
        asked = self.study.experiments[experiment]
        pairs = cells(asked, self.study.scales[RECORDS[scale]].on(asked.data_set))
        rows: dict[str, list[str]] = {}
        for row, variant in pairs:
            rows.setdefault(variant.name if variant else "", []).append(row.name)
        return rows

    def _compared(self, test, scale):
        contrast = claims.contrast(test, self.study)
        rows = self._rows(test.experiment, scale)
        variant = test.variant or next(iter(rows), "")
        if not {*contrast.rows} <= {*rows.get(variant, ())}:
            return None
        expects = test.expects or contrast.expects
        size = f"±{NEGLIGIBLE}" if expects == "none" else "its interval"
        paper = claims.size(test, self.study)
        about = Answer(scale, expects, UNTESTED, tolerance=size, paper=paper)
        line = self._effect(test, scale, variant) if scale in self._recorded else None
        if line is None or not line.seeds:
            return about
        seeds = Estimate.of(line)
        images = line.image_low, line.image_high
        interval = Difference(seeds, images, paper, expects).interval
        kind, _, note = line.verdict.removesuffix(")").partition(" (")
        return about._replace(status=kind, note=note, estimate=seeds, interval=interval)

    def _effect(self, test, scale, variant):
        """The judged effect of a test's contrast; None without any record of its variant.

        Where the test expects something by itself, the contrast does so; Holm's family stays that
        of its table.
        """
        told = (test.contrast, test.expects) if test.expects else ()
        key = test.experiment, scale, variant, *told
        if key not in self._frames:
            here = self.results(test.experiment, scale).only(variant)
            here = _claiming(here, test) if test.expects else here
            missed = self._missed.get(scale, {})
            self._frames[key] = judged.judge(here, missed) if here.chosen else None
        if (frame := self._frames[key]) is None:
            return None
        [line] = frame[frame["contrast"] == test.contrast].itertuples()
        return line

    def _measured(self, test, scale):
        rows = next(iter(self._rows(test.experiment, scale).values()), ())
        if not {*test.rows} <= {*rows}:
            return None
        unit, measure = ("%", quantity) if isinstance(test, Quantified) else ("", gain)
        about = Answer(scale, test.expects, UNTESTED, unit=unit, tolerance="its interval")
        main = self.results(test.experiment, scale).main if scale in self._recorded else None
        seeds = measure(main, test) if main else NOTHING
        if not seeds.seeds:
            return about
        missed = self._missed.get(scale, {})
        verdict = judged.quantified(main, test.rows, seeds, missed, test.expects)
        told = {"status": verdict.kind, "note": verdict.note}
        return about._replace(**told, estimate=seeds, interval=(seeds.low, seeds.high))

    def _timed(self, test):
        paper = ratios.published(self.study.experiments, test.bench, test.row, test.than)
        size = f"±{100 * test.tolerance:g} %"
        about = Answer("speed", test.expects, UNTESTED, unit="×", tolerance=size, paper=paper)
        rows = self.rows(test)
        if not rows:
            return about
        ratio = ratios.measured(*rows)
        status = ratios.verdict(ratio, test.expects, paper, test.tolerance)
        note = "" if all(row.get("valid", True) for row in rows) else "another answer"
        told = {"status": verdicts.NOT_COMPARABLE if note else status, "note": note}
        return about._replace(**told, estimate=ratio, interval=(ratio.low, ratio.high))


def scale_of(experiment: Experiment) -> str:
    """At which of SCALES the tests of an experiment are asked."""
    if experiment.name == RELEASED:
        return RELEASED
    return "photographs" if experiment.data_set == PHOTOGRAPHS else MODEL


def _proved(test):
    shown = PROPOSITIONS[test.name]()
    note = ", ".join(f"{name} {_steady(value)}" for name, value in shown.numbers.items())
    return Answer("equations", "holds", PUBLISHED if shown.holds else OPPOSITE, note)


def _steady(value):
    """A number as text; one of rounding, which another processor has otherwise, is about 0."""
    return f"{value:.3g}" if abs(value) > ROUNDED else "about 0"


def _claiming(of_variant, test):
    """The same Results of an experiment whose contrast expects what a test does."""
    contrasts = tuple(
        one.model_copy(update={"expects": test.expects})
        if claims.named(one) == test.contrast
        else one
        for one in of_variant.experiment.contrasts
    )
    changed = of_variant.experiment.model_copy(update={"contrasts": contrasts})
    return replace(of_variant, experiment=changed)


def gain(main: Results, test: Fused) -> Estimate:
    """How much AP of all scores the product has more than P(C|O) alone."""
    by_power = fusion.curves(main)[test.row].reindex(columns=[0.0, 1.0])  # of P(O)
    return estimate(by_power[1.0] - by_power[0.0])


def quantity(main: Results, test: Quantified) -> Estimate:
    """How much more of a quantity a row's P(O) has than another's, in percent."""
    if probability := OF_P_OBJECT.get(test.quantity):
        return calibration.lower(main, test.row, test.than, probability, calibration.LIKELY)
    more = posterior.nearer if test.quantity == "true" else posterior.higher
    return more(posterior.learnt(main), test.row, test.than)
