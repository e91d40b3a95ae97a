"""Figures of the fusion lab, AP over the powers of P(C|O) and P(O), and all the report keeps."""

import itertools
import textwrap

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D

from p2s.maths.likelihood import FUSIONS
from p2s.report.figures.ablation import student
from p2s.report.intervals import number
from p2s.report.products import Products, bullets, grid
from p2s.report.results import Results
from p2s.report.style import COLOURS, FAINT, INK, Picture, legend, name_axes, panels, styled
from p2s.report.tables import fusion as fusion_tables
from p2s.report.tables.ablation import readable
from p2s.report.tables.estimates import csv
from p2s.study.experiments import refuse_unknown
from p2s.study.study import Study

TITLE = "# The gain of the product over P(C|O) alone\n"
SPAN = 3.0  # AP: the colours of a map end here
HELPS, HURTS = COLOURS[0], COLOURS[1]
ACROSS, DOWN, GAIN = "power of P(O)", "power of P(C|O)", "AP less that of P(C|O)"
SHADES = LinearSegmentedColormap.from_list("gain", [HURTS, "#ffffff", HELPS])
MARKS = {"class": "o", "product": "s", "released": "D"}
TICKS = (0, 0.25, 0.5, 1, 2, 4, 8)  # ratios of the powers
BEST_RATIO = """\
AP with all scores. *Best ratio*: the power of P(O) over that of P(C|O) of the highest mean AP, and
the range in which less than the negligible size is lost; *there*: AP at the ratio that is best for
the other seeds."""


def large_map(results: Results, row: str) -> Picture:
    """The map of a row with its numbers: AP of scores above .05, mean over seeds.

    Colours: AP less that of P(C|O) alone. The named powers are marked.
    """
    refuse_unknown("row", [row], [one.name for one in results.experiment.rows])
    drawn = fusion_tables.maps(results)
    return _maps({row: drawn[row]} if row in drawn else {}, (5.6, 2.7), numbers=True)


def small_maps(results: Results) -> Picture:
    """AP of scores above .05 less that of P(C|O) alone over both powers, a panel a row."""
    return _maps(fusion_tables.maps(results), (2.1, 1.4))


@styled
def ratios(results: Results) -> Picture:
    """The gain in AP over P(C|O) alone along the ratio of the powers, all scores: a panel a factor.

    Means over seeds with their 95 % intervals; dotted lines are the named powers.
    """
    groups = fusion_tables.by_factor(results)
    gains = {row: _gains(seeds) for row, seeds in fusion_tables.curves(results).items()}
    colours = itertools.chain([INK], itertools.cycle(COLOURS))
    palette = dict(zip(gains, colours))  # noqa: B905
    figure, drawn = panels(len(groups), (4, 2.6), (0.3, 0.6), "xy", wrap=2)
    name_axes(drawn, "power of P(O) / power of P(C|O)", GAIN, "xy")
    for panel, (factor, rows) in zip(drawn, groups.items(), strict=True):
        for label, row in rows.items():
            style = {"color": palette[row], "label": label, "errorbar": student}
            sns.lineplot(gains[row], x="place", y="gain", err_kws={"lw": 0}, ax=panel, **style)
        _names(panel)
        panel.set_title(factor, loc="left", pad=14)
        panel.legend(loc="lower left", fontsize=8)
    figure.alt = _best(gains)
    return figure


def products(results: Results, study: Study) -> Products:
    """Pictures, the gains and their page."""
    drawn = {"map": large_map(results, results.rows[0]), "maps": small_maps(results)}
    gains = fusion_tables.gains(results, fusion_tables.claimed(study))
    page = _page(results, gains)
    return Products(drawn | {"ratios": ratios(results)}, {"gains": csv(gains)}, {"gains": page})


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


