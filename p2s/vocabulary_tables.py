"""Tables of a large vocabulary: by group of classes, and as the paper prints Table 9."""

import numpy as np
import pandas as pd

from p2s import paper, tables
from p2s.statistics import DASH, number

BY_GROUP = (*tables.OF_GROUPS[1:], *(f"{name}_full" for name in tables.OF_GROUPS))


def by_group(lines):
    """The metrics of a large vocabulary of which some line has a number."""
    return [metric for metric in tables.seen(lines) if metric in BY_GROUP]


def by_metric(lines, metrics):
    """The lines once a metric, which is their AP then and names their variant: for figures.

    A figure has one panel of published values; theirs stand in `deviations` instead.
    """
    parts = [lines.assign(variant=name, AP=lines[name], paper_AP=np.nan) for name in metrics]
    return pd.concat(parts, ignore_index=True)


def deviations(experiment, lines):
    """Mean ± standard deviation over seeds (number of seeds), and the paper's where it prints one.

    A line for each row, a column for each metric that a row of the paper has or that is by group.
    """
    printed = {metric for row in experiment.rows if row.paper for metric in row.paper.columns}
    wanted = printed.union(by_group(lines))
    shown = [name for name in tables.METRICS if name in wanted]
    grid = {}
    for row in experiment.rows:
        of_row = lines[lines["row"] == row.name]
        grid[row.name] = {}
        for metric in shown:
            grid[row.name][metric] = _spread(of_row[metric].dropna())
            if metric in printed:
                grid[row.name][f"{metric}, paper"] = _printed(row.paper, metric)
    return pd.DataFrame(grid).T


def _spread(values):
    if not len(values):
        return DASH
    spread = number(values.std(), digits=2)  # a dash of one seed
    return f"{number(values.mean(), digits=2)} ± {spread} ({len(values)})"


def _printed(place, metric):
    if place is None or metric not in place.columns:
        return DASH
    cell = paper.cell(place.table, place.row, place.columns[metric])
    spread = "" if cell.deviation is None else f" ± {number(cell.deviation, digits=2)}"
    return f"{number(cell.value)}{spread}"
