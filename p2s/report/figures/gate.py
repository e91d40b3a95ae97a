"""The gate's picture: AP against the length of training, for each precursor."""

import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from p2s.report.figures.ablation import student
from p2s.report.figures.curves import DASHES
from p2s.report.intervals import estimate
from p2s.report.products import Products, markdown
from p2s.report.results import Results
from p2s.report.style import COLOURS, Picture, legend, name_axes, panels, styled
from p2s.report.tables.estimates import csv
from p2s.report.tables.gate import EXAMPLE, errors, points, readable
from p2s.study.study import Study


def products(results: Results, study: Study) -> Products:
    """The gate's points, its errors beside COCO's, and AP against the length of training."""
    every = points(results)
    blocks = {"Points": readable(every), f"Errors, and of {EXAMPLE}": errors(results)}
    page = markdown(results.experiment, blocks)
    return Products({"lengths": lengths(results)}, {"points": csv(every)}, {"points": page})


@styled
def lengths(results: Results) -> Picture:
    """AP against the iterations, a line a row: the mean over seeds and its interval."""
    specs = {(run.row, run.variant): run.spec for run in results.runs}
    frame = results.of("AP").dropna(subset="value")
    iterations = [
        specs[line.row, line.variant].recipe.iterations for line in frame.itertuples(index=False)
    ]
    frame = frame.assign(iterations=iterations)
    colours = dict(zip(results.rows, COLOURS, strict=False))
    second = {row: specs[row, variant].second for row, variant in specs}
    dashes = {row: DASHES[second[row]] for row in results.rows}
    style = {"x": "iterations", "y": "value", "hue": "row", "palette": colours}
    style |= {"style": "row", "dashes": dashes, "errorbar": student, "legend": False}
    figure, [panel] = panels(1, (4.6, 3.0), (0.2, 0.2))
    name_axes([panel], "iterations", f"AP, scale {results.scale}")
    sns.lineplot(frame, ax=panel, marker="o", markersize=4, **style)
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_locator(FixedLocator(sorted(frame["iterations"].unique())))
    panel.xaxis.set_major_formatter("{x:.0f}")
    panel.xaxis.set_minor_locator(NullLocator())
    panel.grid(axis="y")
    handles = [
        Line2D([], [], color=colours[row], ls=(0, dashes[row]), label=row) for row in results.rows
    ]
    legend(figure, handles, 2)
    figure.alt = _told(frame)
    return figure


def _told(frame):
    """The first and the last AP of each row, in words."""
    parts = []
    for row, lines in frame.groupby("row", sort=False):
        by_length = lines.groupby("iterations")["value"]
        ends = dict.fromkeys((lines["iterations"].min(), lines["iterations"].max()))
        said = ", ".join(f"{estimate(by_length.get_group(k)).text()} at {k}" for k in ends)
        parts.append(f"{row} {said}")
    return f"AP against iterations: {'; '.join(parts) or 'no record'}."
