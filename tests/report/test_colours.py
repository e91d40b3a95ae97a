"""Every text of a page has the contrast that WCAG 2 asks of AA, in light, dark and print.

And a status is told in words, marked by its kind.
"""

import re
from itertools import product

import pandas as pd
import pytest

from p2s.report import ledger, marks, verdicts
from p2s.study.project import PAGE

STYLE = (PAGE / "style.css").read_text()
AA = 4.5  # of a text to its ground
GROUNDS = ("paper", "pale", "unseen-ground")  # what ordinary words may stand on
WORDS = ("ink", "faint", "link", "warm", "green")
MARKS = ("good", "partly", "unseen", "against")
SAID = sorted({*ledger.STATUSES, *verdicts.VERDICTS, "holds", "does not hold"})
PAIRS = [*product(WORDS, GROUNDS[:2]), ("ink", GROUNDS[2]), *((m, f"{m}-ground") for m in MARKS)]


def schemes():
    """The variables of each scheme by its name, those of the first where it has none."""
    blocks = re.findall(
        r"(?:@media \((.+?)\) \{\s+|@media (print) \{\s+)?:root \{(.+?)\}", STYLE, re.S
    )
    made = {(a or b or "light"): dict(re.findall(r"--([\w-]+): (#\w+)", c)) for a, b, c in blocks}
    return {name: made["light"] | variables for name, variables in made.items()}


def luminance(colour):
    """Relative luminance of #rgb or #rrggbb, as WCAG 2 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * one for one in colour[1:])
    values = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return sum(share * v for share, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_definition():
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.01)


def test_there_are_three_schemes():
    assert [*schemes()] == ["light", "prefers-color-scheme: dark", "print"]


@pytest.mark.parametrize(("words", "ground"), PAIRS)
def test_words_are_readable_on_their_ground(words, ground):
    for name, colours in schemes().items():
        assert contrast(colours[words], colours[ground]) >= AA, name


@pytest.mark.parametrize("said", SAID)
def test_every_status_is_marked_in_a_way_that_the_style_knows(said):
    html = marks.marked(f"{said} (a < b)")
    kind = re.fullmatch(rf'<span class="mark (\w+)">{said}</span> \(a &lt; b\)', html)[1]
    assert f".mark.{kind} {{" in STYLE and f".mark.{kind}:not(.count)::before" in STYLE


def test_what_is_no_status_has_no_mark():
    assert marks.marked("–") == "–" and marks.marked("<i>") == "&lt;i&gt;"


def test_of_markdown_links_alone_are_obeyed():
    told = marks.linked("[Table 1](table1.ipynb) <b> [x](javascript:alert)")
    assert told.startswith('<a href="table1.ipynb">Table 1</a> &lt;b&gt;')
    assert told.count("<a ") == 1


def test_of_a_table_one_column_is_marked_and_all_else_is_text():
    frame = pd.DataFrame({"what": ["<i>"], "met": ["**missed**"]})
    html = marks.table(frame, "met").to_html()
    assert "&lt;i&gt;" in html and '<span class="mark against">missed</span>' in html
