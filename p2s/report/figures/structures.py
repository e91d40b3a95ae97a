"""Figure 2: the structures of detectors side by side, drawn from their record.

A column a detector, in hundredths of an inch from the top left corner. A block is as wide as its
multiply-adds, on one scale for all; a square is a score of each place, a dot is a region.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.patches import FancyArrowPatch, PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

from p2s.report.figures.ablation import SCORES
from p2s.report.style import COLOURS, FAINT, Picture, styled
from p2s.study.structures import Structure, Structures

COLUMN, HIGH = 300, 648  # width of a column, height of all
TRUNK, FIRST, SECOND = "#9aa5b1", COLOURS[0], COLOURS[1]
BLOCK, GAP, LINE = 26, 4, 15  # height of a block, space beside it, height of a line of words
# Where each part begins, the same in all columns.
TOPS = {"image": 60, "trunk": 94, "towers": 183, "maps": 272, "regions": 361, "heads": 472}
TOPS |= {"score": 563, "total": 602, "legend": 632}
MAP, SHIFT = (34, 25), 1.8  # a map of scores in the shape of an image, how far the next one is
DOTS, DOT = 50, 3.4  # regions a line, space of one
LEGEND = (
    "a block is as wide as its multiply-adds · a square: a score of every cell · a dot: a region"
)
BYPASS = 136  # from the middle of a column to the line of P(O) around the second stage


class Section(NamedTuple):
    """A part of a column: shapes around the middle, their height, and words below them."""

    name: str
    shapes: list
    height: float
    lines: list[str]


@styled
def structures(record: Structures) -> Picture:
    """A column for each Structure."""
    wide = COLUMN * max(1, len(record.structures))
    figure = Picture(figsize=(wide / 100, HIGH / 100))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, wide), ylim=(HIGH, 0))
    axes.axis("off")
    legend = {"ha": "center", "va": "center", "color": FAINT, "size": 8.5}
    axes.text(wide / 2, TOPS["legend"], LEGEND, **legend)
    widest = max((sum(row) for built in record.structures for row in rows(built)), default=1)
    for k, structure in enumerate(record.structures):
        middle = COLUMN * (k + 0.5)
        _heading(axes, middle, structure, f"({chr(ord('a') + k)}) {_kind(structure)}")
        _column(axes, middle, _sections(structure, record.size, (COLUMN - 44) / widest))
        if structure.heads and structure.fusion == "product":
            _bypass(axes, middle)
    figure.alt = _sizes(record)
    return figure


def _sizes(record):
    """How much each detector multiplies, in words."""
    sizes = [
        f"{structure.detector}, {_kind(structure)}, {_giga(structure.parts.values())}"
        for structure in record.structures
    ]
    return f"The structures of detectors side by side: {'; '.join(sizes) or 'no record'}."


def _kind(structure):
    if not structure.heads:
        return "one-stage"
    return "probabilistic two-stage" if structure.fusion == "product" else "two-stage"


def rows(structure: Structure) -> list[list[int]]:
    """The multiply-adds of blocks that stand side by side: backbone, towers, heads."""
    blocks = structure.towers, structure.heads
    return [[structure.trunk], *([block.multiply_adds for block in row] for row in blocks)]


def _sections(structure, size, scale) -> Iterator[Section]:
    """The sections of a column from the image to the score."""
    (trunk, towers, heads), (first, last) = rows(structure), structure.levels

    def blocks(name, row, colour, words):
        return Section(name, _blocks(row, scale, colour), BLOCK, [words, _giga(row)])

    yield Section("image", [], 0, [f"image of {size[0]} × {size[1]} pixels"])
    yield blocks("trunk", trunk, TRUNK, f"{structure.backbone}, P{first}–P{last}")
    yield blocks("towers", towers, FIRST, _layers(structure.towers, "tower"))
    yield Section("maps", _maps(structure.scores), MAP[1], _scores(structure))
    if heads:
        count, sort = structure.proposals, "K" if structure.fusion == "class" else "K′"
        words = [f"{sort} = {count} regions"]
        yield Section("regions", _dots(count), DOT * -(-count // DOTS), words)
        yield blocks("heads", heads, SECOND, _layers(structure.heads, "head"))
    score = SCORES[structure.fusion] if heads else "P(C)"
    yield Section("score", [], 0, [f"score of a detection: {score}"])


def _layers(row, name):
    """Of blocks that stand side by side, in words."""
    counts = [f"{len(row)} {name}", f"{row[0].layers} layer"]
    counts = [count + "s" * (not count.startswith("1 ")) for count in counts]
    return f"{' of '.join(counts)}, {row[0].channels} channels"


def _scores(structure):
    what = "P(O)" if structure.scores == 1 else f"P(C) of {structure.scores} classes"
    anchors = "" if structure.anchors == 1 else f" with {structure.anchors} anchors"
    return [f"{what} and a box", f"at {structure.cells:,} cells{anchors}"]


def _giga(row):
    return f"{1e-9 * sum(row):.1f} G multiply-adds"


def _blocks(row, scale, colour):
    """Blocks side by side, as wide as their multiply-adds."""
    left, shapes = -(scale * sum(row) + GAP * (len(row) - 1)) / 2, []
    for count in row:
        shapes.append(Rectangle((left, 0), scale * count, BLOCK, facecolor=colour))
        left += scale * count + GAP
    return shapes


def _maps(count):
    """A map for each score of a cell, one behind the other."""
    left = -(MAP[0] + SHIFT * (count - 1)) / 2
    style = {"facecolor": FIRST, "edgecolor": "white", "lw": 0.6}
    return [Rectangle((left + SHIFT * k, 0), *MAP, **style) for k in reversed(range(count))]


def _dots(count):
    """A dot for each region, all of them one shape."""
    row, column = np.divmod(np.arange(count), DOTS)
    corners = DOT * np.stack([column - min(DOTS, count) / 2, row], 1)
    square = 0.7 * DOT * np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
    codes = np.tile([Path.MOVETO, *[Path.LINETO] * 3, Path.CLOSEPOLY], count)
    path = Path((corners[:, None] + square).reshape(-1, 2), codes)
    return [PathPatch(path, facecolor=SECOND, lw=0)]


def _heading(axes, middle, structure, title):
    style = {"ha": "center", "va": "center"}
    axes.text(middle, 16, title, weight="bold", size=10.5, **style)
    axes.text(middle, 34, structure.detector, color=FAINT, **style)
    total = f"in all {_giga(structure.parts.values())}"
    axes.text(middle, TOPS["total"], total, weight="bold", **style)


def _column(axes, middle, sections):
    """Draw the sections of a column, an arrow from each to the next."""
    bottom = None
    for section in sections:
        top = TOPS[section.name]
        if bottom is not None:
            _arrow(axes, [(middle, bottom), (middle, top - (4 if section.shapes else 9))])
        for shape in section.shapes:
            axes.add_patch(shape)
            shape.set_transform(Affine2D().translate(middle, top) + axes.transData)
        for k, line in enumerate(section.lines):
            y = top + section.height + LINE * (k + 0.75 * bool(section.shapes))
            axes.text(middle, y, line, ha="center", va="center", size=8.5)
        bottom = y + 10


def _bypass(axes, middle):
    """The way of P(O) from the first stage to the score."""
    right, top, bottom = middle + BYPASS, TOPS["maps"] + MAP[1] / 2, TOPS["score"]
    _arrow(axes, [(middle + 24, top), (right, top), (right, bottom), (middle + 104, bottom)])
    axes.text(right - 5, top - 9, "P(O)", ha="right", va="center", color=FIRST, size=8.5)


def _arrow(axes, points):
    style = {"arrowstyle": "-|>,head_length=3.4,head_width=1.8", "color": FAINT, "lw": 1}
    axes.add_patch(FancyArrowPatch(path=Path(points), shrinkA=0, shrinkB=0, **style))
