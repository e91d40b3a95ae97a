"""SVG in fewer bytes shows what it showed."""

import io
import re
import xml.etree.ElementTree as xml
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from p2s.report import pages, printing
from p2s.report.figures.vectors import minified
from p2s.report.style import Picture
from tests.report.browser import browser
from tests.support import ROOT

needs_chromium = pytest.mark.skipif(
    not printing.chromium(), reason=f"no Chromium here: {', '.join(printing.NAMES)}"
)
KEPT = sorted((ROOT / "results" / "figures").glob("table5*.svg"))
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="{}"/></svg>'
NUMBER = r"-?(?:\d+\.?\d*|\.\d+)"
coordinate = st.floats(-500, 500).map(lambda value: round(value, 6))
places = st.lists(st.tuples(coordinate, coordinate), min_size=2, max_size=5)


def walked(path):
    """The places that a path of steps leads to, by the letters' rules of SVG."""
    at, start, reached = np.zeros(2), np.zeros(2), []
    for letter, text in re.findall("([mlqcz])([^mlqcz]*)", path):
        steps = np.array(re.findall(NUMBER, text), float).reshape(-1, 2)
        reached += [at + step for step in steps]  # all of a curve's are from where it begins
        at = reached[-1] if len(steps) else start
        start = at if letter == "m" else start
    return np.array(reached)


@given(st.lists(places, min_size=1, max_size=3), st.booleans())
def test_a_path_leads_to_the_same_places(parts, closed):
    lines = [
        " \n".join(f"{'ML'[k > 0]} {x} {y}" for k, (x, y) in enumerate(part)) for part in parts
    ]
    path = (" \nz\n" if closed else " \n").join(lines)
    [made] = re.findall(r' d="([^"]+)"', minified(SVG.format(path)))
    assert np.abs(walked(made) - np.concatenate(parts)).max() <= 0.051


def test_curves_step_from_where_they_begin():
    path = "M 10 10 \nQ 11.5 12 13 14 \nC 13.5 14 15 16 17 18 \nL 16 18 \nz\nM 1 1 \nL 2 2"
    made = minified(SVG.format(path))
    assert 'd="m10 10q1.5 2 3 4c.5 0 2 2 4 4l-1 0zm-9-9l1 1"' in made


@pytest.mark.parametrize("path", ["M 1 1 A 2 2 0 0 1 3 3", "m 1.25 1 l 2 2", "M 1 1 H 2.125"])
def test_a_path_of_other_letters_stays(path):
    letters = re.sub(r"[\d.\s]", "", path)
    assert letters == re.sub(
        r"[\d.\s]", "", re.findall(' d="(.+?)"', minified(SVG.format(path)))[0]
    )


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_picture_has_about_half_of_its_bytes_and_every_name_that_it_uses(path):
    svg = path.read_text()
    made = minified(svg)
    assert len(made) < 0.52 * len(svg) and minified(made) == made
    elements = [*xml.fromstring(made).iter()]
    names = {element.get("id") for element in elements} - {None}
    used = {*re.findall(r"#(n\d+)", made)}
    assert names == used and used
    count = len([*xml.fromstring(svg).iter()])
    assert len(elements) > 0.8 * count  # all that is drawn


@needs_chromium
def test_it_looks_the_same(tmp_path):
    path = KEPT[-1]  # words, lines, and thousands of places
    (tmp_path / "small.svg").write_text(minified(path.read_text()))
    with browser(tmp_path / "profile") as tab:
        seen = []
        for one in (path, tmp_path / "small.svg"):
            tab.open(one.as_uri())
            shown = Image.open(io.BytesIO(tab.picture(whole=False))).convert("L")
            seen.append(np.asarray(shown, float))
    difference = np.abs(seen[0] - seen[1])
    assert (seen[0] < 128).mean() > 0.003 and difference.mean() < 0.3
    assert (difference > 64).mean() < 1e-4


@pytest.mark.parametrize("said", ["a 'b'", 'a "b" % # &'])
def test_a_page_holds_a_picture_as_text(said):
    picture = Picture(figsize=(1, 1))
    picture.text(0.5, 0.5, said)
    address = pages.vector(picture.content().decode())
    assert not {'"', "#", "<", "&"} & {*address}
    scheme, _, svg = address.partition(",")
    assert scheme == "data:image/svg+xml" and xml.fromstring(unquote(svg)).tag.endswith("svg")
