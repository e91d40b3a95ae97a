"""Laws of every picture of the report, drawn from the committed records."""

import io
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from p2s.report import experiment, style
from p2s.report.figures import framework, speed
from p2s.report.results import COMMITTED, _has_every_cell, committed_scale, results
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT

STUDY = Study.load(Project.at(ROOT), COMMITTED[0])
DPI = 80
CELLS = 40  # along each side of a picture, to find its empty parts
WORDS = r"<!-- (.*?) -->\s*<g [^>]*?transform=\"translate\(([-\d.]+) ([-\d.]+)\)"
SIZE = r'width="([\d.]+)pt" height="([\d.]+)pt"'
EMPTY = 0.25  # of the picture: an empty rectangle must be smaller


def drawn(name):
    """The pictures of an experiment, or of speed, by the name of their file."""
    if name == "performance":
        return {f"{name}_{kind}": one for kind, one in speed.pictures(STUDY.project).items()}
    if name == "framework":
        return framework.pictures(STUDY)
    here = STUDY.at(committed_scale(STUDY, name))
    made = experiment.products(results(here, name), here)
    return {f"{name}_{key}": one for products in made for key, one in products.pictures.items()}


def is_drawn(name):
    """Whether all of an experiment has records: pictures of a part of it have empty places."""
    return _has_every_cell(STUDY.at(committed_scale(STUDY, name)), name)


@pytest.fixture(
    scope="module", params=[*filter(is_drawn, STUDY.experiments), "performance", "framework"]
)
def pictures(request):
    """Pictures as they are after they were saved once, and their bytes."""
    made = drawn(request.param)
    assert made, request.param
    return {name: (picture, picture.content()) for name, picture in made.items()}


@pytest.fixture(scope="module")
def inks(pictures):
    """Where each has ink."""
    return {name: ink(picture) for name, (picture, _) in pictures.items()}


def ink(picture):
    """Where a picture as it is saved has ink, (height, width)."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(style.STYLE):
        options = {"bbox_inches": "tight", "pad_inches": style.MARGIN}
        picture.savefig(buffer, dpi=DPI, facecolor="white", format="png", **options)
    buffer.seek(0)
    return (imread(buffer)[..., :3] < 0.98).any(-1)


def largest_empty(seen):
    """The share of a picture that its largest rectangle without ink covers, in cells."""
    rows = np.array_split(seen, CELLS)
    full = [[cell.any() for cell in np.array_split(row, CELLS, 1)] for row in rows]
    best, heights = 0, np.zeros(CELLS, int)
    for row in np.array(full):
        heights = np.where(row, 0, heights + 1)
        for left in range(CELLS):
            lowest = np.minimum.accumulate(heights[left:])
            best = max(best, (lowest * np.arange(1, len(lowest) + 1)).max())
    return best / CELLS**2


def test_the_largest_empty_rectangle_is_found():
    seen = np.ones((80, 80), bool)
    seen[20:60, 40:] = False
    assert largest_empty(seen) == 0.25
    seen[30, 50] = True
    assert largest_empty(seen) == pytest.approx(14 * 20 / 1600)


def test_every_word_of_an_svg_starts_inside(pictures):
    for name, (picture, content) in pictures.items():
        if picture.kind == "svg":
            text = content.decode()
            wide, high = map(
                float, re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', text).groups()
            )
            words = re.findall(WORDS, text)
            assert words or not picture.axes, name
            for said, x, y in words:
                assert 0 < float(x) < wide and 0 < float(y) < high, (name, said)


def test_nothing_touches_the_edge_of_a_picture(inks):
    edge = int(DPI * style.MARGIN / 2)
    for name, seen in inks.items():
        for side in (seen[:edge], seen[-edge:], seen[:, :edge], seen[:, -edge:]):
            assert not side.any(), name


def test_every_axis_says_what_it_is(pictures):
    for name, (picture, _) in pictures.items():
        shown = [panel for panel in picture.axes if panel.axison]
        for panel in shown:
            for axis in ("x", "y"):
                beside = [other for other in shown if _in_line(panel, other, axis)]
                labels = [getattr(other, f"get_{axis}label")() for other in beside]
                numbered = _numbered(getattr(panel, f"{axis}axis"))
                own = getattr(panel, f"get_{axis}label")()
                assert own or not numbered, (name, panel.get_title(), axis)
                assert any(labels) or not any(
                    _numbered(getattr(other, f"{axis}axis")) for other in beside
                ), (name, panel.get_title(), axis)


def _in_line(panel, other, axis):
    """Whether panels stand below each other (of x), or beside each other (of y)."""
    side = ("x0", "x1") if axis == "x" else ("y0", "y1")
    one, two = panel.get_position(), other.get_position()
    return all(abs(getattr(one, end) - getattr(two, end)) < 0.01 for end in side)


def _numbered(axis):
    return any(text.get_visible() and text.get_text().strip() for text in axis.get_ticklabels())


def test_no_quarter_of_a_picture_is_empty(inks):
    for name, seen in inks.items():
        assert largest_empty(seen) < EMPTY, name


def test_a_picture_says_in_words_what_it_shows(pictures, request):
    for name, (picture, content) in pictures.items():
        assert re.search(r"\d", picture.alt) and len(picture.alt.split()) > 8, name
        if picture.kind == "svg":
            assert b'role="img"' in content and content.count(b"<title>") == 1, name


def test_a_picture_has_the_same_bytes_whenever_it_is_saved(pictures):
    for name, (picture, content) in pictures.items():
        assert picture.content() == content, name
