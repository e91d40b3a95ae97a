import re

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from p2s.report import front, site, verdicts
from p2s.report.ledger import Ledger
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT, fakes

README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def study():
    return Study.load(Project.at(ROOT), "desk")


@pytest.fixture(scope="module")
def table(study):
    text = front.filled(study, README)
    return text[text.index(front.BEGIN) : text.index(front.END)]


def test_the_readme_holds_the_table_that_the_records_make(table):
    assert table in README


def test_every_question_is_answered_by_contrasts_that_exist(table):
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(front.LINES) + len(front.QUANTITIES) <= 12
    assert all(len(row) == 4 for row in rows)
    assert all(row[2].startswith("–: untested") == row[2].startswith("–") for row in rows)
    words = "|".join(("untested", *verdicts.VERDICTS))
    assert all(re.search(words, row[2]) for row in rows)


def test_every_answer_links_to_a_page_that_exists(table):
    links = dict(re.findall(r"^\[(.+)\]: (.+)$", table, re.MULTILINE))
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert {name for row in rows for name in re.findall(r"\[(.+?)\]", row)} == links.keys()
    assert all((ROOT / address).exists() for address in links.values())


def test_an_answer_is_the_line_of_its_table(table):
    effects = (ROOT / "results/tables/table5.md").read_text()
    [(value, verdict)] = re.findall(r"help CenterNet\? \| \+0\.8 \| ([^|:]+): ([a-z ]+) \|", table)
    assert re.search(rf"{re.escape(value)}, images [^|]+: {verdict} +\|", effects)


def test_text_without_markers_is_an_error():
    with pytest.raises(ValueError, match=r"README.md: no markers <!-- results -->"):
        front.filled(Study.load(Project.at(ROOT), "desk"), README.replace(front.BEGIN, ""))


def test_an_edited_answer_drifts_until_it_is_made_anew(tmp_path):
    project = fakes.project(tmp_path)
    (tmp_path / "README.md").write_text(README)  # of records that this project does not have
    assert site._stale_readme(project) == ["README.md"]
    site.regenerate(project)
    assert site._stale_readme(project) == []


def test_the_board_has_the_lines_of_the_readme(study, table):
    board = BeautifulSoup(front.board(study).to_html(), "html.parser")
    lines = [[cell.get_text(";") for cell in line.find_all("td")] for line in board.tbody("tr")]
    told = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    for (question, paper, here, claim, _), row in zip(lines, told, strict=True):
        assert row[:2] == [f"| {question}", paper] and row[2].startswith(f"{here}: ")
        parts = [part.strip() for part in claim.split(";")]  # in brackets: why there is no more
        assert all(part in row[2] for part in parts if not part.startswith("("))
    assert all((ROOT / "notebooks" / a["href"]).exists() for a in board("a"))


def test_the_map_and_its_sentence_count_the_claims_of_the_ledger(tmp_path):
    ledger = Ledger.at(str(fakes.project(tmp_path).root))
    html = BeautifulSoup(front.claimed(ledger).to_html(), "html.parser")
    shown = [[cell.text for cell in line("td")][1:] for line in html.tbody("tr")]
    assert shown == ledger.counts().to_numpy().tolist()
    assert all(cell.span["class"][:2] == ["mark", kind] for cell, kind in _kinds(html))
    tested = (ledger.statuses.notna() & (ledger.statuses != "untested")).any(axis=1).sum()
    assert front.summary(ledger).startswith(f"**{tested} of {len(ledger.statuses)} claims**")


def _kinds(html):
    """The counts of a map, and the kind of their line."""
    for line in html.tbody("tr"):
        head, *cells = line("td")
        yield from ((cell, head.span["class"][1]) for cell in cells if cell.span)


def test_several_differences_tell_the_ends_of_all_that_were_measured():
    columns = ["mean", "seeds", "verdict"]
    lines = [(40.0, 3, "not started"), (1.0, 3, "holds"), (2.0, 3, "holds"), (np.nan, 0, "–")]
    here, told = front._measured(pd.DataFrame(lines, columns=columns))
    assert here == "+1.0 to +40.0"
    assert told == ("holds (2 of 4)", "not started (1 of 4)", "untested (1 of 4)")
