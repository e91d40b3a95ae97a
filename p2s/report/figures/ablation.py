"""Figures: pictures of tables and records, the same bytes whenever they are drawn.

Each function returns a Picture of its own, without pyplot and its global state.
"""

import itertools
import textwrap
from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from p2s.data import glyphs
from p2s.maths.likelihood import AUDIT
from p2s.report.intervals import DASH, estimate
from p2s.report.results import METRICS, Results
from p2s.report.style import (
    COLOURS,
    FAINT,
    PALE,
    SHOWN_ABOVE,
    STYLE,
    Photographs,
    Picture,
    blank,
    box,
    tag,
)
from p2s.report.tables.ablation import cells, effects
from p2s.spec import Glyphs, Spec
from p2s.study.records import Record

DASHES = {"none": ":", "faster": "--", "cascade": "-"}  # of a second stage's curves
COLUMNS = 3  # measured panels side by side
FILLED = {
    "none": "bottom",
    "class": "none",
    "product": "full",
    "released": "left",
}  # the mark of each fusion
NAMED = {
    "none": "P(C)",
    "class": "P(C|O)",
    "product": "P(C|O) P(O)",
    "released": "P(C|O)^.5 P(O)^.25, released",
}
LINE = 0.72  # height of a gain in words, in rows
FEW = 4  # detectors whose seeds are drawn one by one
LEGEND = 1.7  # its height in inches


def ablation(results: Results) -> Picture:
    """AP of each row, a panel a variant: means, 95 % intervals and seeds.

    Under a row stand its contrasts. The paper's values are apart, on an axis of their own.
    """
    frame = results.of("AP")
    return _dotted(results, frame.assign(panel=frame["variant"]))


def by_metric(results: Results, metrics: Sequence[str]) -> Picture:
    """Metrics of each row in the first variant, a panel a metric; the paper's are in tables."""
    frames = [results.main.of(metric).assign(panel=metric, paper=np.nan) for metric in metrics]
    return _dotted(results.main, pd.concat(frames), contrasts=False)


def _dotted(results, frame, contrasts=True):
    """A picture of the lines of `results.of`, a panel for each value of the column `panel`."""
    shown = [each for each in results.contrasts if each.metric == "AP"] if contrasts else []
    places, bottom = _places(frame, shown)
    names = list(frame["panel"].unique())
    with matplotlib.rc_context(STYLE):
        figure, panels, (published, legend) = _grid(len(names), bottom)
        for panel, name in zip(panels, names, strict=True):
            _dots(panel, frame[frame["panel"] == name], places)
            if shown:
                _gains(panel, effects(results.only(name), shown), places, shown)
            panel.set_title(textwrap.fill(name, 24))
        _share_range(panels)
        if frame["paper"].notna().any():
            _published(published, frame, places)
        else:
            published.axis("off")
        _legend(legend, frame)
        _name_rows(figure.axes, places, bottom)
    return figure


