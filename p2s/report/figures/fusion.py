"""Figures of the fusion lab, AP over the powers of P(C|O) and P(O), and all the report keeps."""

import itertools
import textwrap

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D

from p2s.maths.likelihood import FUSIONS
from p2s.report.intervals import estimate, number
from p2s.report.products import Products, bullets, grid
from p2s.report.results import Results
from p2s.report.style import COLOURS, FAINT, INK, STYLE, Picture
from p2s.report.tables import fusion as fusion_tables
from p2s.report.tables.ablation import readable
from p2s.study.study import Study

TITLE = "# The gain of the product over P(C|O) alone\n"
COLUMNS = 4  # of maps side by side
SPAN = 3.0  # AP: the colours of a map end here
HELPS, HURTS = COLOURS[0], COLOURS[1]
ACROSS, DOWN, GAIN = "power of P(O)", "power of P(C|O)", "AP less that of P(C|O)"
SHADES = LinearSegmentedColormap.from_list("gain", [HURTS, "#ffffff", HELPS])
MARKS = {"class": "o", "product": "s", "released": "D"}
TICKS = (0, 0.125, 0.25, 0.5, 1, 2, 4, 8)  # ratios of the powers
BEST_RATIO = """\
AP with all scores. *Best ratio*: the power of P(O) over that of P(C|O) of the highest mean AP, and
the range in which less than the negligible size is lost; *there*: AP at the ratio that is best for
the other seeds."""


def large_map(results: Results, row: str) -> Picture:
    """The map of a row with its numbers: AP of scores above .05, mean over seeds.

    Colours: AP less that of P(C|O) alone. The named powers are marked.
    """
    with matplotlib.rc_context(STYLE):
        figure = Picture(figsize=(6.6, 4.2), layout="constrained")
        panel = figure.subplots()
        frame = fusion_tables.maps(results).get(row)
        if frame is not None:
            _map(panel, frame, 21)
            for (y, x), value in np.ndenumerate(frame.to_numpy()):
                panel.text(x, y, number(value), ha="center", va="center", size=8.5)
            figure.legend(handles=_marks(), loc="outside upper left", ncols=3, frameon=False)
        panel.set(title=row, xlabel=ACROSS, ylabel=DOWN)
    return figure


