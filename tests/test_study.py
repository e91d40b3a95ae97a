import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import nbformat
import psutil
import pytest
import yaml
from filelock import FileLock

from p2s import records, runner, study
from p2s.project import Project
from p2s.runs import Standing, find, runs

SCALE = {"about": "-", "seeds": [0], "minutes_a_training": 60}
SCALE["changes"] = {"data": {"kind": "glyphs", "train": 1, "val": 1}}
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
from p2s import records, runs
from p2s.project import Project
project = Project.at(root)
where = {"experiment": experiment, "row": row, "variant": variant, "scale": scale, "seed": seed}
run = runs.find(project, **where)
(project.root / f"begun {row}").touch()
while (project.root / "hold").exists(): time.sleep(0.05)
if (project.root / f"break {row}").exists(): raise RuntimeError("no\\nluck")
ids = {"id": run.evaluation_id, "training_id": run.training_id}
ids |= {"train_fingerprint": "d", "val_fingerprint": "e"}
names = {"detector": run.detector, "scale": scale, "seed": seed, "spec": {}}
made = {"metrics": {"AP": 50.0}, "machine": {"threads": int(os.environ["OMP_NUM_THREADS"])}}
records.write(records.Record(**ids, **names, **made), project.records(scale))
"""
STUDY = """
import sys
from concurrent.futures import ThreadPoolExecutor
from p2s import study
from p2s.project import Project
with ThreadPoolExecutor(2) as executor:
    sys.exit(study.run(Project.at(sys.argv[1]), "tiny", executor))
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A study of three runs and two trainings whose notebook only writes the record."""
    monkeypatch.delenv("P2S_CACHE", raising=False)
    table = {"name": "t", "title": "-", "question": "-", "claim": "-", "notebook": "t.ipynb"}
    files = {"scales": {"tiny": SCALE}, "t": table | {"rows": ROWS}}
    (tmp_path / "experiments").mkdir()
    for name, content in files.items():
        (tmp_path / "experiments" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    cells = [nbformat.v4.new_code_cell(text.strip()) for text in (PARAMETERS, STUB)]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "python3"}}
    (tmp_path / "notebooks").mkdir()
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(notebook, tmp_path / "notebooks" / "train_eval.ipynb")
    return Project.at(tmp_path)


def states(project):
    return {each.run.row: each.state for each in study.standings(project, "tiny")}


def cell(project, row):
    return find(project, experiment="t", row=row, variant="", scale="tiny", seed=0)


def record_of(project, row, **fields):
    run = cell(project, row)
    ids = {
        "id": run.evaluation_id,
        "training_id": run.training_id,
        "train_fingerprint": "d",
        "val_fingerprint": "e",
    }
    names = {"detector": run.detector, "scale": "tiny", "seed": 0, "spec": {}, "metrics": {}}
    return records.write(records.Record(**ids, **names, **fields), project.records("tiny"))


def test_a_study_runs_what_is_missing_tells_what_failed_and_goes_on(project, capsys):
    (project.root / "break bad").touch()
    with ThreadPoolExecutor(2) as executor:
        assert study.run(project, "tiny", executor) == 1
        assert states(project) == {"good": "done", "class": "done", "bad": "failed"}
        executed = project.executed(cell(project, "bad"))
        line = f"t | bad | seed 0: cell 3: RuntimeError: no luck ({executed})"
        assert line in capsys.readouterr().out and "no\\nluck" in executed.read_text()
        (project.root / "break bad").unlink()
        (project.root / "begun good").unlink()
        assert study.run(project, "tiny", executor) == 0  # only what had failed
    assert not (project.root / "begun good").exists()
    found, _ = records.survey(project.records("tiny"))
    assert {each.machine["threads"] for each in found.values()} == {1}


def kernels_of(root):
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if "ipykernel_launcher" in (process.info["cmdline"] or []):
            found += [process] if process.info["cwd"] == str(root) else []
    return found


def eventually(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_study_leaves_no_kernel_and_goes_on(project, number):
    (project.root / "hold").touch()
    command = [sys.executable, "-c", STUDY, str(project.root)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    first = subprocess.Popen(command, cwd=project.root, **quiet)
    assert eventually((project.root / "begun good").exists)
    assert eventually((project.root / "begun bad").exists)
    assert states(project) == {"good": "running", "class": "missing", "bad": "running"}
    os.kill(first.pid, number)
    first.wait(60)
    assert eventually(lambda: not kernels_of(project.root), 10)
    assert set(states(project).values()) == {"missing"}
    (project.root / "hold").unlink()
    if number == signal.SIGKILL:
        with ThreadPoolExecutor(2) as executor:
            assert study.run(project, "tiny", executor) == 0
        assert set(states(project).values()) == {"done"}


def test_a_deleted_edited_or_stale_record_is_missing(project, monkeypatch):
    deleted, edited = record_of(project, "good"), record_of(project, "class")
    record_of(project, "bad")
    assert set(states(project).values()) == {"done"}
    deleted.unlink()
    edited.write_text(edited.read_text().replace('"seed": 0', '"seed": 1'))
    assert states(project) == {"good": "missing", "class": "missing", "bad": "done"}
    monkeypatch.setattr(records, "NUMERICS_VERSION", records.NUMERICS_VERSION + 1)
    assert states(project)["bad"] == "missing"


def test_status_tells_older_code_damage_strays_and_the_time_left(project, capsys):
    edited = record_of(project, "class")
    edited.write_text(edited.read_text().replace('"seed": 0', '"seed": 1'))
    stray = record_of(project, "good")
    record = records.read(stray).model_copy(update={"id": "other"})
    records.write(record, stray.parent)
    study.status(project, "tiny")
    told = capsys.readouterr().out
    assert "good | seed 0: by older code" in told and "class | seed 0: " in told
    assert "edited by hand" in told and "1 more records" in told
    assert "1 done, 0 running, 0 failed, 2 missing; left: about 2.2 hours" in told


def test_a_plan_counts_shared_trainings_once_and_cached_ones_not(project, capsys):
    ahead = study.plan(project, "tiny", jobs=2)
    assert (len(ahead.trainings), len(ahead.evaluations)) == (2, 3) and ahead.guessed
    assert ahead.seconds == 3600 * (2 + 3 * study.EVALUATION_SHARE) + 3 * study.START_S
    assert "about 69 min with 2 at once (guessed" in capsys.readouterr().out
    weights = project.weights(ahead.trainings[0])
    weights.mkdir(parents=True)
    (weights / "model.safetensors").touch()
    assert len(study.plan(project, "tiny").trainings) == 1


def test_a_plan_uses_measured_times_of_the_same_detector(project):
    record_of(project, "good", timings={"train_s": 100.0, "evaluate_s": 10.0})
    ahead = study.plan(project, "tiny")
    other = 3600 * (1 + study.EVALUATION_SHARE)
    assert ahead.seconds == pytest.approx(100 + 10 + other + 2 * study.START_S) and ahead.guessed


@pytest.mark.parametrize(
    "given, told",
    [
        ({"sede": 1}, r"unknown parameter sede; valid: .*seed \(int\)"),
        ({"seed": "x"}, "wrong type"),
    ],
)
def test_unknown_or_wrongly_typed_parameters_are_refused(project, given, told):
    template = project.root / "notebooks" / "train_eval.ipynb"
    with pytest.raises(ValueError, match=told):
        runner.parameters(template, given)
    assert runner.parameters(template, {"seed": "3", "row": "a"}) == {"seed": 3, "row": "a"}


def test_a_notebook_with_other_parameters_stops_before_anything_runs(project):
    path = project.root / "notebooks" / "train_eval.ipynb"
    path.write_text(path.read_text().replace("variant: str", "variation: str"))
    with pytest.raises(ValueError, match="unknown parameter variant"):
        study.run(project, "tiny", executor=None)


def test_missing_coco_files_stop_before_anything_runs(project):
    data = {"kind": "coco", "train": "a.json", "val": "b.json", "images": "."}
    scale = SCALE | {"changes": {"data": data}}
    (project.experiments / "scales.yaml").write_text(yaml.safe_dump({"tiny": scale}))
    with pytest.raises(FileNotFoundError, match=r"a\.json: not found; scale tiny needs it"):
        study.run(project, "tiny", executor=None)


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


@pytest.mark.parametrize(
    "state, ended",
    [("done", "done"), ("failed", "missing"), (OSError("x"), "missing")],
)
def test_siblings_wait_for_the_first_evaluation_of_their_training(project, state, ended):
    executor = Immediate({"good": state, "class": "done", "bad": "done"})
    found = list(runner.outcomes(project, runs(project, "tiny"), None, executor))
    assert executor.submitted == ["good", "bad"] + ["class"] * (ended == "done")
    assert {each.run.row: each.state for each in found}["class"] == ended


class UntilDead(Immediate):
    """All but the first run go on for as long as a process that looks like a kernel."""

    def submit(self, *job):
        future = super().submit(*job)
        if len(self.submitted) > 1:
            code = "import time; time.sleep(60)"
            child = subprocess.Popen([sys.executable, "-c", code, "ipykernel_launcher"])
            future.done = lambda: child.poll() is not None
        return future


@pytest.mark.parametrize("grace", [10.0, -1.0])
def test_what_is_at_work_when_a_study_stops_is_ended_and_not_a_failure(project, monkeypatch, grace):
    monkeypatch.setattr(runner, "GRACE", grace)  # -1: killed at once
    executor = UntilDead(dict.fromkeys(("good", "class", "bad"), "done"))
    ended = runner.outcomes(project, runs(project, "tiny"), None, executor)
    assert next(ended).run.row == "good"
    failure = project.failure(cell(project, "bad"))
    failure.parent.mkdir(parents=True)
    failure.write_text("DeadKernelError: Kernel died")
    ended.close()
    assert not failure.exists() and not runner._kernels()


@pytest.fixture
def elsewhere(project):
    """A thread that stands for another process, and the lock it holds: of the one run left."""
    record_of(project, "good"), record_of(project, "class")
    path = project.lock(cell(project, "bad"))
    path.parent.mkdir(parents=True)
    with ThreadPoolExecutor(1) as other:
        lock = FileLock(path)
        other.submit(lock.acquire).result()
        yield other, lock
        other.submit(lock.release)


def test_a_run_at_work_in_another_process_is_waited_for(project, elsewhere, capsys):
    other, lock = elsewhere
    assert states(project)["bad"] == "running"
    for step in ((time.sleep, 3), (record_of, project, "bad"), (lock.release,)):
        other.submit(*step)
    with ThreadPoolExecutor(1) as executor:
        assert study.run(project, "tiny", executor) == 0
    told = capsys.readouterr().out
    assert "1 at work in another process" in told and "bad | seed 0: by another process" in told
    assert not (project.root / "begun bad").exists()


def test_a_run_that_ends_elsewhere_without_a_record_is_run_here(project, elsewhere):
    other, lock = elsewhere
    other.submit(time.sleep, 3), other.submit(lock.release)
    with ThreadPoolExecutor(1) as executor:
        assert study.run(project, "tiny", executor) == 0
    assert (project.root / "begun bad").exists()


def test_a_study_that_waits_for_another_can_be_stopped(project, elsewhere):
    command = [sys.executable, "-c", STUDY, str(project.root)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, cwd=project.root, **streams) as waiting:
        assert any("in another process" in line for line in waiting.stdout)
        time.sleep(0.5)
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(30) != 0
    assert states(project)["bad"] == "running" and not kernels_of(project.root)


@pytest.mark.parametrize(
    "broken, told", [(OSError("disk\nfull"), "OSError: disk full"), (None, "without a record")]
)
def test_any_failure_is_one_line_and_remembered(project, monkeypatch, broken, told):
    def fail(*_):
        if broken:
            raise broken

    monkeypatch.setitem(
        sys.modules,
        "papermill",
        SimpleNamespace(PapermillExecutionError=KeyError, execute_notebook=lambda *a, **k: fail()),
    )
    standing = runner.execute(project, runs(project, "tiny")[0], "t.ipynb")
    assert standing.state == "failed" and told in standing.note and "\n" not in standing.note
    assert study.standings(project, "tiny")[0] == standing
