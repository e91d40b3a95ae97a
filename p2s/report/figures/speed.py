"""Figures of speed, and all that the report keeps of it: pictures, tables and pages.

Each function draws one bench record; thin lines span the middle half of its rounds.
"""

import numpy as np

from p2s.report.intervals import number
from p2s.report.products import Products
from p2s.report.style import COLOURS, FAINT, INK, Picture, styled
from p2s.report.tables import speed as tables
from p2s.report.tables.benches import latest
from p2s.report.tables.estimates import csv
from p2s.study.benches import Bench
from p2s.study.project import Project

NAMES = {  # of the parts of a bar
    "pre": "pre-processing",
    "first": "first stage",
    "second": "second stage",
    "post": "post-processing",
}


@styled
def parts(bench: Bench) -> Picture:
    """Where the time of each way goes, its speed over the reference's and over the row above.

    A way that is not timed by parts has one grey bar. A tick on a bar: its operations at the pace
    of the ceiling.
    """
    lines = tables.means(bench)
    figure = Picture(figsize=(9, 1.4 + 0.36 * len(lines)), layout="constrained")
    axes = figure.subplots()
    _bars(axes, lines)
    for y, (row, line) in enumerate(zip(bench.rows, lines.to_dict("records"), strict=True)):
        low, high = _range(row, 1e-3)
        axes.plot([low, high], [y, y], color=INK, lw=1)
        axes.plot(line["at ceiling, ms"], y, "|", color=INK, ms=14, mew=1.6)
        axes.annotate(_gain(line), (high, y), (6, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(lines)), lines["way"])
    axes.set(xlabel="ms an image", ylabel="way", xlim=(0, 1.35 * axes.dataLim.x1))
    axes.invert_yaxis()
    _clean(axes, "x")
    axes.plot([], [], "|", color=INK, ms=12, mew=1.6, label="all operations at the ceiling")
    figure.legend(loc="outside upper center", ncols=3)
    figure.alt = _said("Milliseconds an image", lines["way"], lines["total, ms"].round())
    return figure


@styled
def costs(bench: Bench) -> Picture:
    """Time against the number of classes or proposals, each detector's first number being 1.

    Hollow diamonds are the paper's, where it prints the first number too.
    """
    lines, what = tables.costs(bench), bench.bench
    figure = Picture(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    groups = lines.groupby("detector", sort=False)
    for (detector, group), colour in zip(groups, COLOURS, strict=False):
        group, first = group.sort_values(what), group["total, ms"].iloc[0]
        ends = [_range(bench.rows[k], 1e-3 * first) for k in group.index]
        axes.vlines(group[what], *zip(*ends, strict=True), color=colour, lw=1)
        axes.plot(group[what], group["ratio"], "o-", color=colour, label=detector)
        printed = group.dropna(subset="ratio, paper")
        label = f"{detector}, the paper" if len(printed) else None
        axes.plot(printed[what], printed["ratio, paper"], "D:", **_hollow(colour), label=label)
    axes.set(xlabel=what, ylabel=f"time over that with {lines[what].iloc[0]}")
    axes.set_ylim(min(0.95, axes.get_ylim()[0]))
    _clean(axes, "both")
    axes.legend()
    last = groups.tail(1)
    names = last["detector"] + " with " + last[what].astype(str)
    about = f"Time over that with {lines[what].iloc[0]} {what}"
    figure.alt = _said(about, names, last["ratio"].round(2))
    return figure


@styled
def detectors(bench: Bench) -> Picture:
    """Tfirst and Ttot of every detector over CenterNet2's, measured beside the paper's."""
    lines = tables.detectors(bench)
    heights = np.arange(len(lines))
    base = next((row["total"] for row in bench.rows if row["detector"] == tables.REFERENCE), np.nan)
    figure = Picture(figsize=(9, 1.2 + 0.34 * len(lines)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, time in zip(panels, ("Tfirst", "Ttot"), strict=True):
        panel.axvline(1, color=FAINT, lw=0.8)
        panel.plot(lines[time], heights, "o", color=COLOURS[0], label="measured")
        paper = lines[f"{time}, paper"]
        panel.plot(paper, heights, "D", **_hollow(COLOURS[1]), label="the paper")
        panel.set_xlabel(f"{time} over that of {tables.REFERENCE}")
        _clean(panel, "x")
    for y, row in enumerate(bench.rows):
        panels[1].plot(_range(row, base), [y, y], color=COLOURS[0], lw=1)
    panels[0].set_yticks(heights, lines["detector"])
    panels[0].set_ylabel("detector")
    panels[0].set_ylim(len(lines) - 0.5, -0.5)
    named = panels[0].get_legend_handles_labels()
    figure.legend(*named, loc="outside upper center", ncols=2)
    about = f"Ttot over that of {tables.REFERENCE}"
    figure.alt = _said(about, lines["detector"], lines["Ttot"].round(2))
    return figure


def pictures(project: Project) -> dict[str, Picture]:
    """A Picture of every kind that was measured and has one, by kind."""
    drawn = {"infer": parts, "detectors": detectors, "classes": costs, "proposals": costs}
    measured = latest(project)
    return {kind: draw(measured[kind]) for kind, draw in drawn.items() if kind in measured}


def products(project: Project) -> Products:
    """All tables, figures and pages of speed by kind, from the newest records."""
    frames = tables.frames(project)
    texts = {kind: csv(frame, "{:.5g}".format) for kind, frame in frames.items()}
    return Products(pictures(project), texts, tables.pages(project, frames))


def _said(about, names, numbers):
    """A number of each name, in words."""
    pairs = zip(names, numbers, strict=True)
    return f"{about}: {'; '.join(f'{name} {value:g}' for name, value in pairs)}."


def _bars(axes, lines):
    """Bars of the parts one after the other; one bar where the parts are unknown."""
    y, left = np.arange(len(lines)), np.zeros(len(lines))
    for (part, name), colour in zip(NAMES.items(), COLOURS, strict=False):
        width = lines[f"{part}, ms"].fillna(0).to_numpy()
        axes.barh(y, width, 0.6, left, color=colour, label=name)
        left += width
    whole = lines["total, ms"].where(lines["first, ms"].isna(), 0)
    if whole.any():
        axes.barh(y, whole, 0.6, color="#d0d7de", label="not timed by parts")


def _gain(line):
    """The words at the end of a bar."""
    words = f"{number(line['ratio'], digits=2)}×"
    gain = line["gain"]
    return f"{words}; {number(gain, digits=2)}× the row above" if np.isfinite(gain) else words


def _range(row, unit):
    """Quartiles of the rounds in units of so many seconds; one disturbed round moves neither."""
    seconds = row.get("seconds") or [row.get("total") or np.nan]
    return np.quantile(seconds, [0.25, 0.75]) / unit


def _hollow(colour):
    return {"color": colour, "mfc": "none", "mew": 1.4, "ms": 6.5}


def _clean(axes, grid):
    axes.grid(axis=grid)
    axes.tick_params(length=0)
