"""Roads: from one row to another by steps that change one thing each, and the step that turns it.

A road's steps are contrasts of an experiment, each from the row where the last one ends.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from p2s.report.intervals import DASH, Estimate, estimate
from p2s.report.results import Results
from p2s.report.tables.differences.parts import CLAIMED, side
from p2s.report.tables.estimates import cells
from p2s.study.experiments import Contrast

COLUMNS = ("step", *Estimate._fields, "sum", "rest", "side")


@dataclass(frozen=True, eq=False)
class Road:
    """Steps that lead from one row to another, in one variant of an experiment."""

    of_variant: Results
    steps: Sequence[Contrast]

    def table(self, expects: str | None) -> pd.DataFrame:
        """A line a step: COLUMNS.

        The step's own difference, the sum up to it, the `rest`, which is all steps but this one,
        and the rest's side, by its whole interval. A step turns a difference of another sign if the
        rest has the paper's.
        """
        gains = self._gains()
        total, sums = gains.sum(axis=1, skipna=False), gains.cumsum(axis=1, skipna=False)
        lines = []
        for step in gains.columns:
            rest = estimate(total - gains[step])
            told = estimate(sums[step]).text("+"), rest.text("+"), side(rest, expects)
            lines.append((step, *estimate(gains[step]), *told))
        return pd.DataFrame(lines, columns=list(COLUMNS))

    def turning(self, expects: str | None) -> list[str]:
        """The names of the steps without which the whole has the paper's sign."""
        table = self.table(expects)
        return table.loc[table["side"] == CLAIMED, "step"].tolist()

    def _gains(self):
        """AP that each step gains, (seeds, steps)."""
        values = self.of_variant.of("AP").pivot(index="seed", columns="row", values="value")
        return pd.DataFrame({one.name: values[one.row] - values[one.than] for one in self.steps})


def road(of_variant: Results, contrast: Contrast, mapped: Iterable[Results]) -> Road | None:
    """The longest Road of two steps or more between a contrast's rows; None if there is none.

    `mapped` are Results of experiments whose rows of the same settings may stand on it; the first
    that has one counts.
    """
    if contrast.less or contrast.metric != "AP":
        return None
    specs = {run.row: run.spec for run in of_variant.runs}
    for one in mapped:
        for variant in dict.fromkeys(run.variant for run in one.runs):
            here = one.only(variant)
            names = [_same(here, specs[row]) for row in (contrast.than, contrast.row)]
            if None not in names and (steps := longest(here.contrasts, *names)):
                return Road(here, steps)
    return None


def longest(contrasts: Sequence[Contrast], start: str, end: str) -> list[Contrast]:
    """The most contrasts in AP that lead from a row to another, two or more; none else."""
    steps = [one for one in contrasts if one.metric == "AP" and not one.less]
    roads = [road for road in _roads(steps, start, end, ()) if len(road) > 1]
    return list(max(roads, key=len, default=()))


def _roads(steps, start, end, before) -> Iterator[tuple[Contrast, ...]]:
    """All roads that pass no row twice."""
    passed = {one.than for one in before}
    for step in steps:
        if step.than == start and step.row not in passed:
            if step.row == end:
                yield (*before, step)
            else:
                yield from _roads(steps, step.row, end, (*before, step))


def _same(of_variant, spec):
    """The row with these settings."""
    return next((run.row for run in of_variant.runs if run.spec == spec), None)


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """A Road's table for people: a line a step, with the words that say whether it turns."""
    shown = table[["step"]].assign(difference=cells(table, "+"))
    shown["sum so far"], shown["all but it"] = table["sum"], table["rest"]
    shown["without it"] = table["side"].where(table["side"] != "", DASH)
    return shown.set_index("step").rename_axis(None)
