"""Studies that are stopped, and studies that wait for another: no kernel stays.

That they go on is tested in tests/torture.
"""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from filelock import FileLock

from p2s.study import runner, status
from p2s.study.study import Study
from tests.support import stub_study
from tests.support.stub_study import Immediate, cell, record_of, states

STUDY = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from concurrent.futures import ThreadPoolExecutor
from p2s.study import status
from p2s.study.project import Project
from p2s.study.study import Study
with ThreadPoolExecutor(2) as executor:
    sys.exit(status.run(Study.load(Project.at(sys.argv[1]), "tiny"), executor))
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    return stub_study.project(tmp_path, monkeypatch)


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
def test_a_stopped_study_leaves_no_kernel(project, number):
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
    ended = runner.outcomes(project, Study.load(project, "tiny").runs(), None, executor)
    assert next(ended).run.row == "good"
    failure = project.failure(cell(project, "bad"))
    failure.parent.mkdir(parents=True)
    failure.write_text("DeadKernelError: Kernel died")
    ended.close()
    assert not failure.exists() and not runner.kernels()


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
        assert status.run(Study.load(project, "tiny"), executor) == 0
    told = capsys.readouterr().out
    assert "1 at work in another process" in told and "bad | seed 0: by another process" in told
    assert not (project.root / "begun bad").exists()


def test_waiting_for_another_process_takes_no_place_of_an_executor(project, elsewhere):
    other, lock = elsewhere
    for step in ((time.sleep, 1.5), (record_of, project, "bad"), (lock.release,)):
        other.submit(*step)
    executor = Immediate({})
    [ended] = runner.outcomes(project, [cell(project, "bad")], None, executor)
    assert (ended.state, ended.note) == ("done", "by another process") and not executor.submitted


def test_a_run_that_ends_elsewhere_without_a_record_is_run_here(project, elsewhere):
    other, lock = elsewhere
    other.submit(time.sleep, 3), other.submit(lock.release)
    with ThreadPoolExecutor(1) as executor:
        assert status.run(Study.load(project, "tiny"), executor) == 0
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
