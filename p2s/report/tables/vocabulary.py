"""Tables of a large vocabulary: by group of classes, and as the paper prints Table 9."""

import pandas as pd
import torch

from p2s.data.glyphs import longtail, vocabulary
from p2s.maths import federated
from p2s.report.intervals import DASH, number
from p2s.report.results import METRICS, OF_GROUPS, Results
from p2s.spec.second_stage import Federated, Sigmoid
from p2s.study import published as paper
from p2s.study.study import Study

DATA_SETS = ("lvis", "lvis_long", "objects365")  # large vocabularies, of experiments/scales.yaml
BY_GROUP = (*OF_GROUPS[1:], *(f"{name}_full" for name in OF_GROUPS))


def by_group(results: Results) -> list[str]:
    """The metrics of a large vocabulary of which some line has a number."""
    return [metric for metric in results.metrics if metric in BY_GROUP]


def deviations(results: Results) -> pd.DataFrame:
    """Mean ± standard deviation of the seeds (their number), and the paper's where it prints one.

    A line for each row, a column for each metric that a row of the paper has or that is by group.
    """
    rows = results.experiment.rows
    printed = {metric for row in rows if row.paper for metric in row.paper.columns}
    wanted = printed.union(by_group(results))
    grid = {row.name: {} for row in rows}
    for metric in [metric for metric in METRICS if metric in wanted]:
        lines = results.of(metric)
        for row in rows:
            values = lines.loc[lines["row"] == row.name, "value"]
            grid[row.name][metric] = _spread(values.dropna())
            if metric in printed:
                grid[row.name][f"{metric}, paper"] = _printed(row.paper, metric)
    return pd.DataFrame(grid).T


def negatives(results: Results, study: Study) -> pd.DataFrame:
    """In how many images of a training a class is a drawn negative (App. D), the mean by group.

    A line for each row of scenes whose images have a set S each, or count every class. Beside it
    the images that a training sees in all, at this scale and at `paper`.
    """
    at_paper = study.at("paper").asked([results.name])
    published = {run.row: _images(run.spec) for run in at_paper}
    grid = {}
    for run in results.runs:
        if run.row not in grid and run.spec.data.kind == "glyphs" and (sets := _sets(run.spec)):
            images = {"images": _images(run.spec), "images, paper": published.get(run.row)}
            grid[run.row] = _by_group(run.spec, sets) | images
    return pd.DataFrame(grid).T.map(lambda count: DASH if pd.isna(count) else f"{count:,.0f}")


def _images(spec):
    return spec.recipe.iterations * spec.recipe.batch


def _sets(spec):
    """The loss whose sets S say which classes count in an image, None of another kind of loss."""
    match spec.second_stage.cls_loss:
        case Federated(sets="per_image") as loss:
            return loss
        case Sigmoid():
            return Federated(classes=spec.num_classes)  # every class
    return None


def _by_group(spec, drawn):
    """The mean over a group's classes, of sets drawn once for each image with an annotation."""
    told, random = vocabulary.annotated(spec.data), torch.Generator().manual_seed(0)
    labels = [torch.tensor(of_image) for of_image in told if of_image]  # others are not trained on
    known = torch.stack(
        [federated.is_label(of_image, spec.num_classes).any(0) for of_image in labels]
    )
    weight = known.sum(0).float() ** drawn.power
    size = min(drawn.classes, spec.num_classes)
    sets = federated.sets_of_images(labels, weight, size, random)  # (N, K)
    count = _images(spec) * (sets & ~known).float().mean(0)
    groups = longtail.groups(spec.num_classes)
    return {
        f"negative, {name}": float(count[groups[key]].mean())
        for key, name in vocabulary.GROUPS.items()
    }


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