def small_maps(results: Results) -> Picture:
    """AP of scores above .05 less that of P(C|O) alone over both powers, a panel a row."""
    maps = fusion_tables.maps(results)
    rows = -(-max(len(maps), 1) // COLUMNS)
    with matplotlib.rc_context(STYLE | {"xtick.labelsize": 7, "ytick.labelsize": 7}):
        figure = Picture(figsize=(2.5 * COLUMNS, 0.8 + 1.9 * rows), layout="constrained")
        axes = figure.subplots(rows, COLUMNS, squeeze=False)
        for panel, (row, frame) in zip(axes.ravel(), maps.items(), strict=False):
            shown = _map(panel, frame, 9)
            panel.set_title(textwrap.fill(row, 26), size=8.5)
        for panel in axes.ravel()[len(maps) :]:
            panel.axis("off")
        figure.supxlabel(ACROSS, size=9.5)
        figure.supylabel(DOWN, size=9.5)
        if maps:
            figure.colorbar(shown, ax=axes, label=GAIN, shrink=0.7, extend="both")
            figure.legend(handles=_marks(), loc="outside upper left", ncols=3, frameon=False)
    return figure


def ratios(results: Results) -> Picture:
    """The gain in AP over P(C|O) alone along the ratio of the powers, all scores: a panel a factor.

    Means over seeds with their 95 % intervals; dotted lines are the named powers.
    """
    groups, curves = fusion_tables.by_factor(results), fusion_tables.curves(results)
    with matplotlib.rc_context(STYLE):
        figure = Picture(figsize=(9.4, 6.6), layout="constrained")
        axes = figure.subplots(2, 2, sharex=True, sharey=True)
        for panel, (factor, rows) in zip(axes.ravel(), groups.items(), strict=True):
            others = itertools.cycle(COLOURS)
            for label, row in rows.items():
                colour = INK if row == next(iter(curves)) else next(others)
                _curve(panel, curves[row], label, colour)
            _names(panel)
            panel.set_title(factor, loc="left", pad=14)
            panel.legend(loc="lower left", frameon=False, fontsize=8)
        for panel in axes[:, 0]:
            panel.set(ylabel=GAIN, ylim=(-SPAN, None))
        for panel in axes[1]:
            panel.set_xlabel("power of P(O) / power of P(C|O)")
    return figure


def products(results: Results, study: Study) -> Products:
    """Pictures, the gains and their page."""
    drawn = {"map": large_map(results, results.rows[0]), "maps": small_maps(results)}
    gains = fusion_tables.gains(results, fusion_tables.claimed(study))
    page = _page(results, gains)
    return Products(drawn | {"ratios": ratios(results)}, {"gains": gains}, {"gains": page})


def _page(results, gains):
    """All tables of the fusion lab as Markdown."""
    tables = {
        "The product's gain, and the verdict where the paper claims one.": readable(gains),
        BEST_RATIO: fusion_tables.summary(results),
        "What a threshold of .05 costs, and detections an image.": fusion_tables.costs(results),
    }
    parts = [f"{TITLE}\n{bullets(fusion_tables.sentences(results))}"]
    parts += [f"{said}\n\n{grid(table)}" for said, table in tables.items()]
    return "\n\n".join(parts) + "\n"


def _map(panel, frame, size):
    """Shades of AP less that of P(C|O) alone, with named powers in marks of a size; the image."""
    on_class, on_object = (axis.tolist() for axis in (frame.index, frame.columns))
    gain = frame - frame.loc[FUSIONS["class"]]
    shown = panel.imshow(gain, cmap=SHADES, vmin=-SPAN, vmax=SPAN, origin="lower", aspect="auto")
    for name, (a, b) in FUSIONS.items():
        place = on_object.index(b), on_class.index(a)
        panel.plot(*place, MARKS[name], ms=size, mfc="none", mec=INK, mew=1.2)
    panel.set_xticks(range(len(on_object)), [f"{b:g}" for b in on_object], rotation=90)
    panel.set_yticks(range(len(on_class)), [f"{a:g}" for a in on_class])
    return shown


def _marks():
    style = {"ls": "", "color": INK, "mfc": "none", "ms": 9}
    return [Line2D([], [], marker=MARKS[name], label=name, **style) for name in FUSIONS]


def _curve(panel, seeds, label, colour):
    """Mean and interval of the gain of each ratio over that of 0."""
    gain = seeds.sub(seeds[0.0], axis=0) if len(seeds) else seeds
    places = [_place(ratio) for ratio in gain.columns]
    found = [estimate(gain[ratio]) for ratio in gain.columns]
    panel.plot(places, [one.mean for one in found], color=colour, label=label, lw=1.6)
    low, high = [one.low for one in found], [one.high for one in found]
    panel.fill_between(places, low, high, color=colour, alpha=0.12, lw=0)


def _names(panel):
    """Ticks at ratios of the powers, and lines at the named ones."""
    panel.axhline(0, color=FAINT, lw=0.8)
    panel.set_xticks([_place(ratio) for ratio in TICKS], [f"{ratio:g}" for ratio in TICKS])
    panel.grid(axis="y")
    top = {"transform": panel.get_xaxis_transform(), "size": 8, "ha": "center"}
    for name, (a, b) in FUSIONS.items():
        panel.axvline(_place(b / a), color=INK, ls=":", lw=0.9)
        panel.text(_place(b / a), 1.01, name, **top)


def _place(ratio):
    """The share of P(O) in the logarithm of a score: from 0, P(C|O) alone, to 1, P(O) alone."""
    return ratio / (1 + ratio)