def curves(results: Results) -> Picture:
    """Training losses, a panel a loss: the mean over seeds of each training; of few, seeds too.

    The legend has the first row of each training; other trainings of the same name are drawn, and
    numbered, apart.
    """
    trainings = {one.training_id: one for one in results.chosen if one.curve}.values()
    groups = _groups(trainings, results.names)
    styles, faint = _styles(groups), len(groups) <= FEW
    noted = {loss for one in trainings for loss in one.curve if not loss.startswith(AUDIT)}
    losses = sorted(noted - {"iteration"})
    columns = min(4, max(1, len(losses)))
    rows = -(-max(1, len(losses)) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Picture(figsize=(2.9 * columns, 0.5 + 2.1 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
        for panel, loss in zip(panels, losses, strict=False):
            for name, style in styles.items():
                same = [one.curve for one in groups[name] if loss in one.curve]
                _curve(panel, same, loss, style, faint)
            panel.set(title=loss, xlabel="iteration", yscale="log")
            _plain_decades(panel)
        for panel in panels[len(losses) :]:
            panel.axis("off")
        handles = [Line2D([], [], label=name, **style) for name, style in styles.items()]
        figure.legend(handles=handles, loc="outside upper left", ncols=columns, frameon=False)
    return figure


def scenes(records: Sequence[Record]) -> Picture:
    """Proposals above .3 and detections of the fixed scenes of records of glyphs, side by side.

    A scene is drawn again from its seed. Proposals are the fainter
    the less P(O); detections carry the glyph they were taken for.
    """
    count = max((len(one.scenes) for one in records), default=0)
    with matplotlib.rc_context(STYLE):
        shape = max(count, 1), 2 * max(len(records), 1)
        side = 2.4 if len(records) < 3 else 1.55
        size = side * shape[1], (side + 0.05) * shape[0] + 0.3
        figure = Photographs(figsize=size, layout="constrained")
        axes = blank(figure.subplots(*shape, squeeze=False))
        for k, (one, colour) in enumerate(zip(records, COLOURS, strict=False)):
            axes[0, 2 * k].set_title(f"{one.detector}: proposals", color=colour, size=8.5)
            axes[0, 2 * k + 1].set_title("its detections", color=colour, size=8.5)
            for pair, shown in zip(axes[:, 2 * k : 2 * k + 2], one.scenes, strict=False):
                _scene(pair, Glyphs(**one.spec["data"]), shown, colour)
    return figure


def _places(lines, contrasts):
    """Height and colour of each row, with room for the contrasts below it, and where all end."""
    places, height, above = {}, 0.0, lines["first"].iloc[0]
    colours = dict(zip(lines["first"].unique(), itertools.cycle(COLOURS)))  # noqa: B905
    for row, first in lines.drop_duplicates("row")[["row", "first"]].itertuples(index=False):
        height -= 0.2 * (first != above)
        places[row], above = (height, colours[first]), first
        height -= 1 + LINE * sum(one.row == row for one in contrasts)
    return places, height + 0.4


def _grid(count, bottom):
    """A figure for so many variants: it, their panels, and those of the paper and the legend."""
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    shape = max(2, rows), columns + 1  # under the paper's is the legend
    heights = [0.85 - 0.21 * bottom] * rows + [LEGEND] * (shape[0] - rows)
    size = 4.6 + 2.5 * columns, 0.4 + sum(heights)
    figure = Picture(figsize=size, layout="constrained")
    axes = figure.subplots(*shape, squeeze=False, sharey=True, height_ratios=heights)
    panels = axes[:, :-1].ravel()
    for panel in (*panels[count:], *axes[1:, -1]):
        panel.axis("off")
    return figure, panels[:count], axes[:2, -1]


def _dots(panel, lines, places):
    """Mean, interval and seeds of each row."""
    for row, (height, colour) in places.items():
        of_row = lines[lines["row"] == row]
        mean, low, high, seeds = estimate(of_row["value"])
        panel.plot([low, high], [height] * 2, color=colour, lw=5, alpha=0.22, solid_capstyle="butt")
        panel.plot(of_row["value"], [height] * len(of_row), "|", color=colour, ms=9, mew=1)
        panel.plot(mean, height, color=colour, **_mark(of_row["fusion"].iloc[0]))
        if not seeds:
            place = panel.get_yaxis_transform()
            panel.text(0.5, height - 0.15, DASH, transform=place, color=colour, size=13)


def _gains(panel, gains, places, contrasts):
    """The paired differences of each row, in words below it."""
    pairs = list(zip(contrasts, cells(gains), strict=True))
    for row, (height, colour) in places.items():
        style = {"size": 8, "color": colour, "ha": "right", "va": "center"}
        style["transform"] = panel.get_yaxis_transform()
        of_row = [(contrast.name, text) for contrast, text in pairs if contrast.row == row]
        for k, (name, text) in enumerate(of_row, 1):
            panel.text(0.98, height - LINE * k, f"{name}: {text}", **style)


def _mark(fusion):
    return {"marker": "o", "ms": 7, "mew": 1.6, "ls": "", "mfcalt": "white"} | (
        {"fillstyle": FILLED[fusion]} if fusion in FILLED else {}
    )


def _share_range(panels):
    """One AP axis for all panels that are measured."""
    seen = np.array([panel.dataLim.intervalx for panel in panels])
    seen = seen[np.isfinite(seen).all(1)]
    low, high = (seen.min(), seen.max()) if len(seen) else (0, 100)
    room = 0.06 * (high - low) + 0.1
    for panel in panels:
        panel.set_xlim(low - room, high + room)
        panel.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))


def _published(panel, lines, places):
    """The paper's values as hollow diamonds, each with its number."""
    for row, value in lines.drop_duplicates("row").set_index("row")["paper"].dropna().items():
        height, colour = places[row]
        panel.plot(value, height, "D", color=colour, mfc="none", mew=1.4, ms=6.5)
        panel.annotate(f"{value:.1f}", (value, height), (9, -3), textcoords="offset points", size=8)
    panel.margins(x=0.6)
    panel.set(title="the paper", facecolor=PALE)
    panel.set_xlabel("its own axis: other data, other scale;\ncompare signs, not values", size=8)


def _legend(panel, lines):
    """What the marks mean, in the free cell below the paper's panel."""
    scale, grey = lines["scale"].iloc[0], {"color": FAINT, "ls": ""}
    what = "Percent" if lines["panel"].isin(METRICS).all() else "AP"  # panels name it
    handles = [
        *(
            Line2D([], [], color=FAINT, label=f"score {NAMED[fusion]}", **_mark(fusion))
            for fusion in lines["fusion"].unique()
        ),
        Line2D([], [], color=FAINT, lw=5, alpha=0.3, label="95 % interval of the mean"),
        Line2D([], [], marker="|", ms=9, label="one seed", **grey),
    ]
    if lines["paper"].notna().any():
        handles.append(Line2D([], [], marker="D", mfc="none", ms=6.5, label="published", **grey))
    title = f"{what} at scale {scale}; in words:\npaired mean ± interval (seeds)"
    panel.legend(handles=handles, loc="center", frameon=False, title=title, title_fontsize=9)


def _name_rows(axes, places, bottom):
    for panel in axes:
        panel.grid(axis="x")
        panel.tick_params(length=0)
        panel.set_yticks([height for height, _ in places.values()], list(places))
        panel.set_ylim(bottom, 0.6)
        panel.spines["left"].set_visible(False)


def _plain_decades(panel):
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_locator(NullLocator())
    panel.grid(axis="y")


def _groups(records, names):
    """Records that differ in their seed alone, by name; others of that name have a number."""
    alike = {}
    for one in records:
        name = names.get(one.training_id, one.detector)
        alike.setdefault((name, _settings(one)), []).append(one)
    groups, seen = {}, []
    for (name, _), same in alike.items():
        seen.append(name)
        count = seen.count(name)
        groups[name if count == 1 else f"{name} ({count})"] = same
    return groups


def _settings(record):
    """What trainings have alike that differ in their seed alone, which may draw the scenes too."""
    apart = {"test": True, "data": {"seed"}}
    return Spec.model_validate(record.spec).model_dump_json(exclude=apart)


def _styles(groups):
    """Of each group of records: the colour of its first stage, the dashes of its second.

    Of groups that have both in common the first has that style, the others have unused ones.
    """
    stages = [(same[0].spec["first"], same[0].spec["second"]) for same in groups.values()]
    firsts = dict.fromkeys(first for first, _ in stages)
    colours = dict(zip(firsts, itertools.cycle(COLOURS)))  # noqa: B905
    wanted = [(DASHES[second], colours[first]) for first, second in stages]
    every = itertools.product(reversed(DASHES.values()), COLOURS)
    unused = (style for style in every if style not in wanted)
    styles = [next(unused, one) if one in wanted[:k] else one for k, one in enumerate(wanted)]
    pairs = zip(groups, styles, strict=True)
    return {name: {"ls": dashes, "color": colour} for name, (dashes, colour) in pairs}


def _curve(panel, seeds, loss, style, faint):
    for curve in seeds if faint else ():
        panel.plot(curve["iteration"], curve[loss], lw=0.7, alpha=0.3, **style)
    if seeds and all(curve["iteration"] == seeds[0]["iteration"] for curve in seeds):
        mean = np.array([curve[loss] for curve in seeds], float).mean(0)
        panel.plot(seeds[0]["iteration"], mean, lw=1.5, **style)


def _scene(pair, data, shown, colour):
    image, _ = glyphs.scene(data, "val", shown["image_id"])
    names = glyphs.names(data)
    for panel in pair:
        panel.imshow(image, interpolation="nearest")
    for *corners, p_object in shown["proposals"]:
        if p_object > SHOWN_ABOVE:
            box(pair[0], corners, colour, p_object)
    for *corners, score, label, _, _ in shown["detections"]:
        if score > SHOWN_ABOVE:
            box(pair[1], corners, colour, 1)
            tag(pair[1], corners[:2], f"{names[int(label)]} {score:.2f}", colour, size=7)
