"""Alternative texts: of pictures in rendered pages, and of images in Markdown."""

import re

import nbformat
import pytest
from bs4 import BeautifulSoup
from IPython.core.formatters import DisplayFormatter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from p2s.report import pages, style
from p2s.report.menu import Entry
from tests.support import ROOT

NO_NAME = re.compile(r"^\s*$|\.(svg|png|jpe?g)$|^figure$", re.IGNORECASE)
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]


def shown(picture):
    """A cell's output that shows a picture, as Jupyter stores it."""
    data, metadata = DisplayFormatter().format(picture, include=[picture.mime])
    return new_code_cell("1", outputs=[new_output("display_data", data, metadata=metadata)])


def alternatives(*cells):
    """The alternative texts of a rendered page."""
    front = Entry("index.html", "Front", "Front")
    html = pages.html(new_notebook(cells=list(cells)), front, [front])
    images = BeautifulSoup(html, "html.parser").main.find_all(["img", "svg"])
    return [image.get("alt") or image.get("aria-label") for image in images]


def picture(kind, said):
    made = kind(figsize=(1, 1))
    made.text(0.5, 0.5, "a")
    made.alt = said
    return made


@pytest.mark.parametrize("kind", [style.Picture, style.Photographs])
def test_a_page_says_what_a_picture_says(kind):
    said = 'AP 4 ± 1 & "more" < 5'
    assert alternatives(new_markdown_cell("# A"), shown(picture(kind, said))) == [said]


def test_another_picture_is_told_by_the_prose_above_it():
    plain = new_output("display_data", {"image/png": "aaaa"})
    cells = new_code_cell("1", outputs=[plain]), new_markdown_cell("# A\n\nLosses of `x`.")
    assert alternatives(*cells) == ["Front"]
    assert alternatives(*cells[::-1]) == ["Losses of x."]
    assert alternatives(new_markdown_cell("## Speed"), cells[0]) == ["Speed"]


def test_every_picture_of_a_page_has_a_text_that_is_no_file_name():
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        for cell in cells:
            if cell.cell_type == "code":
                cell.outputs = [new_output("display_data", {"image/svg+xml": "<svg/>"})]
        texts = alternatives(*cells)
        assert texts and not any(NO_NAME.search(text or "") for text in texts), path.name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_images_in_markdown_have_a_text_that_is_no_file_name(path):
    images = re.findall(r"!\[(.*?)\]\(", path.read_text(encoding="utf-8"))
    assert not any(NO_NAME.search(text) for text in images)


def test_a_picture_that_says_nothing_has_no_title():
    assert b"<title>" not in picture(style.Picture, "").content()
    assert b"<title>b</title>" in picture(style.Picture, "b").content()
