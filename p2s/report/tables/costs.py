"""Costs: what the runs of each committed scale took, so what it takes to repeat them."""

import pandas as pd

from p2s.report.intervals import DASH
from p2s.report.products import Products, grid
from p2s.report.results import COMMITTED
from p2s.report.tables.estimates import csv
from p2s.study import cost
from p2s.study.study import Study

HEAD = """# What the runs took

By the records, each training once. Hours are of one process with one thread of the processors
named, without the starts of kernels, of seconds a run; `p2s study plan` tells them by experiment.
Runs at once divide them, down to the longest training and its evaluation."""
COLUMNS = ["trainings", "evaluations", "hours", "longest training, hours", "memory, MB", "on"]


def products(study: Study) -> Products:
    """The page and the table of what committed scales took; nothing where nothing has run."""
    every = {scale: study.at(scale) for scale in COMMITTED if scale in study.scales}
    rows = {scale: _row(here) for scale, here in every.items() if here.records}
    if not rows:
        return Products()
    frame = pd.DataFrame(rows.values(), index=[*rows], columns=COLUMNS)
    text = f"{HEAD}\n\n{grid(frame)}\n"
    return Products(tables={"": csv(frame.reset_index(names="scale"))}, pages={"": text})


def _row(study):
    found = cost.taken(study)
    hours = (f"{value:.1f}" for value in (found.hours, found.longest))
    return [found.trainings, found.evaluations, *hours, found.memory or DASH, _processors(study)]


def _processors(study):
    names = {str(record.machine.get("cpu", DASH)) for record in study.records.values()}
    return "; ".join(sorted(names))
