"""What a reader's browser makes of the pages: they load whole, fit a phone, sort, and print."""

import re
import shutil

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_output

from p2s.report import front, menu, pages, printing
from p2s.report.style import Picture
from p2s.report.tables import ablation, summary
from p2s.study.project import TRAIN_EVAL
from p2s.study.study import Study
from tests.report.browser import DESKTOP, PHONE, browser
from tests.support import ROOT, fakes

needs_chromium = pytest.mark.skipif(
    not printing.chromium(), reason=f"no Chromium here: {', '.join(printing.NAMES)}"
)
STEMS = sorted(path.stem for path in ROOT.glob("notebooks/*.ipynb") if path.stem != TRAIN_EVAL.stem)
BROKEN = "[...document.images].filter(i => !(i.complete && i.naturalWidth && i.alt)).length"
SHOWN = """[...document.querySelectorAll('.rows tbody tr')].filter(row => row.offsetParent)
.map(row => row.cells[{}].textContent)"""
CLICK = "[...document.querySelectorAll('.rows th button')].find(b => b.textContent == '{}').click()"
TYPE = """var field = document.querySelector('input'); field.value = '{}';
field.dispatchEvent(new Event('input'))"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The folder of a report of every notebook, each with the widest of what pages hold."""
    project = fakes.project(tmp_path_factory.mktemp("project"))
    fakes.fill(project)
    main = fakes.results(project, "table5").main
    wide, picture = pd.DataFrame([["a long word " * 3] * 30]), Picture(figsize=(14, 2))
    picture.alt = "Nothing"
    data = [
        {"text/html": front.board(Study.load(project, "desk")).to_html()},
        {"text/html": summary.readable(main, ablation.effects(main)).to_html()},
        {"text/html": wide.to_html()},
        {"text/markdown": f"a\n\n{wide.to_markdown()}\n\n$${'x+' * 90}x$$\n\n`{'code_' * 40}`"},
        {"image/svg+xml": picture.content().decode()},
        {"text/plain": "a long line " * 40},
    ]
    return written(project, [new_output("display_data", one) for one in data])


def written(project, outputs):
    folder = project.root / "results" / "report"
    folder.mkdir()
    every = menu.entries([project.root / "notebooks" / f"{stem}.ipynb" for stem in STEMS])
    for path, entry in every.items():
        notebook = nbformat.read(path, as_version=4)
        notebook.cells.append(new_code_cell("pass  # " + "a long line " * 20, outputs=outputs))
        text = pages.html(notebook, entry, [*every.values()])
        (folder / entry.address).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("stem", STEMS)
def test_all_links_resolve(report, stem):
    text = (report / menu.address(stem)).read_text()
    identifiers = {*re.findall(r'id="([^"]+)"', text)}
    links = {*re.findall(r'href="([^"]+)"', text)}
    for link in {link for link in links if not link.startswith("https://")}:
        path, _, place = link.partition("#")
        assert (report / path).is_file() if path else place in identifiers, link
        if path and place:
            assert f'id="{place}"' in (report / path).read_text(), link
    assert any(link.startswith("../../results/runs/desk/") for link in links)


@needs_chromium
@pytest.mark.parametrize("stem", STEMS)
def test_a_page_loads_whole_asks_for_nothing_else_and_fits_a_phone(report, tab, stem):
    url = (report / menu.address(stem)).as_uri()
    tab.open(url, PHONE)
    assert tab.run("document.documentElement.scrollWidth") == PHONE
    assert tab.run("document.images.length") and tab.run(BROKEN) == 0
    asked = {request["request"]["url"] for request in tab.events("Network.requestWillBeSent")}
    assert {one for one in asked if not one.startswith("data:")} == {url}
    told = [*tab.events("Log.entryAdded"), *tab.events("Runtime.exceptionThrown")]
    assert told + tab.events("Runtime.consoleAPICalled") == []


@needs_chromium
def test_the_list_is_at_the_side_and_folds_on_a_phone(report, tab):
    seen = "document.querySelector('nav.{} a[aria-current]').checkVisibility()"
    url = (report / "table5.html").as_uri()
    tab.open(url, DESKTOP)
    assert (tab.run(seen.format("side")), tab.run(seen.format("top"))) == (True, False)
    tab.open(url, PHONE)
    assert (tab.run(seen.format("side")), tab.run(seen.format("top"))) == (False, False)
    tab.run("document.querySelector('nav.top summary').click()")
    assert tab.run(seen.format("top"))


