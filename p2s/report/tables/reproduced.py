"""Records made again: how many of their numbers came out equal, and on which machines."""

import pandas as pd

from p2s.report.intervals import DASH
from p2s.report.products import Products, grid
from p2s.report.tables.estimates import csv
from p2s.study import records
from p2s.study.project import Project
from p2s.study.reproduction import Reproduction

HEAD = """# Records made again

Each was trained and evaluated anew, from nothing, by `p2s study reproduce`. Weights are compared
bit by bit, numbers one by one; of metrics the largest difference is told, in percent points."""


def products(project: Project) -> Products:
    """The page and the table of what was reproduced; nothing where nothing was."""
    frame = found(project)
    if frame.empty:
        return Products()
    text = f"{HEAD}\n\n{grid(frame.set_index('run').rename_axis(None))}\n"
    return Products(tables={"": csv(frame)}, pages={"": text})


def found(project: Project) -> pd.DataFrame:
    """The table of what was reproduced; empty where nothing was."""
    again, _ = records.survey(project.reproduced, Reproduction)
    return table(list(again.values()))


def table(every: list[Reproduction]) -> pd.DataFrame:
    """A row for each, by scale and run."""
    ordered = sorted(every, key=lambda one: (one.scale, one.label))
    return pd.DataFrame([_row(one) for one in ordered])


def _row(one):
    count, equal = (
        sum(getattr(p, name) for p in one.parts.values()) for name in ("count", "equal")
    )
    metrics = one.parts["metrics"]
    differs = f"{metrics.where} {metrics.by}" if metrics.where else DASH
    return {
        "run": f"{one.scale}: {one.label}",
        "weights": "equal" if one.weights else "different",
        "equal numbers": f"{equal} of {count}",
        "metrics differ by": differs,
        "made on": _machine(one.made),
        "again on": _machine(one.again),
    }


def _machine(made):
    told = made["machine"]
    names = [f"{told.get('cpu', DASH)}", f"{told.get('isa', DASH)}"]
    return ", ".join([*names, f"torch {made['versions'].get('torch', DASH)}"])
