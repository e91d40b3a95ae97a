"""Slurm's side, with commands in place of Slurm's own; tests/slurm has a real one."""

import time

import pytest

from p2s.study.clusters import cluster, slurm
from p2s.study.executors import Slurm
from tests.support import stub_study
from tests.support.stub_study import cell

COMMANDS = {
    "sbatch": 'echo >> jobs; cp "$1" script; echo "Submitted batch job $(wc -l < jobs)"',
    "squeue": 'echo "$@" >> questions; cat states',
    "scancel": 'echo "$@" >> cancelled',
    "srun": "",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project on a machine of a cluster whose jobs are as the file `states` says."""
    (tmp_path / "bin").mkdir()
    for name, text in COMMANDS.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{text}\n")
        path.chmod(0o755)
    (tmp_path / "states").touch()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setattr(slurm._Job, "watcher", slurm.Squeue(delay_s=slurm.ASK))
    monkeypatch.setattr(cluster, "LOOK", 0.0)
    return stub_study.project(tmp_path, monkeypatch)


def submitted(project, **settings):
    """A task of which a job has been submitted."""
    task = slurm.cluster(Slurm(**settings), project).submit(
        print, project, cell(project, "bad"), "-"
    )
    assert not task.done() and task.job
    return task


def options(project):
    lines = (project.root / "script").read_text().splitlines()
    return {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")}


def test_a_job_is_what_executors_yaml_says(project):
    submitted(project, partition="long run", minutes=30, nodes=2, processes=4, cores=3, gpus=8)
    assert options(project) >= {
        *("partition='long run'", "time=30", "nodes=2", "ntasks-per-node=4", "cpus-per-task=3"),
        *("gpus-per-node=8", "mem=8G", "requeue", f"chdir={project.root}", "signal=USR2@90"),
    }
    command = (project.root / "script").read_text().splitlines()[-1]
    lines = (project.root / "script").read_text().splitlines()
    assert {"export P2S_DEVICE=cuda", "export P2S_PROCESSES=4"} <= set(lines)
    assert " --nodes=1 --ntasks=1 --cpus-per-task=12 " in command  # one task executes the run


def test_what_is_left_out_is_left_to_the_cluster(project, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/some where")
    submitted(project, minutes=1)
    names = {line.partition("=")[0] for line in options(project)}
    assert not names & {"partition", "account", "gpus-per-node"}
    assert "signal=USR2@15" in options(project)  # not at once
    lines = (project.root / "script").read_text().splitlines()
    assert f"export PYTHONPATH='{slurm.PACKAGE.parent}:/some where'" in lines
    assert f"export P2S_CACHE={project.cache}" in lines


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUE_HOLD"])
def test_a_job_in_such_a_state_is_waited_for(project, state):
    (project.root / "states").write_text(f"7_[1-9]|PENDING\n1|{state}\n")
    assert not submitted(project).job.done(force_check=True)


@pytest.mark.parametrize("told", ["1|PREEMPTED", "1|NODE_FAIL", "1|TIMEOUT", "11|RUNNING", ""])
def test_a_job_that_has_ended_or_that_slurm_has_forgotten_is_not(project, told):
    (project.root / "states").write_text(f"{told}\n")
    job = submitted(project).job
    assert job.done(force_check=True)
    assert job.state == (told.partition("|")[2] if told.startswith("1|") else slurm.GONE)


def test_slurm_that_does_not_answer_has_lost_no_job(project):
    task = submitted(project)
    (project.root / "bin" / "squeue").write_text("#!/bin/sh\nexit 1\n")
    assert not task.job.done(force_check=True)


def test_slurm_is_asked_of_all_jobs_at_once_and_seldom(project):
    (project.root / "states").write_text("1|RUNNING\n2|RUNNING\n3|RUNNING\n")
    tasks = [submitted(project) for _ in range(3)]
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        assert not any(task.done() for task in tasks)
    asked = (project.root / "questions").read_text().splitlines()
    assert 1 <= len(asked) <= 3 and set(asked) == {"--me --states=all --noheader --format=%i|%T"}


def test_a_cancelled_task_cancels_its_job(project):
    submitted(project).cancel()
    assert (project.root / "cancelled").read_text() == "1\n"


def test_a_machine_without_slurm_is_told(project, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(OSError, match="executor slurm: no sbatch here"):
        Slurm().open(project)
