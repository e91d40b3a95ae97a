import re
import shutil

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from p2s.report import results as of_records
from p2s.report import site
from p2s.study import experiments
from p2s.study.study import Study
from tests.support import fakes


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = fakes.project(tmp_path_factory.mktemp("project"))
    fakes.fill(project, leave_out=("all scores", "scores above .05 with double fragments"))
    site.regenerate(project)
    return project


def test_tables_and_figures_are_written_for_every_experiment_with_records(project):
    made = [*(project.root / "results").glob("tables/*")]
    made += (project.root / "results").glob("figures/*")
    names = {path.name for path in made}
    endings = (".csv", "_effects.csv", ".md", ".svg", "_curves.svg", "_scenes.png")
    # cells of Table 5 stand in Tables 1 and 6 too, those of Table 9 in Table 7 and `federated`
    large = {"table7", "table9", "federated"}
    tables = {name + end for name in {"table1", "table5", "table6"} | large for end in endings}
    tables |= {f"{name}_groups.svg" for name in large}
    tables -= {"table6_scenes.png", "federated_scenes.png"}  # whose examples have no record
    assert names == tables | {"figure2.svg", "figure3.png"}


def test_the_markdown_table_says_scale_seeds_interval_and_the_papers_value(project):
    text = (project.root / "results" / "tables" / "table5.md").read_text()
    assert re.search(r"desk, scores above .05 +\| \d+\.\d ± \d+\.\d \(3\)", text)
    assert re.search(r"the paper +\| 42\.1 ", text)


def test_photographs_need_their_records_alone_and_have_no_scenes(tmp_path):
    project = fakes.project(tmp_path)
    shutil.copytree(fakes.ROOT / "results/runs/photographs", project.records("photographs"))
    scale = of_records.committed_scale(Study.load(project, "desk"), "photographs")
    values = fakes.results(project, "photographs", scale).of("AP")["value"]
    assert len(values) and values.notna().all()
    made = {path.name: path for path in site.regenerate(project)}
    kept = {path.name: path for path in (fakes.ROOT / "results").glob("[tf]*/photographs*")}
    assert made.keys() == kept.keys() and "photographs_scenes.png" not in kept
    assert "results/runs/photographs by" in made["photographs.md"].read_text()


def test_nothing_drifts_but_what_is_edited_or_left_over(project):
    table = project.root / "results" / "tables" / "table5.csv"
    table.write_text(table.read_text().replace("42.90", "43.90"))
    shutil.copy(table, table.with_name("old.csv"))
    assert site.drift(project) == ["tables/old.csv", "tables/table5.csv"]


def test_without_records_there_is_nothing(tmp_path):
    assert site.regenerate(fakes.project(tmp_path)) == []


def test_a_failing_notebook_is_named_and_all_pages_are_written(tmp_path):
    code = {"report": "print(6 * 7)", "broken": "1 / 0", "table5": "import os; os._exit(1)"}
    project = with_notebooks(tmp_path, **code, train_eval="never")
    with pytest.raises(ValueError, match="table5.ipynb: DeadK.*; broken.ipynb: cell 1: ZeroD"):
        site.render(project)
    pages = {path.name: path.read_text() for path in (tmp_path / "results/report").iterdir()}
    assert pages.keys() == {"index.html", "broken.html", "table5.html"}
    assert "42" in pages["index.html"] and "ZeroDivisionError" in pages["broken.html"]
    bar = re.findall("The (report|table5|broken)</a>", pages["index.html"])
    assert bar == ["report", "table5", "broken"]


@pytest.mark.parametrize("silent", [1, 2])
def test_a_page_whose_kernel_goes_silent_is_run_once_more(tmp_path, monkeypatch, silent):
    monkeypatch.setattr(site, "CELL_S", 3)
    code = "import pathlib, time\nturns = pathlib.Path('turns')\n"
    code += "turns.write_text(turns.read_text() + '.')\n"
    code += f"time.sleep(60 * (len(turns.read_text()) <= {silent}))"
    project = with_notebooks(tmp_path, report=code, table5="")
    (tmp_path / "turns").write_text("")
    if silent == 1:
        assert site.render(project).exists()
    else:
        with pytest.raises(ValueError, match="report.ipynb: CellTimeoutError"):
            site.render(project)
    assert (tmp_path / "turns").read_text() == ".."


def test_rendering_tells_a_line_a_page_as_it_is_written(tmp_path, capsys):
    site.render(with_notebooks(tmp_path, report="1", table5="2"))
    first, *told = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\d+ tables and figures, \d+ s", first)
    assert [line.split(",")[0] for line in told] == ["page index.html", "page table5.html"]


def test_pictures_reach_the_page_whatever_the_backend_outside(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    plot = "import pandas\npandas.Series([1, 2]).plot()"
    project = with_notebooks(tmp_path, report=plot, table5="")
    assert "data:image/png" in site.render(project).read_text()


def test_the_notebook_of_every_experiment_must_be_there(tmp_path):
    with pytest.raises(ValueError, match="unknown notebook 'table5.ipynb'; valid: report.ipynb"):
        site.render(with_notebooks(tmp_path, report=""))


def with_notebooks(folder, **code):
    """A project of Table 5 and these notebooks alone, each one heading and one cell."""
    project = fakes.project(folder)
    for table in set(experiments.experiment_names(project)) - {"table5"}:
        (project.experiments / f"{table}.yaml").unlink()
    shutil.rmtree(folder / "notebooks")
    (folder / "notebooks").mkdir()
    for name, source in code.items():
        cells = [new_markdown_cell(f"# The {name}"), new_code_cell(source)]
        nbformat.write(new_notebook(cells=cells), folder / "notebooks" / f"{name}.ipynb")
    return project
