"""Texts from outside do nothing in a page, a picture or a table."""

import xml.etree.ElementTree as xml

import nbformat
import pandas as pd
import pytest

from p2s.report import pages
from p2s.report.menu import Entry
from p2s.report.style import Picture
from p2s.report.tables.estimates import csv
from p2s.study.experiments import Experiment
from p2s.study.project import PACKAGE

EVIL = '<script>alert("1")</script><img src=x onerror=alert(1)>'


def page(*cells):
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    this = Entry("a.html", EVIL, EVIL, EVIL)
    return pages.html(notebook, this, [this, Entry('b".html', "B", "B")])


def shown(data, kind="display_data"):
    cell = nbformat.v4.new_code_cell("1")
    cell.outputs = [nbformat.v4.new_output(kind, data=data)]
    return cell


@pytest.mark.parametrize(
    "cell",
    [
        nbformat.v4.new_markdown_cell(f"# a\n\n{EVIL}\n\nb {EVIL} `{EVIL}` [c](javascript:alert)"),
        nbformat.v4.new_code_cell(f"print('{EVIL}')"),
        shown({"text/markdown": EVIL}),
        shown({"text/plain": EVIL}),
        shown({"text/latex": f"${EVIL}$"}),
        shown({"text/html": pd.DataFrame({EVIL: [EVIL]}).to_html()}),
        shown({"text/html": pd.DataFrame({"a": [EVIL]}).style.format(escape="html").to_html()}),
    ],
)
def test_nothing_in_a_page_is_obeyed(cell):
    told = page(cell).replace(f"<script>{pages.SCRIPT}</script>", "", 1)
    assert "<script" not in told and "<img" not in told and "javascript:" not in told
    assert "&lt;script&gt;" in told or "script" not in str(cell.get("source", ""))


def test_the_words_of_a_picture_are_text_in_svg():
    picture = Picture()
    picture.alt = EVIL
    picture.subplots().set(title="<script>a</script>", xlabel="&<>\"'")
    drawn = picture.content().decode()
    tags = {element.tag.rsplit("}")[-1] for element in xml.fromstring(drawn).iter()}
    assert "script" not in tags and "img" not in tags and "title" in tags


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-2+3|' /C calc'!A0", "@SUM(1)", "\t=1", "\n=1", "-a"]
)
def test_no_text_is_a_formula_in_csv(text):
    told = csv(pd.DataFrame({text: [text], "x": [-1.5]}))
    assert pd.read_csv(pd.io.common.StringIO(told)).iloc[0, 0] == f"'{text}"
    assert all(not cell.startswith(tuple("=+@\t")) for cell in told.replace('"', "").split(","))


def test_every_table_of_the_report_goes_out_that_way():
    files = (PACKAGE / "report").rglob("*.py")
    assert [path.name for path in files if ".to_csv(" in path.read_text()] == ["estimates.py"]


def test_numbers_are_left_as_they_are_in_csv():
    frame = pd.DataFrame({"name": ["a", "-1.5", "+2"], "x": [-1.0, 2.0, 0.25], "n": [1, -2, 3]})
    assert csv(frame) == "name,x,n\na,-1.00,1\n-1.5,2.00,-2\n+2,0.25,3\n"


@pytest.mark.parametrize("name", ["../a.ipynb", "/a.ipynb", "a/b.ipynb", "..\\a", "..", "a\0"])
def test_a_page_is_a_notebook_of_the_study(name):
    words = dict.fromkeys(("name", "title", "question", "claim"), "a")
    rows = [{"name": "a", "detector": "CenterNet2"}]
    with pytest.raises(ValueError, match="notebook"):
        Experiment(**words, notebook=name, rows=rows)
