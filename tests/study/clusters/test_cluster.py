"""Jobs of a cluster: submitit's local ones, killed and told to stop, and invented ones."""

import signal
import threading
import time
from types import SimpleNamespace

import nbformat
import psutil
import pytest
from submitit import LocalExecutor
from submitit.core.utils import FailedJobError

from p2s.study import runner, status
from p2s.study.clusters import cluster
from p2s.study.clusters.cluster import Cluster
from p2s.study.project import TRAIN_EVAL
from p2s.study.runs import Standing
from p2s.study.study import Study
from tests.support import stub_study
from tests.support.stub_study import cell, record_of, states

TRAINING = """
import signal, time
from pathlib import Path
state = Path(root) / "state"
first = int(state.read_text()) if state.exists() else 0
with (Path(root) / "starts").open("a") as starts: starts.write(f"{first} ")
def save(*_):
    state.write_text("7")
    raise KeyboardInterrupt
signal.signal(signal.SIGTERM, save)
while not (Path(root) / "let go").exists(): time.sleep(0.05)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "LOOK", 0.05)
    monkeypatch.setattr(cluster, "SETTLE", 0.0)
    return stub_study.project(tmp_path, monkeypatch)


@pytest.fixture
def training(project):
    """The one run that is left, whose notebook trains until it is let go."""
    path = project.root / TRAIN_EVAL
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(1, nbformat.v4.new_code_cell(TRAINING.strip()))
    nbformat.write(notebook, path)
    record_of(project, "good"), record_of(project, "class")
    return cell(project, "bad")


def job_at_work():
    """The process in which submitit executes the job of this one, as srun starts it in Slurm."""
    commands = {child: child.cmdline() for child in psutil.Process().children(recursive=True)}
    [job] = [child for child, words in commands.items() if "submitit.core._submit" in words]
    return job


@pytest.mark.parametrize("number, starts", [(signal.SIGTERM, "0 7 "), (signal.SIGKILL, "0 0 ")])
def test_a_lost_job_is_submitted_again_and_goes_on(project, training, capsys, number, starts):
    places = Cluster(LocalExecutor(project.cache / "jobs" / "%j"), jobs=1, tries=2)
    begun = project.root / "starts"

    def lose_the_first():
        while not begun.exists():
            time.sleep(0.05)
        time.sleep(0.3)
        job_at_work().send_signal(number)
        (project.root / "let go").touch()

    thread = threading.Thread(target=lose_the_first)
    thread.start()
    assert status.run(Study.load(project, "tiny"), places) == 0
    thread.join()
    assert begun.read_text() == starts and states(project)["bad"] == "done"
    assert "again   t | bad | seed 0: job " in capsys.readouterr().out
    assert not project.failure(training).exists() and not places.at_work


LOG = "a\nslurmd: error: JOB CANCELLED\nsrun: error: task 0: Exited with exit code 1\nsrun: done\n"


class Jobs:
    """submitit's executor, with jobs that end as told: a state of Slurm's, done, or a refusal."""

    def __init__(self, folder, *fates):
        self.folder, self.fates, self.submitted, self.cancelled = folder, [*fates], [], []

    def submit(self, _in_job, _function, _project, run, _template):
        fate = self.fates.pop(0)
        if fate == "refused":
            raise FailedJobError("sbatch: error: invalid\npartition specified: x")
        self.submitted.append(run.row)
        number = len(self.submitted)
        result = self.folder / f"{number}.pkl"
        if fate in ("done", "error"):
            result.touch()
        return SimpleNamespace(
            job_id=number,
            state=fate,
            done=lambda: fate != "RUNNING",
            result=lambda: _result(fate, run),
            stderr=lambda: LOG,
            paths=SimpleNamespace(result_pickle=result, stderr=f"{number}.err"),
            cancel=lambda check: self.cancelled.append(number),
        )


def _result(fate, run):
    if fate == "error":
        raise FailedJobError("a whole\ntraceback")
    return Standing(run, fate)


def ended(project, places):
    """What comes of the study's three runs in two trainings."""
    return list(runner.outcomes(project, Study.load(project, "tiny").runs(), None, places))


def test_a_run_that_loses_all_its_jobs_has_failed_in_one_line_and_the_others_go_on(project):
    jobs = Jobs(project.root, "NODE_FAIL", "done", "TIMEOUT", "done")
    found = {each.run.row: each for each in ended(project, Cluster(jobs, jobs=9, tries=2))}
    assert jobs.submitted == ["good", "bad", "good"]
    note = "RuntimeError: job 3 ended TIMEOUT: slurmd: error: JOB CANCELLED (3.err); jobs lost: 2"
    assert (found["good"].state, found["good"].note) == ("failed", note)
    assert (found["bad"].state, found["class"].state) == ("done", "missing")
    assert status.standings(Study.load(project, "tiny"))[0] == found["good"]


def test_a_job_that_cannot_even_begin_is_not_submitted_again(project):
    jobs = Jobs(project.root, "error", "done")
    found = {each.run.row: each for each in ended(project, Cluster(jobs, jobs=9, tries=3))}
    assert jobs.submitted == ["good", "bad"] and found["good"].state == "failed"
    assert found["good"].note.endswith("slurmd: error: JOB CANCELLED (1.err); jobs lost: 0")


def test_no_more_jobs_are_in_the_cluster_than_asked_for(project, monkeypatch):
    monkeypatch.setattr(cluster, "LOOK", 0.0)
    places = Cluster(Jobs(project.root, "RUNNING", "RUNNING"), jobs=1, tries=1)
    first, second = (
        places.submit(None, project, cell(project, row), None) for row in ("good", "bad")
    )
    for _ in range(3):
        assert not first.done() and not second.done()
    assert places.executor.submitted == ["good"]
    first.cancel()
    assert first.done() and places.executor.cancelled == [1]
    assert not second.done() and places.executor.submitted == ["good", "bad"]


def test_a_cluster_that_takes_no_job_at_all_ends_the_study_in_one_line(project):
    with pytest.raises(OSError, match="refuses a job: .*: invalid partition .*executors.yaml$"):
        ended(project, Cluster(Jobs(project.root, "refused"), jobs=9, tries=2))


def test_a_cluster_that_is_full_for_a_while_is_asked_again(project, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "PAUSE", 0.2)
    jobs = Jobs(project.root, "done", "refused", "refused", "done", "done")
    assert {each.state for each in ended(project, Cluster(jobs, jobs=9, tries=1))} == {"done"}
    assert capsys.readouterr().out.count("the cluster refuses a job: sbatch: error: ") == 2


def test_a_study_that_stops_cancels_its_jobs_and_waits_for_none(project):
    jobs = Jobs(project.root, "done", "RUNNING", "RUNNING")
    outcomes = runner.outcomes(
        project, Study.load(project, "tiny").runs(), None, Cluster(jobs, jobs=9, tries=1)
    )
    assert next(outcomes).run.row == "good"
    outcomes.close()
    assert jobs.cancelled == [2]
