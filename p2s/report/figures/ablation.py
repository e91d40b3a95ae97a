"""The picture of an experiment: AP of its rows, or other metrics of them."""

import textwrap
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from p2s.report.intervals import DASH, estimate
from p2s.report.results import Results
from p2s.report.style import (
    FAINT,
    FIRSTS,
    PALE,
    PALETTE,
    Picture,
    legend,
    name_axes,
    panels,
    styled,
)
from p2s.report.tables.ablation import effects
from p2s.report.tables.estimates import cells

MARKS = {"none": "s", "class": "o", "product": "D", "released": "^"}  # of each fusion
SCORES = {
    "none": "P(C)",
    "class": "P(C|O)",
    "product": "P(C|O) P(O)",
    "released": "P(C|O)^.5 P(O)^.25, released",
}
LINE = 0.19  # inches of a line of words; a row has a quarter more
WIDE = 2.3  # inches of a panel
BESIDE = 3  # variants in a picture
INTERVAL = {"lw": 5, "alpha": 0.25, "solid_capstyle": "butt"}
PAPER = "the paper"


def ablations(results: Results) -> list[Picture]:
    """The variants of an experiment in as few pictures as hold three each."""
    variants = list(results.of("AP")["variant"].unique())
    return [
        ablation(results, variants[k : k + BESIDE]) for k in range(0, len(variants), BESIDE)
    ] or [ablation(results)]


def ablation(results: Results, variants: Sequence[str] | None = None) -> Picture:
    """AP of each row, a panel a variant: means, 95 % intervals and seeds.

    Under a row stand its contrasts. The paper's values are apart, on an axis of their own.
    """
    frame = results.of("AP")
    frame = frame.assign(panel=frame["variant"])
    if variants is not None:
        frame = frame[frame["variant"].isin(variants)]
    contrasts = [contrast for contrast in results.contrasts if contrast.metric == "AP"]
    said = results.said
    keys = [(said(contrast.row), contrast.name) for contrast in contrasts]
    notes = {
        said(name): dict(zip(keys, cells(effects(results.only(name), contrasts), "+"), strict=True))
        for name in frame["panel"].unique()
    }
    frame = frame.assign(row=frame["row"].map(said), panel=frame["panel"].map(said))
    picture = dots(frame, f"AP, scale {results.scale}", notes)
    picture.alt += _differences(notes) if keys else ""
    return picture


def by_metric(results: Results, metrics: Sequence[str]) -> Picture:
    """Metrics of each row in the first variant, a panel a metric; the paper's are in tables."""
    frames = [results.main.of(metric).assign(panel=metric, paper=np.nan) for metric in metrics]
    return dots(pd.concat(frames), f"percent, scale {results.scale}")


@styled
def dots(
    frame: pd.DataFrame,
    quantity: str,
    notes: Mapping[str, Mapping[tuple[str, str], str]] = MappingProxyType({}),
) -> Picture:
    """A panel for each value of the column `panel`: mean, 95 % interval and seeds of each row.

    frame: columns row, panel, first, fusion, value and paper, a line a seed. notes: by panel what a
    line of its own says below a row, by the row and the line's name.
    A fusion of "" is no score's.
    """
    lines = pd.DataFrame(
        _lines(frame, next(iter(notes.values()), ())), columns=["row", "note", "height"]
    )
    heights = lines[lines["note"] == ""].set_index("row")["height"]
    frame = frame.assign(height=frame["row"].map(heights)).reset_index(drop=True)
    names, published = list(frame["panel"].unique()), frame["paper"].notna().any()
    size = WIDE, LINE * (1.5 - lines["height"].min()) if len(lines) else 1.0
    figure, drawn = panels(len(names) + bool(published), size, (0.2, 0.95), "y")
    name_axes(drawn, quantity, "row", "y")
    for panel, name in zip(drawn, names, strict=False):
        if panel is not drawn[0]:
            panel.sharex(drawn[0])
        _estimates(panel, frame[frame["panel"] == name])
        _say(panel, lines, notes.get(name, {}))
        panel.set_title(textwrap.fill(name, 26))
        panel.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    if published:
        _published(drawn[-1], frame.drop_duplicates("row"))
    _name_rows(drawn, lines)
    legend(figure, _marks(frame), max(2, len(drawn)), 0.5)
    figure.alt = _ranking(frame, quantity)
    return figure


def student(values: ArrayLike) -> tuple[float, float]:
    """The ends of `intervals.estimate`, as seaborn asks for them."""
    return estimate(values)[1:3]


