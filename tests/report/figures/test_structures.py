import re

import pytest
from matplotlib.patches import Rectangle

from p2s.report.figures import structures
from p2s.report.style import COLOURS
from p2s.study.project import Project
from p2s.study.structures import recorded
from tests.support import ROOT


@pytest.fixture(scope="module")
def record():
    return recorded(Project(ROOT, ROOT / ".p2s"))


def test_figure_2_says_what_was_measured(record):
    figure = structures.structures(record)
    words = [text.get_text() for text in figure.axes[0].texts]
    for one in record.structures:
        assert f"in all {1e-9 * sum(one.parts.values()):.1f} G multiply-adds" in words
    assert "P(C) of 80 classes and a box" in words and "K = 1000 regions" in words
    assert "K′ = 256 regions" in words and words.count("P(O)") == 1  # around the second stage
    assert [re.sub(r"^.*: ", "", each) for each in words if each.startswith("score of")] == [
        *("P(C)", "P(C|O)", "P(C|O) P(O)")
    ]


def test_blocks_are_as_wide_as_their_multiply_adds(record):
    shapes = structures.structures(record).axes[0].patches
    blocks = [
        one for one in shapes if isinstance(one, Rectangle) and one.get_height() == structures.BLOCK
    ]
    counts = [each for one in record.structures for row in structures.rows(one) for each in row]
    widths = [one.get_width() for one in blocks]
    assert widths == pytest.approx([count * widths[0] / counts[0] for count in counts])


def test_there_is_a_map_for_each_score(record):
    first = record.structures[:1]
    only = record.model_copy(update={"structures": first})
    shapes = structures.structures(only).axes[0].patches
    maps = [
        one
        for one in shapes
        if isinstance(one, Rectangle) and one.get_height() == structures.MAP[1]
    ]
    assert len(maps) == first[0].scores == 80


def test_figure_2_has_the_same_bytes_whenever_it_is_drawn(record):
    first, second = (structures.structures(record).content() for _ in range(2))
    assert first == second and COLOURS[0].encode() in first
    empty = record.model_copy(update={"structures": ()})
    assert structures.structures(empty).content().startswith(b"<?xml")