@needs_chromium
def test_dark_is_followed(report, tab):
    grounds = set()
    for scheme in ("light", "dark"):
        tab.open((report / "index.html").as_uri(), DESKTOP, scheme)
        grounds.add(tab.run("getComputedStyle(document.body).backgroundColor"))
    assert grounds == {"rgb(255, 255, 255)", "rgb(13, 17, 23)"}


@needs_chromium
def test_a_table_sorts_by_numbers_with_dashes_last_and_filters_by_words(report, tab):
    tab.open((report / "table5.html").as_uri())
    tab.run(CLICK.format("difference"))
    falling = tab.run(SHOWN.format(4))
    tab.run(CLICK.format("difference"))
    rising = tab.run(SHOWN.format(4))
    numbers = [float(one.replace("−", "-")) for one in rising if one != "–"]
    assert numbers == sorted(numbers) and len({*numbers}) > 1
    known = len(numbers)
    assert falling[:known] == rising[:known][::-1] and {*falling[known:], *rising[known:]} == {"–"}


@needs_chromium
def test_columns_of_words_stand_to_the_left_and_numbers_to_the_right(report, tab):
    tab.open((report / "table5.html").as_uri())
    row = "[...document.querySelector('.rows tbody tr').cells].map(c => c.matches('.words'))"
    named = dict(zip(summary.COLUMNS, tab.run(row), strict=True))
    assert {name for name, words in named.items() if words} == {
        *("row", "what is compared", "verdict", "records")
    }


@needs_chromium
def test_a_long_table_shows_the_rows_that_hold_all_words_typed(report, tab):
    tab.open((report / "index.html").as_uri())
    asked = "[...document.querySelectorAll('.board tbody tr')].filter(r => r.offsetParent).length"
    assert tab.run(asked) == len(front.LINES) + len(front.QUANTITIES)
    tab.run(TYPE.format("RPN product"))
    assert tab.run(asked) == 1


@needs_chromium
def test_all_pages_print_as_one_pdf(report, tmp_path):
    for name in ("index.html", "table5.html"):
        shutil.copy(report / name, tmp_path)
    printed = printing.pdf(tmp_path / "index.html")
    assert printed == tmp_path / "report.pdf" and printed.read_bytes().startswith(b"%PDF")
    assert {path.name for path in tmp_path.iterdir()} == {
        *("index.html", "table5.html", "report.pdf")
    }


def test_the_whole_has_every_page_once_in_order_and_leads_nowhere_else(report):
    text = printing.whole(report / "index.html")
    order = re.findall(r'<article id="([\w-]+)">', text)
    assert order[:3] == ["index", "claims", "examined"] and len(order) == len(STEMS)
    links = {*re.findall(r'href="([^"]+)"', text)}
    assert {"#table5", "#claims"} <= links and all(
        link.startswith(("https://", "#")) for link in links
    )


def test_ids_of_tables_and_links_to_places_stay_apart_in_the_whole(tmp_path):
    (tmp_path / "index.html").write_text(
        '<head></head><body><ul><li><a href="index.html"><li><a href="b.html"></ul>'
        '<main><b id="T_1"></b><a href="b.html#x">x</a><a href="b.html">b</a></main></body>'
    )
    (tmp_path / "b.html").write_text('<main><style>#T_1 {}</style><b id="T_1"></b></main>')
    text = printing.whole(tmp_path / "index.html")
    assert 'href="#x"' in text and 'href="#b"' in text
    assert text.count("T_index_1") == 1 and text.count("T_b_1") == 2


def test_a_chromium_that_does_not_end_is_a_line(monkeypatch, tmp_path):
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\nsleep 60\n")
    program.chmod(0o755)
    (tmp_path / "index.html").write_text("<body><main></main></body>")
    monkeypatch.setattr(printing, "chromium", lambda: [str(program)])
    monkeypatch.setattr(printing, "LIMIT_S", 0.1)
    with pytest.raises(ValueError, match="chromium: no PDF within 0.1 s"):
        printing.pdf(tmp_path / "index.html")


def test_without_chromium_no_pdf_is_begun(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"a PDF needs Chromium \(valid: one of chromium, "):
        printing.pdf(tmp_path / "index.html")