def _lines(frame, notes):
    """Row, note and height of each line of words: rows with their notes below, a gap a stage."""
    height, above = 0.0, None
    for row, first in frame.drop_duplicates("row")[["row", "first"]].itertuples(index=False):
        height -= 0.3 * (above not in (None, first))
        yield row, "", height
        for name in (name for of, name in notes if of == row):
            height -= 1
            yield row, name, height
        height, above = height - 1.25, first


def _estimates(panel, frame):
    style = {"x": "value", "y": "height", "hue": "first", "palette": PALETTE, "orient": "y"}
    style |= {"native_scale": True, "legend": False, "ax": panel}
    sns.stripplot(frame, marker="|", jitter=False, linewidth=1, size=9, **style)
    for fusion, same in frame.groupby("fusion", sort=False):
        mark = {"marker": MARKS.get(fusion, "o"), "markersize": 5.5, "linestyle": "none"}
        sns.pointplot(same, errorbar=student, err_kws=INTERVAL, **mark, **style)
    missing = frame.groupby("height")["value"].count()
    for height in missing.index[missing == 0]:
        place = {"transform": panel.get_yaxis_transform(), "ha": "center", "va": "center"}
        panel.text(0.5, height, DASH, **place)


def _say(panel, lines, words):
    """What each note says of a panel, at its height."""
    place = {"transform": panel.get_yaxis_transform(), "ha": "center", "va": "center", "size": 8}
    for row, note, height in lines[lines["note"] != ""].itertuples(index=False):
        panel.text(0.5, height, words[row, note], color=FAINT, **place)


def _published(panel, rows):
    """The paper's values as hollow diamonds, each with its number."""
    rows = rows.dropna(subset="paper")
    panel.scatter(
        rows["paper"], rows["height"], 36, marker="D", fc="none", ec=rows["first"].map(PALETTE)
    )
    for value, height in rows[["paper", "height"]].itertuples(index=False):
        panel.annotate(f"{value:.1f}", (value, height), (9, -3), textcoords="offset points", size=8)
    panel.margins(x=0.4)
    panel.set(title=PAPER, facecolor=PALE)
    panel.set_xlabel("its own axis: other data, other scale;\ncompare signs, not values", size=8)


def _name_rows(drawn, lines):
    """Rows and notes at the left, the notes smaller."""
    for panel in drawn:
        panel.grid(axis="x")
        panel.spines["left"].set_visible(False)
        panel.set_ylim(lines["height"].min() - 0.75, 0.75)
    names = lines["note"].where(lines["note"] != "", lines["row"])
    drawn[0].set_yticks(lines["height"], names)
    for text, note in zip(drawn[0].get_yticklabels(), lines["note"], strict=True):
        text.set(**{"size": 8, "color": FAINT} if note else {})


def _marks(frame):
    """What colours and marks mean."""
    firsts, fusions = (frame[column].unique() for column in ("first", "fusion"))
    grey = {"color": FAINT, "ls": ""}
    handles = [Line2D([], [], color=PALETTE[first], lw=5, label=FIRSTS[first]) for first in firsts]
    handles += [
        Line2D([], [], marker=MARKS[fusion], label=f"score {SCORES[fusion]}", **grey)
        for fusion in filter(None, fusions)
    ]
    handles.append(Line2D([], [], color=FAINT, label="95 % interval of the mean", **INTERVAL))
    handles.append(Line2D([], [], marker="|", ms=9, label="one seed", **grey))
    if frame["paper"].notna().any():
        handles.append(Line2D([], [], marker="D", mfc="none", ms=6, label="published", **grey))
    return handles


def _ranking(frame, quantity):
    """The highest and the lowest mean of each panel, in words."""
    parts = [f"{quantity}: {frame['row'].nunique()} rows, mean ± 95 % interval (seeds)"]
    for name, lines in frame.groupby("panel", sort=False):
        rows = lines.groupby("row", sort=False)["value"]
        means = rows.mean().dropna()
        ends = dict.fromkeys((means.idxmax(), means.idxmin())) if len(means) else {}
        said = " to ".join(f"{row} {estimate(rows.get_group(row)).text()}" for row in ends)
        parts.append(f"{name or 'all'}, highest to lowest: {said or 'no record'}")
    return "; ".join(parts) + "."


def _differences(notes):
    """What the notes of the first panel say, in words."""
    name, texts = next(iter(notes.items()))
    said = "; ".join(f"{row}, {what} {text}" for (row, what), text in texts.items())
    return f" Differences, {name or 'all'}: {said}."
