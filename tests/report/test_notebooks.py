"""Every notebook runs in seconds on invented records, and is as short as the house rules ask."""

import ast
import re

import nbformat
import pytest

from p2s.report import notebook
from p2s.report.intervals import RULE
from p2s.report.notebook import Page
from p2s.report.products import bullets
from p2s.report.style import Picture
from p2s.report.tables import ablation as tables
from p2s.study.project import TRAIN_EVAL
from tests.support import ROOT, fakes

NOTEBOOKS = fakes.ROOT / "notebooks"
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
TABLES = [name for name in NAMES if name.startswith("table")] + ["federated"]
SMALL = {  # parameters by notebook
    "table5": {"described": 5},
    "00_quickstart": {"iterations": 4},
    "01_bounds": {"grid": 21},
}
WRONG = {"str": [5], "int": [-1, True, "1", 1.5], "float": [-0.5, True, "x"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = fakes.project(tmp_path_factory.mktemp("project"))
    fakes.fill(project, leave_out=("all scores", "scores above .05 with double fragments"))
    return project


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A project without any record."""
    return fakes.project(tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize("name", [name for name in NAMES if name != TRAIN_EVAL.stem])
@pytest.mark.parametrize("records", ["project", "empty"])
def test_a_notebook_runs_on_records_and_without_any(request, name, records, monkeypatch):
    monkeypatch.delenv("P2S_CACHE", raising=False)  # the caches are those of the projects
    root = request.getfixturevalue(records).root
    names = {"__name__": "notebook"}
    for cell in _code(name):
        exec(cell.source, names)
        if "parameters" in cell.metadata.get("tags", []):
            names |= {"root": str(root), **SMALL.get(name, {})}


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_refuses_wrong_parameters_before_its_work(empty, name, monkeypatch):
    monkeypatch.delenv("P2S_CACHE", raising=False)
    parameters, *first = [cell.source for cell in _code(name)[:4]]
    names = {"__name__": "notebook"}
    exec(parameters, names)
    declared = {line.target.id: line.annotation.id for line in ast.parse(parameters).body}
    for parameter, kind in declared.items():
        for value in WRONG[kind]:
            given = {**names, "root": str(empty.root), parameter: value}
            with pytest.raises(ValueError, match=rf"^.*{value!r}.*valid.*$") as error:
                exec("\n".join(first), given)
            assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_short_cells_under_prose_without_outputs(name):
    cells, code = _cells(name), _code(name)
    assert len(code) <= (6 if name in TABLES else 15)
    assert all(len(cell.source.splitlines()) <= 10 for cell in code)
    assert not any(re.search(r"^\s*(def|class) ", cell.source, re.MULTILINE) for cell in code)
    assert not any(cell.outputs or cell.execution_count for cell in code)
    before = {
        cell.cell_type for cell, after in zip(cells, cells[1:], strict=False) if after in code
    }
    assert before == {"markdown"}


@pytest.mark.parametrize("name", NAMES)
def test_lines_fit_a_screen_and_links_lead_to_notebooks(name):
    prose = "\n".join(cell.source for cell in _cells(name) if cell.cell_type == "markdown")
    assert max(map(len, prose.splitlines())) <= 120
    assert {*re.findall(r"\((\w+)\.ipynb\)", prose)} <= {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_papermill_tells_type_and_help_of_every_parameter(name):
    from papermill import inspect_notebook  # takes seconds to import

    told = inspect_notebook(NOTEBOOKS / f"{name}.ipynb")
    [cell] = [cell for cell in _code(name) if "parameters" in cell.metadata.get("tags", [])]
    assert told.keys() == {line.target.id for line in ast.parse(cell.source).body}
    for parameter in told.values():
        assert (
            type(ast.literal_eval(parameter["default"])).__name__
            == (parameter["inferred_type_name"])
        )
        assert parameter["help"]


@pytest.fixture
def shown(monkeypatch):
    """All that a Page displays, in order."""
    objects = []
    monkeypatch.setattr(notebook, "display", lambda *parts: objects.extend(parts))
    return objects


@pytest.fixture
def page(project, monkeypatch):
    monkeypatch.delenv("P2S_CACHE", raising=False)
    return Page.of(str(project.root / "notebooks"), "desk", "table5")


def test_a_page_states_claim_and_rule_and_the_verdicts_of_the_first_variant(page, shown):
    page.question()
    experiment = page.results.experiment
    assert all(part in shown[0].data for part in (experiment.question, experiment.claim))
    assert shown[1].data == RULE and shown[1].metadata["fold"]
    page.answer()
    first = page.effects[page.effects["variant"] == "scores above .05"]
    assert shown[-1].data == bullets(tables.words(first)) and "holds" in shown[-1].data


def test_a_page_begins_with_two_sentences_then_rows_then_a_picture(page, shown):
    page.summary()
    words, claim, _, rows, picture, rule = shown
    assert words.data.count(".** ") == 1 and page.results.experiment.claim in claim.data
    assert [*rows.data["row"].unique()] == page.results.rows
    assert isinstance(picture, Picture) and rule.data == RULE


def test_committed_is_the_scale_of_the_committed_tables(project):
    assert Page.of(str(project.root), "committed", "table5").study.scale == "desk"
    assert Page.of(str(ROOT), "committed", "gate").study.scale == "gated"


def test_a_table_of_more_metrics_than_rows_has_a_line_for_each_metric(page, shown):
    for name, down in (("table1", False), ("table9", True)):
        results = Page(page.study, name).results
        Page(page.study, name).others(results.runs[0].variant)
        grid = shown[-1].T if down else shown[-1]
        assert list(grid.index) == results.rows and grid.equals(tables.beside(results.main))


def test_what_was_not_measured_is_told_with_its_command(page, shown):
    page.runtimes()
    page.runtimes("classes")
    told = [part.data for part in shown if "Not measured" in part.data]
    assert [re.search("`(.+)`", text)[1] for text in told] == [
        "p2s bench rows table5",
        "p2s bench classes",
    ]


def _cells(name):
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells


def _code(name):
    return [cell for cell in _cells(name) if cell.cell_type == "code"]
