"""Ratios of times: of two rows of a bench, as measured and as published, and the verdict."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from p2s.report.intervals import Estimate, estimate, number
from p2s.report.tables import runtimes
from p2s.report.verdicts import OPPOSITE, OTHER_SIZE, PUBLISHED, UNSEEN
from p2s.study.benches import Bench, Row, rows_of
from p2s.study.experiments import Experiment

Columns = Mapping[str, str | int]  # of a row, by which it is found
PARTS = ("pre", "first", "second", "post")  # of a detector's time


def row(bench: Bench | None, columns: Columns) -> Row | None:
    """The first row of a bench with these columns; None if there is none."""
    rows = bench.rows if bench else ()
    return next((row for row in rows if columns.items() <= row.items()), None)


def measured(row: Row, than: Row) -> Estimate:
    """One row's time over another's, of rounds in which both took turns; geometric mean."""
    logs = estimate(np.log(_seconds(row) / _seconds(than)))
    return Estimate(*np.exp(logs[:3]).tolist(), logs.seeds)


def published(
    experiments: Mapping[str, Experiment], bench: str, row: Columns, than: Columns
) -> float:
    """The paper's ratio; NaN where it does not print both."""
    times = [_milliseconds(experiments, bench, columns) for columns in (row, than)]
    return times[0] / times[1]


def verdict(ratio: Estimate, expects: str, paper: float, tolerance: float) -> str:
    """What a ratio says of the paper's, NaN where it prints none: one of verdicts.VERDICTS.

    expects: "faster" or "slower"; tolerance: of the paper's ratio, within which a size is its.
    """
    if not (ratio.high < 1 or ratio.low > 1):
        return UNSEEN
    if (ratio.mean < 1) != (expects == "faster"):
        return OPPOSITE
    near = np.isnan(paper) or abs(ratio.mean / paper - 1) <= tolerance
    return PUBLISHED if near else OTHER_SIZE


def by_part(row: Row, than: Row) -> pd.DataFrame:
    """Milliseconds of two rows by the parts of a detector, and their difference, as text."""
    frame = 1e3 * pd.DataFrame([dict(row), dict(than)], columns=[*PARTS, "total"], dtype=float)
    frame.loc[2] = frame.loc[0] - frame.loc[1]
    signs = ("", "", "+")
    texts = [[number(value, sign) for value in frame.loc[k]] for k, sign in enumerate(signs)]
    return pd.DataFrame(texts, ["row", "than", "difference"], frame.columns).T


def _seconds(row):
    return np.array(row.get("seconds") or [row["total"]], float)


def _milliseconds(experiments, bench, columns):
    if bench in ("classes", "proposals"):
        return runtimes.total(columns["detector"], columns["count"], bench)
    if bench == "detectors":
        return runtimes.first_and_total(columns["detector"])[1]
    [experiment] = [one for one in experiments.values() if rows_of(one.name) == bench]
    [place] = [row.paper for row in experiment.rows if row.name == columns["way"]]
    return runtimes.of_row(place)[1]
