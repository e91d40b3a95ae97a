"""The smoke study of one table by jobs of a real Slurm, which are cancelled, queued again, killed.

It takes minutes, so its name hides it from `make test`; `make slurm` asks for it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
import yaml
from filelock import FileLock, Timeout

from tests.slurm.two_nodes import missing, two_nodes
from tests.support import ROOT

STUDY = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
STUDY += "from p2s.cli.main import main; main()"
STEPS = 48  # of a training: experiments/schedule.yaml at smoke, which has the longest
SMALL = {"jobs": 1, "minutes": 30, "memory": 1}
BY_SLURM = ("--executor", "slurm")


@pytest.fixture(scope="module")
def slurm():
    """The environment of a Slurm."""
    if packages := missing():
        pytest.fail(f"missing: apt-get install {' '.join(packages)}", pytrace=False)
    with two_nodes() as environment:
        environment.pop("P2S_CACHE", None)
        yield environment | {"PYTHONPATH": str(ROOT)}


@pytest.fixture
def copies(tmp_path):
    """Two copies of the project, with empty caches and no records."""
    for name in ("local", "slurm"):
        for part in ("experiments", "notebooks"):
            shutil.copytree(ROOT / part, tmp_path / name / part)
        ask_for(tmp_path / name)
    return tmp_path / "local", tmp_path / "slurm"


def ask_for(root, **more):
    text = yaml.safe_dump({"slurm": SMALL | more})
    (root / "experiments" / "executors.yaml").write_text(text)


def study(root, environment, *words):
    """The study of the table with the fewest trainings: two, evaluated twice each."""
    asked = ("study", "run", "--scale", "smoke", "--only", "schedule", *words)
    return subprocess.Popen([sys.executable, "-c", STUDY, *asked], cwd=root, env=environment)


def eventually(condition, seconds=300):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "nothing has happened for minutes"
        time.sleep(0.1)
    return found


def asked(environment, *words):
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def jobs(environment):
    return asked(environment, "squeue", "--noheader", "--states=all", "--format=%i|%T")


def begun(root, known):
    """The folder of a training that is at work and not of the known ones."""
    locks = [path.parent for path in root.glob(".p2s/weights/*/.lock")]
    return next((folder for folder in locks if folder not in known), None)


def trains(folder):
    """Whether a process holds the lock of a training."""
    try:
        with FileLock(folder / ".lock", timeout=0):
            return False
    except Timeout:
        return True


def steps(folder):
    """How many steps the state of a training holds."""
    path = folder / "state.pt"
    return torch.load(path, weights_only=True)["iteration"] if path.exists() else 0


def process(job, than=None):
    """The process that executes a job, another one than `than`, and has a kernel at its side."""
    for each in psutil.process_iter(["cmdline"]):
        if "submitit.core._submit" in (each.info["cmdline"] or []) and each.name() != "srun":
            try:
                if each.environ().get("SLURM_JOB_ID") == job and each.pid != than:
                    return each if each.children() else None
            except psutil.Error:
                continue
    return None


def records(root):
    return [json.loads(path.read_text()) for path in root.glob("results/runs/smoke/*.json")]


def metrics(root):
    return {record["id"]: record["metrics"] for record in records(root)}


def test_jobs_that_are_lost_while_they_train_are_made_good_and_no_number_moves(slurm, copies):
    local, root = copies
    assert study(local, slurm).wait() == 0
    stopped = study(root, slurm, *BY_SLURM)  # Ctrl-C: the job is cancelled, its training saved
    first = eventually(lambda: begun(root, []))
    time.sleep(3)
    stopped.send_signal(signal.SIGINT)
    assert stopped.wait(60) == 130
    eventually(lambda: jobs(slurm) == ["1|CANCELLED"], 60)
    assert 0 < steps(first) < STEPS and not list(root.glob(".p2s/runs/smoke/*.failed"))

    going_on = study(root, slurm, *BY_SLURM)
    second = eventually(lambda: begun(root, [first]))
    time.sleep(3)
    assert "3|RUNNING" in jobs(slurm) and (first / "model.safetensors").exists()
    before = process("3")
    asked(slurm, "scontrol", "requeue", "3")  # what Slurm does when a job must make room
    after = eventually(lambda: process("3", than=before.pid))
    saved = steps(second)
    eventually(lambda: trains(second))
    time.sleep(2)
    os.kill(after.pid, signal.SIGKILL)  # its run is submitted again, as another job
    assert going_on.wait(600) == 0
    assert 0 < saved < STEPS and [job for job in jobs(slurm) if "FAILED" in job] == ["3|FAILED"]
    assert metrics(root) == metrics(local) and len(metrics(root)) == 4


def test_a_training_on_two_nodes_is_one_of_two_processes_also_when_its_job_is_lost(slurm, copies):
    local, root = copies
    assert study(local, slurm, "--processes", "2").wait() == 0
    ask_for(root, nodes=2)

    on_nodes = study(root, slurm, *BY_SLURM)
    eventually(lambda: begun(root, []))
    time.sleep(3)
    [job] = [line.partition("|")[0] for line in jobs(slurm) if "RUNNING" in line]
    asked(slurm, "scancel", job)
    assert on_nodes.wait(600) == 0
    assert f"{job}|CANCELLED" in jobs(slurm) and metrics(root) == metrics(local)
    assert {one["machine"]["trained_on"] for one in records(root)} == {
        "cpu, 1 threads; fp32; 2 processes"
    }
