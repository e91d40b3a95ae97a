"""A published folder: the same bytes again, no page left over, nothing that breaks a rule."""

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from p2s.report import site
from p2s.report.publishing import folder, rules
from tests.report.publishing.test_pictures import png
from tests.report.test_site import with_notebooks


@pytest.fixture
def project(tmp_path):
    """A project of two pages that have been rendered."""
    project = with_notebooks(tmp_path, report="1", table5="2")
    execute(project)
    return project


def execute(project, said="a", pixels=40):
    """What running the notebooks leaves: a table by pandas, a picture, messages of the moment."""
    for sheet in site.sheets(project):
        table = pd.DataFrame({"x": [1]}).style.hide().to_html()  # named by chance
        noise = np.random.default_rng(0).integers(0, 255, (pixels, pixels, 3), np.uint8)
        outputs = [new_output("display_data", {"text/html": table})]
        outputs += [new_output("display_data", {"image/png": png(noise)})]
        outputs += [new_output("stream", name="stderr", text=f"{id(table)} s")]
        heading = f"# {sheet.notebook.stem}\n\n{said}"
        cells = [new_markdown_cell(heading), new_code_cell("1", outputs=outputs)]
        made = sheet.executed(project)
        made.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(new_notebook(cells=cells), made)


def files(project):
    return {path.name: path.read_bytes() for path in (project.root / "docs/report").iterdir()}


def test_run_again_it_makes_the_same_bytes(project):
    index = folder.publish(project)
    assert index == project.root / "docs" / "report" / "index.html"
    first = files(project)
    assert first.keys() == {"index.html", "table5.html"}
    assert b"data:image/jpeg" in first["table5.html"] and b" s</pre>" not in first["table5.html"]
    execute(project)
    folder.publish(project)
    assert files(project) == first
    assert folder.published(project).keys() == first.keys()


def test_a_page_that_is_no_more_goes_and_another_file_stays(project):
    folder.publish(project)
    for name in ("old.html", "CNAME"):
        (project.root / "docs" / "report" / name).write_text("a")
    folder.publish(project)
    assert files(project).keys() == {"index.html", "table5.html", "CNAME"}


def test_what_breaks_a_rule_is_told_and_nothing_is_written(project):
    folder.publish(project)
    before = files(project)
    execute(project, said=f"[a]({project.root}/secret.html)")
    with pytest.raises(ValueError, match="index.html: .*secret.html leads nowhere"):
        folder.publish(project)
    assert files(project) == before


def test_pictures_are_as_large_as_the_whole_may_be(project, monkeypatch):
    execute(project, pixels=500)
    folder.publish(project)
    large = sum(map(len, files(project).values()))
    monkeypatch.setattr(rules, "MOST", large - 1)
    folder.publish(project)
    assert sum(map(len, files(project).values())) < 0.9 * large
    monkeypatch.setattr(rules, "MOST", 10_000)
    with pytest.raises(ValueError, match=r"all pages: \d+ bytes \(valid: at most 10000\)"):
        folder.publish(project)
