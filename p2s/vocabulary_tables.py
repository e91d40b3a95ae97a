"""Tables of a large vocabulary: by group of classes, and as the paper prints Table 9."""

import numpy as np
import pandas as pd

from p2s import paper, runs, tables
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
    """Mean ± standard deviation of the seeds (their number), and the paper's where it prints one.

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


def images_in_sets(project, name, scales):
    """In how many images of a training a class is in S, on average over classes (App. D).

    A line for each row whose losses have a set S an image, or all classes; a column a scale.
    """
    grid = {}
    for scale in scales:
        for run in runs.asked(project, scale, [name]):
            if size := _set_size(run.spec):
                images = run.spec.recipe.iterations * run.spec.recipe.batch
                count = round(images * size / run.spec.num_classes)
                grid.setdefault(run.row, {})[scale] = f"{count:,}"
    return pd.DataFrame(grid).T.fillna(DASH)


def _set_size(spec):
    """How many classes count in an image where none is annotated, None of another kind of loss."""
    stage, classes = spec.second_stage, spec.num_classes
    if stage.cls_loss == "federated" and stage.federated_sets == "per_image":
        return min(stage.federated_classes, classes)
    return classes if stage.cls_loss == "sigmoid" else None


def _spread(values):
    if not len(values):
        return DASH
    # Over n, as the paper's seem to be: the spreads of its two runs are multiples of .05, not .07.
    spread = number(values.std(ddof=0), digits=2) if len(values) > 1 else DASH
    return f"{number(values.mean(), digits=2)} ± {spread} ({len(values)})"


def _printed(place, metric):
    if place is None or metric not in place.columns:
        return DASH
    cell = paper.cell(place.table, place.row, place.columns[metric])
    spread = "" if cell.deviation is None else f" ± {number(cell.deviation, digits=2)}"
    return f"{number(cell.value)}{spread}"
