"""Estimates in tables: a line an estimate for machines, a grid of cells for people."""

import re
from collections.abc import Callable

import pandas as pd
from pandas.api.types import is_numeric_dtype

from p2s.report.intervals import DASH, Estimate, estimate

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # how spreadsheets are told to compute
NUMBER = re.compile(r"[+-]?[\d.]+(e[+-]?\d+)?")


def estimates(lines: pd.DataFrame, keys: list[str], value: str = "value") -> pd.DataFrame:
    """The Estimate of a column in each group of lines, a line a group in their order.

    Columns: the keys, and the fields of Estimate.
    """
    groups = lines.groupby(keys, sort=False, dropna=False)[value]
    means = [(*key, *estimate(values)) for key, values in groups]
    return pd.DataFrame(means, columns=[*keys, *Estimate._fields])


def every(frame: pd.DataFrame) -> list[Estimate]:
    """The Estimate of each line."""
    return [Estimate(*line) for line in frame[[*Estimate._fields]].itertuples(index=False)]


def cells(frame: pd.DataFrame, sign: str = "") -> list[str]:
    """Each estimate as text; sign "+" for differences."""
    return [effect.text(sign) for effect in every(frame)]


def grid(frame: pd.DataFrame, columns: str, index: str = "row") -> pd.DataFrame:
    """Estimates for people: a line a row, a dash where no record is.

    Lines and columns are in the order of the frame; its `cell` are its estimates unless it has one.
    """
    texts = frame if "cell" in frame else frame.assign(cell=cells(frame))
    table = texts.pivot(index=index, columns=columns, values="cell").fillna(DASH)
    table = table.loc[frame[index].unique(), frame[columns].unique()]
    return table.rename_axis(index=None, columns=None)


def rounded(value: float) -> str:
    """A number with two decimals, probabilities and others below 1 with four digits."""
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.4g}"


def csv(frame: pd.DataFrame, shown: Callable[[float], str] = rounded) -> str:
    """A frame as CSV text, its numbers as they are to be shown; a dash where no record is.

    A text that a spreadsheet would compute begins with an apostrophe.
    """
    frame = frame.rename(columns=_inert).apply(
        lambda column: column if is_numeric_dtype(column) else column.map(_inert)
    )
    return frame.to_csv(index=False, float_format=shown, na_rep=DASH, lineterminator="\n")


def _inert(value):
    is_formula = isinstance(value, str) and value.startswith(FORMULA)
    return f"'{value}" if is_formula and not NUMBER.fullmatch(value) else value
