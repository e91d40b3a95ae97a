"""Every notebook in a kernel of its own: by papermill at scale smoke, and as JupyterLab runs it.

It takes minutes, so its name hides it from `make test`; `make notebooks` asks for it.
"""

import nbformat
import pytest
from nbclient import NotebookClient
from papermill import inspect_notebook

from p2s.study.project import Project
from p2s.study.runner import run_notebook
from tests.support import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# For the notebooks that have such a parameter.
SMOKE = {"scale": "smoke", "committed": "smoke", "iterations": 4}
CELL_S = 600  # seconds that a cell may take

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


@every_notebook
def test_papermill_runs_a_notebook_at_scale_smoke(path, tmp_path):
    values = {name: SMOKE[name] for name in SMOKE.keys() & inspect_notebook(path).keys()}
    problem = run_notebook(Project.at(ROOT), path, tmp_path / path.name, values, timeout=CELL_S)
    assert not problem


@every_notebook
def test_a_notebook_runs_as_it_stands_from_its_own_folder(path):
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.parent)}}  # as JupyterLab starts its kernels
    NotebookClient(notebook, timeout=CELL_S, kernel_name="python3", resources=where).execute()
