"""What was learnt of a known truth, drawn against it: from `posterior_tables.learnt`."""

import matplotlib
from matplotlib.lines import Line2D

from p2s.pictures import COLOURS, FAINT, STYLE, Picture
from p2s.posterior_tables import NUMBERS, WHEN
from p2s.statistics import estimate

COLUMNS = 4  # panels side by side
SIDE = 2.1  # inches of a panel
SHIFT = 0.012  # of the marks after NMS, to the right
FILLED = {"before": "full", "after": "none"}  # marks


def against_truth(frame, name="p_object"):
    """A number of `posterior.NUMBERS` against its truth, a panel a row, a mark a character.

    Marks are means over seeds with 95 % intervals, filled before NMS. A cross is the population
    optimum of the row's loss.
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
            panel.set_ylabel(f"{NUMBERS[name]} learnt")
        for panel in panels[max(0, len(rows) - COLUMNS) : len(rows)]:
            panel.set_xlabel(f"true {NUMBERS[name]}")
            panel.tick_params(labelbottom=True)
        figure.legend(handles=_legend(), loc="outside upper left", ncols=4, frameon=False)
    return figure


def _panel(panel, lines):
    panel.plot([0, 1], [0, 1], color=FAINT, lw=0.7)
    for when, shift in (("after", SHIFT), ("before", 0.0)):
        for _, same in lines[lines["when"] == when].groupby(["q", "r"]):
            mean, low, high, seeds = estimate(same["learnt"])
            at = same["truth"].iloc[0] + shift
            style = {"color": COLOURS[0], "fillstyle": FILLED[when]}
            panel.plot([at, at], [low, high] if seeds > 1 else [mean, mean], lw=1, color=COLOURS[0])
            panel.plot(at, mean, "o", ms=4, **style)
    best = lines.groupby(["q", "r"])[["truth", "optimum"]].mean()
    panel.plot(best["truth"], best["optimum"], "x", ms=6, color=COLOURS[1])
    panel.set(xlim=(-0.03, 1.05), ylim=(-0.03, 1.05), aspect="equal")
    panel.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    panel.grid()


def _legend():
    marks = [
        Line2D([], [], ls="", marker="o", color=COLOURS[0], fillstyle=FILLED[when], label=words)
        for when, words in WHEN.items()
    ]
    best = Line2D([], [], ls="", marker="x", color=COLOURS[1], label="optimum of the loss")
    return [*marks, best, Line2D([], [], color=FAINT, lw=0.7, label="truth")]
