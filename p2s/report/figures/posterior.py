"""What was learnt of a known truth, drawn against it: from `posterior_tables.learnt`."""

import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D

from p2s.report.figures.ablation import dots, student
from p2s.report.intervals import estimate
from p2s.report.products import Products, markdown
from p2s.report.results import Results
from p2s.report.style import COLOURS, FAINT, Picture, legend, name_axes, panels, styled
from p2s.report.tables import posterior as tables
from p2s.report.tables.estimates import csv
from p2s.report.tables.posterior import NAMES, WHEN
from p2s.study.study import Study

SIDE = 1.8  # inches of a panel
TICKS = [0, 0.5, 1]
MARKS = {  # of moments
    "relative": {"marker": "o", "ms": 5},
    "before": {"marker": "v", "ms": 4, "mfc": "none", "mew": 1},
    "after": {"marker": "^", "ms": 4, "mfc": "none", "mew": 1},
}
TRUTH = {"marker": "_", "color": FAINT, "ls": "", "ms": 13, "mew": 1.6}
BEST = {"marker": "x", "color": COLOURS[1], "ls": "", "ms": 6}


def products(results: Results, study: Study) -> Products:
    """Pictures, frames and a page of what was learnt of a known truth in the first variant."""
    frame = tables.learnt(results.main)
    gaps = tables.errors(frame)
    grid = tables.readable(gaps)
    texts = {
        "In words, relative to the control": tables.told(frame),
        "Distances in percent, mean ± half of the 95 % interval (seeds)": grid.set_axis(
            map(", ".join, grid), axis=1
        ),
    }
    pictures = {name: against_truth(frame, name) for name in NAMES}
    pictures["distances"] = distances(results.main, frame)
    page = markdown(results.experiment, texts)
    return Products(pictures, {"learnt": csv(frame), "errors": csv(gaps)}, {"words": page})


def distances(results: Results, frame: pd.DataFrame) -> Picture:
    """How far each row is from the truth, relative to the control: a panel a number.

    Percent, the mean over characters by chance; see `tables.posterior.distances`.
    """
    gaps = tables.distances(frame[frame["when"] == "relative"])
    gaps = gaps[gaps["from"] == "truth"]
    first = {run.row: run.spec.first for run in results.runs}
    gaps = gaps.assign(first=gaps["row"].map(lambda row: first.get(row, "rpn")))
    gaps = gaps.assign(panel=gaps["number"].map(NAMES), fusion="", paper=float("nan"))
    return dots(gaps, "% from the truth")


@styled
def against_truth(frame: pd.DataFrame, name: str = "p_object") -> Picture:
    """A number of `posterior.NUMBERS` beside its truth, a panel a row, along q of the characters.

    Marks are means over seeds; those relative to the control have 95 % intervals. A cross is the
    population optimum of the row's loss, relative to the control.
    """
    frame = frame[frame["number"] == name].reset_index(drop=True)
    rows = list(frame["row"].unique())
    figure, drawn = panels(len(rows), (SIDE, SIDE), (0.2, 0.4), "xy")
    name_axes(drawn, "true P(O)", f"{NAMES[name]} learnt", "xy")
    for panel, row in zip(drawn, rows, strict=True):
        _panel(panel, frame[frame["row"] == row])
        panel.set_title(row)
    legend(figure, _legend())
    figure.alt = _ends(frame, NAMES[name])
    return figure


def _panel(panel, lines):
    means = lines[lines["when"] == "relative"].groupby("q")[["truth", "optimum"]].mean()
    panel.plot(means.index, means["truth"], **TRUTH)
    for when, same in lines.groupby("when", sort=False):
        style = {"errorbar": student if when == "relative" else None, "err_kws": {"lw": 1}}
        style |= {"native_scale": True, "ls": "", "color": COLOURS[0], "ax": panel}
        sns.pointplot(same, x="q", y="learnt", **style, **MARKS[when])
    panel.plot(means.index, means["optimum"], **BEST)
    panel.set(xlim=(-0.03, 1.06), ylim=(-0.03, 1.16), xticks=TICKS, yticks=TICKS)
    panel.grid()


def _legend():
    marks = [
        Line2D([], [], ls="", color=COLOURS[0], label=WHEN[when], **style)
        for when, style in MARKS.items()
    ]
    best = Line2D([], [], label="optimum of the loss, to the control", **BEST)
    return [*marks, best, Line2D([], [], label="truth", **TRUTH)]


def _ends(frame, what):
    """What each row learnt of the rarest character, relative to the control, in words."""
    lines = frame[frame["when"] == "relative"]
    rarest = lines[lines["q"] == lines["q"].min()].groupby("row", sort=False)
    said = [
        f"{row} {estimate(of['learnt']).mean:.2f} (truth {of['truth'].mean():.2f})"
        for row, of in rarest
    ]
    heading = f"{what} learnt against the truth, to the control, of the character with the least"
    return f"{heading} P(O): {'; '.join(said) or 'no record'}."
