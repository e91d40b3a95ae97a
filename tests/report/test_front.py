import re

import pytest

from p2s.report import front, site
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT, fakes

README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def table():
    text = front.filled(Study.load(Project.at(ROOT), "desk"), README)
    return text[text.index(front.BEGIN) : text.index(front.END)]


def test_the_readme_holds_the_table_that_the_records_make(table):
    assert table in README


def test_every_question_is_answered_by_contrasts_that_exist(table):
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(front.LINES) + 3
    assert all(len(row) == 4 and "–" not in row[2] for row in rows)
    verdicts = r"holds|does not hold|undecided|not started"
    assert all(re.search(verdicts, row[2]) for row in rows)


def test_every_answer_links_to_a_page_that_exists(table):
    links = dict(re.findall(r"^\[(.+)\]: (.+)$", table, re.MULTILINE))
    assert {name for name in re.findall(r"\| \[(.+)\] \|", table)} == links.keys()
    assert all((ROOT / address).exists() for address in links.values())


def test_an_answer_is_the_line_of_its_table(table):
    effects = (ROOT / "results/tables/table5.md").read_text()
    [answer] = re.findall(r"help CenterNet\? \| \+0\.8 \| ([^|:]+): ([a-z ]+) \|", table)
    assert ": ".join(answer) in effects


def test_text_without_markers_is_an_error():
    with pytest.raises(ValueError, match=r"README.md: no markers <!-- results -->"):
        front.filled(Study.load(Project.at(ROOT), "desk"), README.replace(front.BEGIN, ""))


def test_an_edited_answer_drifts_until_it_is_made_anew(tmp_path):
    project = fakes.project(tmp_path)
    (tmp_path / "README.md").write_text(README)  # of records that this project does not have
    site.regenerate(project)
    assert "README.md" not in site.drift(project)
    (tmp_path / "README.md").write_text(README)
    assert site.drift(project)[-1] == "README.md"