@styled
def _maps(maps, size, numbers=False):
    """Shades of AP less that of P(C|O) alone, a panel a row, with the named powers marked."""
    figure, drawn = panels(len(maps), size, (0.35, 0.45))
    name_axes(drawn, ACROSS, DOWN)
    shades = {"cmap": SHADES, "vmin": -SPAN, "vmax": SPAN, "cbar": False}
    for panel, (row, frame) in zip(drawn, maps.items(), strict=True):
        words = {"annot": frame.map(number) if numbers else None, "fmt": ""}
        gain = frame - frame.loc[FUSIONS["class"]]
        sns.heatmap(gain, ax=panel, annot_kws={"color": INK}, **shades, **words)
        _mark(panel, frame, 21 if numbers else 9)
        panel.set_title(textwrap.fill(row, 28), size=None if numbers else 8.5)
    name_axes(drawn, ACROSS, DOWN, "xy")
    if drawn:
        _bar(figure, drawn[-1].collections[0])
    marks = {"ls": "", "color": INK, "mfc": "none", "ms": 9}
    handles = [Line2D([], [], marker=MARKS[name], label=name, **marks) for name in FUSIONS]
    legend(figure, handles, 3, 0.4)
    figure.alt = _highest(maps)
    return figure


def _mark(panel, frame, size):
    """The named powers, and the powers at the axes."""
    on_class, on_object = frame.index.to_list(), frame.columns.to_list()
    for name, (a, b) in FUSIONS.items():
        place = on_object.index(b) + 0.5, on_class.index(a) + 0.5
        panel.plot(*place, MARKS[name], ms=size, mfc="none", mec=INK, mew=1.2)
    panel.set_xticks(np.arange(len(on_object)) + 0.5, map("{:g}".format, on_object), rotation=90)
    panel.set_yticks(np.arange(len(on_class)) + 0.5, map("{:g}".format, on_class), rotation=0)
    panel.invert_yaxis()


def _bar(figure, shades):
    """What the shades mean, right of all panels."""
    wide, high = figure.get_size_inches()
    place = figure.add_axes((1 + 0.2 / wide, 0, 0.15 / wide, min(1, 2.7 / high)))
    figure.colorbar(shades, place, label=GAIN, extend="both").outline.set_visible(False)


def _gains(seeds):
    """The gain of each ratio over that of 0, a line a seed and ratio."""
    gains = seeds.sub(seeds[0.0], axis=0) if len(seeds) else pd.DataFrame(columns=[0.0])
    lines = gains.melt(var_name="ratio", value_name="gain").astype(float)
    return lines.assign(place=_place(lines["ratio"]))


def _names(panel):
    """Ticks at ratios of the powers, and lines at the named ones."""
    panel.axhline(0, color=FAINT, lw=0.8)
    panel.set_xticks([_place(ratio) for ratio in TICKS], [f"{ratio:g}" for ratio in TICKS])
    panel.set_ylim(-SPAN, None)
    panel.grid(axis="y")
    top = {"transform": panel.get_xaxis_transform(), "size": 8, "ha": "center"}
    for name, (a, b) in FUSIONS.items():
        panel.axvline(_place(b / a), color=INK, ls=":", lw=0.9)
        panel.text(_place(b / a), 1.01, name, **top)


def _place(ratio):
    """The share of P(O) in the logarithm of a score: from 0, P(C|O) alone, to 1, P(O) alone."""
    return ratio / (1 + ratio)


def _highest(maps):
    """The powers of the highest AP of each map, in words."""
    said = []
    for row, frame in maps.items():
        a, b = frame.stack().idxmax()
        alone, product = (frame.loc[FUSIONS[name]] for name in ("class", "product"))
        said.append(
            f"{row} has the highest AP, {frame.to_numpy().max():.1f}, at powers {a:g} of P(C|O) "
            f"and {b:g} of P(O); P(C|O) alone {alone:.1f}, the product {product:.1f}"
        )
    return f"Maps of AP of scores above .05 over both powers: {'; '.join(said) or 'no record'}."


def _best(gains):
    """The ratio of the highest mean gain of each row, in words."""
    means = {row: lines.groupby("ratio")["gain"].mean() for row, lines in gains.items()}
    said = [
        f"{row} gains {number(mean.max(), '+')} at {mean.idxmax():.2g}"
        for row, mean in means.items()
        if len(mean)
    ]
    return f"{GAIN} along the ratio of the powers, highest: {'; '.join(said) or 'no record'}."
