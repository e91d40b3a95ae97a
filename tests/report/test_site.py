import csv
import re
import shutil
import subprocess
import sys
from functools import lru_cache
from html import unescape

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from p2s import files
from p2s.report import menu, printing, site
from p2s.report import results as of_records
from p2s.report.ledger import Ledger
from p2s.report.tables.ablation import named
from p2s.study import experiments
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT, fakes

# made of the mathematics too, so of no records as well
CLAIMS = {"claims.csv", "claims.md", "claims_tally.csv"}
COSTS = {"costs.csv", "costs.md"}  # of all records
WITHOUT_DETECTRON2 = """
import sys
sys.modules["detectron2"] = None  # an import of it fails
from p2s.report import site
from p2s.study.project import Project
for path in site.regenerate(Project.at(sys.argv[1])):
    print(path.name)
models = [name for name in sys.modules if name.startswith(("p2s.model", "p2s.measure"))]
assert not models, models
"""


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
    assert names == tables | {"figure2.svg", "figure3.png"} | CLAIMS | COSTS


def test_what_the_records_took_is_the_sum_of_their_seconds(project):
    text = (project.root / "results" / "tables" / "costs.csv").read_text()
    of_desk = next(csv.DictReader(text.splitlines()))
    study = Study.load(project, "desk")
    trained, tested = {}, 0.0
    for record in study.records.values():
        trained[record.training_id] = record.timings.get("train_s", 0)
        tested += record.timings.get("evaluate_s", 0)
    assert of_desk["scale"] == "desk" and int(of_desk["evaluations"]) == len(study.records)
    assert float(of_desk["hours"]) == pytest.approx(
        (sum(trained.values()) + tested) / 3600, abs=0.051
    )


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
    assert made.keys() - CLAIMS - COSTS == kept.keys() and "photographs_scenes.png" not in kept
    assert "results/runs/photographs by" in made["photographs.md"].read_text()


def test_nothing_drifts_but_what_is_edited_or_left_over(project):
    table = project.root / "results" / "tables" / "table5.csv"
    table.write_text(table.read_text().replace("42.90", "43.90"))
    shutil.copy(table, table.with_name("old.csv"))
    assert site.drift(project) == ["tables/old.csv", "tables/table5.csv"]


def test_without_records_there_are_the_claims_alone(tmp_path):
    assert {path.name for path in site.regenerate(fakes.project(tmp_path))} == CLAIMS


def test_a_failing_notebook_is_named_and_all_pages_are_written(tmp_path):
    code = {"report": "print(6 * 7)", "broken": "1 / 0", "table5": "import os; os._exit(1)"}
    project = with_notebooks(tmp_path, **code, train_eval="never")
    with pytest.raises(ValueError, match="table5.ipynb: DeadK.*; broken.ipynb: cell 1: ZeroD"):
        site.render(project)
    pages = {path.name: path.read_text() for path in (tmp_path / "results/report").iterdir()}
    assert pages.keys() == {"index.html", "broken.html", "table5.html"}
    assert "42" in pages["index.html"] and "ZeroDivisionError" in pages["broken.html"]
    bar = re.findall(r'<li><a[^>]* href="(\w+).html"', pages["index.html"])
    assert bar == 2 * ["index", "table5", "broken"]


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


def test_each_claim_that_is_opposite_has_a_page_and_no_other_is_left(tmp_path, monkeypatch):
    def told(_project, notebook, executed, values, timeout):
        """Stands for a run: a page that tells its parameters."""
        cells = [new_markdown_cell(f"# {notebook.stem}"), new_markdown_cell(f"given {values}")]
        executed.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(new_notebook(cells=cells), executed)
        return ""

    project = with_notebooks(tmp_path, report="1", table5="2", examined="3")
    (project.experiments / "claims.yaml").write_text(yaml.safe_dump(claims_of_table5(project)))
    folder = tmp_path / "results" / "report"
    folder.mkdir(parents=True)
    (folder / "examined_old.html").write_text("")
    monkeypatch.setattr(site, "run_notebook", told)
    monkeypatch.setattr(Ledger, "examined", lambda _: ["a-gain"])
    site.render(project)
    names = {f"{one}.html" for one in ("index", "table5", "examined", "examined_a-gain")}
    assert {path.name for path in folder.iterdir()} == names
    assert "given {}" in (folder / "examined.html").read_text()
    assert "given {'claim': 'a-gain'}" in unescape((folder / "examined_a-gain.html").read_text())
    whole = printing.whole(folder / "index.html")
    articles = re.findall(r'<article id="([\w-]+)"', whole)
    assert articles == ["index", "examined", "examined_a-gain", "table5"]


def claims_of_table5(project):
    """One claim, of all that Table 5 claims."""
    contrasts = Study.load(project, "gated").experiments["table5"].contrasts
    names = [named(one) for one in contrasts if one.expects]
    tests = [{"kind": "contrast", "experiment": "table5", "contrast": name} for name in names]
    return {"claims": [{"id": "a-gain", "says": "-", "place": "-", "tests": tests}]}


def with_notebooks(folder, **code):
    """A project of Table 5 and these notebooks alone, each one heading and one cell."""
    project = fakes.project(folder)
    for table in {*experiments.experiment_names(project), "claims"} - {"table5"}:
        (project.experiments / f"{table}.yaml").unlink()
    shutil.rmtree(folder / "notebooks")
    (folder / "notebooks").mkdir()
    for name, source in code.items():
        cells = [new_markdown_cell(f"# The {name}"), new_code_cell(source)]
        nbformat.write(new_notebook(cells=cells), folder / "notebooks" / f"{name}.ipynb")
    return project


def test_the_menu_says_which_pages_have_no_records(project):
    names = {sheet.notebook.stem: sheet.entry.name for sheet in site.sheets(project)}
    short = menu.groups()["Tables"]
    assert names["table5"] == short["table5"]
    assert names["table2"] == f"{short['table2']}, no records"


def test_the_report_is_made_where_detectron2_cannot_be_imported(tmp_path):
    project = fakes.project(tmp_path)
    fakes.fill(project, leave_out=fakes.VARIANTS[1:])
    command = [sys.executable, "-c", WITHOUT_DETECTRON2, str(project.root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert {"table5.svg", "table9.svg", "figure2.svg", "figure3.png"} <= {*done.stdout.split()}


@pytest.mark.parametrize("place", ["README.md", "results/tables/a.md", "index.html"])
def test_a_report_that_is_stopped_in_the_midst_of_a_file_leaves_the_old_one(
    tmp_path, monkeypatch, place
):
    def stop(_):
        raise KeyboardInterrupt

    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("old")
    monkeypatch.setattr(site, "_products", lambda _: [("tables/a.md", b"new")])
    monkeypatch.setattr(site.front, "filled", lambda *_: "new")
    monkeypatch.setattr(site, "_loaded", lru_cache(lambda _: None))
    monkeypatch.setattr(site, "_run", lambda *_: "")
    monkeypatch.setattr(site.nbformat, "read", lambda *_, **__: None)
    monkeypatch.setattr(site.pages, "html", lambda *_: "new")
    monkeypatch.setattr(files.os, "fsync", stop)
    project = Project(tmp_path, tmp_path / "cache")
    sheet = site.Sheet(tmp_path / "a.ipynb", menu.Entry("index.html", "a", "b"))
    with pytest.raises(KeyboardInterrupt):
        if place == sheet.entry.address:
            site._write_page(project, sheet, tmp_path, [])
        site.regenerate(project)
    assert [each.read_text() for each in path.parent.glob("*.*") if each.is_file()] == ["old"]
