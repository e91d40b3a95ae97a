"""A study whose notebook only writes the record, for tests of how studies run and stop."""

from concurrent.futures import Future

import nbformat
import yaml

from p2s.study import records, status
from p2s.study.project import Project
from p2s.study.runs import Standing
from p2s.study.study import Study, find

SCALE = {"about": "-", "seeds": [0], "minutes_a_training": 60}
SCALE["changes"] = {"data": {"kind": "glyphs", "train": 1, "val": 1}}
SCALE["changes"]["backbone"] = {"norm": "GN", "frozen_stages": 0}
PRODUCT = {"name": "good", "detector": "CenterNet2"}
ROWS = [PRODUCT, PRODUCT | {"name": "class", "changes": {"test": {"fusion": "class"}}}]
ROWS += [{"name": "bad", "detector": "FasterRCNN-CenterNet"}]
PARAMETERS = """
experiment: str = "t"
row: str = "good"  # which
variant: str = ""
scale: str = "tiny"
seed: int = 0
root: str = "."
"""
STUB = """
import os, time
from p2s.study import records, study
from p2s.study.project import Project
project = Project.at(root)
where = {"experiment": experiment, "row": row, "variant": variant, "scale": scale, "seed": seed}
run = study.find(project, **where)
(project.root / f"begun {row}").touch()
while (project.root / "hold").exists(): time.sleep(0.05)
if (project.root / f"break {row}").exists(): raise RuntimeError("no\\nluck")
ids = {"id": run.evaluation_id, "training_id": run.training_id}
ids |= {"train_fingerprint": "d", "val_fingerprint": "e"}
names = {"detector": run.detector, "scale": scale, "seed": seed, "spec": {}}
made = {"metrics": {"AP": 50.0}, "machine": {"threads": int(os.environ["OMP_NUM_THREADS"])}}
records.write(records.Record(**ids, **names, **made), project.records(scale))
"""


def project(folder, monkeypatch):
    """A study of three runs and two trainings whose notebook only writes the record."""
    monkeypatch.delenv("P2S_CACHE", raising=False)
    table = {"name": "t", "title": "-", "question": "-", "claim": "-", "notebook": "t.ipynb"}
    files = {"scales": {"tiny": SCALE}, "t": table | {"rows": ROWS}}
    (folder / "experiments").mkdir()
    for name, content in files.items():
        (folder / "experiments" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    cells = [nbformat.v4.new_code_cell(text.strip()) for text in (PARAMETERS, STUB)]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "python3"}}
    (folder / "notebooks").mkdir()
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(notebook, folder / "notebooks" / "train_eval.ipynb")
    return Project.at(folder)


def states(project):
    return {each.run.row: each.state for each in status.standings(Study.load(project, "tiny"))}


def cell(project, row):
    return find(project, experiment="t", row=row, variant="", scale="tiny", seed=0)


def record_of(project, row, classes=None, **fields):
    """The path of a record that is written for a row; `classes` are those that it tells of."""
    run = cell(project, row)
    ids = {
        "id": run.evaluation_id,
        "training_id": run.training_id,
        "train_fingerprint": "d",
        "val_fingerprint": "e",
    }
    names = {"detector": run.detector, "scale": "tiny", "seed": 0, "metrics": {}}
    spec = run.spec.model_dump(mode="json")
    names |= {"spec": spec | {"num_classes": classes or run.spec.num_classes}}
    return records.write(records.Record(**ids, **names, **fields), project.records("tiny"))


class Immediate:
    """An executor that is no thread pool: it answers at once, from a table of states."""

    def __init__(self, answers):
        self.answers, self.submitted = answers, []

    def submit(self, _function, _project, run, _template):
        self.submitted.append(run.row)
        future = Future()
        answer = self.answers[run.row]
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(Standing(run, answer))
        return future
