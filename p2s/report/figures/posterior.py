"""What was learnt of a known truth, drawn against it: from `posterior_tables.learnt`."""

import matplotlib
import pandas as pd
from matplotlib.lines import Line2D

from p2s.report.intervals import Estimate, estimate
from p2s.report.products import Products
from p2s.report.results import Results
from p2s.report.style import COLOURS, FAINT, STYLE, Picture
from p2s.report.tables.posterior import NAMES, WHEN, errors, learnt, readable, told
from p2s.study.study import Study

COLUMNS = 4  # panels side by side
SIDE = 2.1  # inches of a panel
MARKS = {  # of moments
    "after": {"marker": "^", "fillstyle": "none", "ms": 4},
    "before": {"marker": "v", "fillstyle": "none", "ms": 4},
    "relative": {"marker": "o", "ms": 4.5},
}
TRUTH = {"marker": "_", "color": FAINT, "ls": "", "ms": 13, "mew": 1.6}
BEST = {"marker": "x", "color": COLOURS[1], "ls": "", "ms": 6}


def products(results: Results, study: Study) -> Products:
    """Pictures, frames and a page of what was learnt of a known truth in the first variant."""
    frame = learnt(results.main)
    gaps = errors(frame)
    grid = readable(gaps)
    texts = {
        "In words, relative to the control": told(frame),
        "Distances in percent, mean ± half of the 95 % interval (seeds)": grid.set_axis(
            map(", ".join, grid), axis=1
        ),
    }
    pictures = {name: against_truth(frame, name) for name in NAMES}
    return Products(pictures, {"learnt": frame, "errors": gaps}, {"words": texts})


def against_truth(frame: pd.DataFrame, name: str = "p_object") -> Picture:
    """A number of `posterior.NUMBERS` beside its truth, a panel a row, along q of the characters.

    Marks are means over seeds; those relative to the control have 95 % intervals. A cross is the
    population optimum of the row's loss, relative to the control.
    """
    frame = frame[frame["number"] == name]
    rows = list(frame["row"].unique())
    height = max(1, -(-len(rows) // COLUMNS))
    with matplotlib.rc_context(STYLE):
        size = 0.5 + SIDE * COLUMNS, 0.9 + (SIDE + 0.2) * height
        figure = Picture(figsize=size, layout="constrained")
        panels = figure.subplots(height, COLUMNS, squeeze=False, sharex=True, sharey=True).ravel()
        for panel, row in zip(panels, rows, strict=False):
            _panel(panel, frame[frame["row"] == row])
            panel.set_title(row)
        for panel in panels[len(rows) :]:
            panel.axis("off")
        for panel in panels[::COLUMNS]:
            panel.set_ylabel(f"{NAMES[name]} learnt")
        for panel in panels[max(0, len(rows) - COLUMNS) : len(rows)]:
            panel.set_xlabel("true P(O)")
            panel.tick_params(labelbottom=True)
        figure.legend(handles=_legend(), loc="outside upper left", ncols=4, frameon=False)
    return figure


def _panel(panel, lines):
    relative = lines[lines["when"] == "relative"]
    means = relative.groupby("q")[["truth", "optimum"]].mean()
    panel.plot(means.index, means["truth"], **TRUTH)
    for when, style in MARKS.items():
        seeds = lines[lines["when"] == when].groupby("q")["learnt"]
        found = pd.DataFrame({q: estimate(each) for q, each in seeds}, Estimate._fields).T
        panel.plot(found.index, found["mean"], color=COLOURS[0], ls="", **style)
        if when == "relative":
            panel.vlines(found.index, found["low"], found["high"], color=COLOURS[0], lw=1)
    panel.plot(means.index, means["optimum"], **BEST)
    panel.set(xlim=(-0.03, 1.06), ylim=(-0.03, 1.16), aspect="equal")
    panel.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    panel.grid()


def _legend():
    marks = [
        Line2D([], [], ls="", color=COLOURS[0], label=WHEN[when], **style)
        for when, style in reversed(MARKS.items())
    ]
    ends = [Line2D([], [], label="optimum of the loss, to the control", **BEST)]
    return [*marks, *ends, Line2D([], [], label="truth", **TRUTH)]
