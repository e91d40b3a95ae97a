"""Ranks on several nodes, by a stand-in for srun; by a real Slurm in tests/slurm."""

import json
import os
import signal
import sys
import time
from functools import partial

import pytest

from p2s.train.nodes import together
from tests.support import ROOT, ranked
from tests.support.several import ranks_of, started, until

STOPPED = """
import sys
from functools import partial
from pathlib import Path
from p2s.train.nodes import together
from tests.support import ranked
together(partial(ranked.note_its_stop, Path(sys.argv[1])), 2, 1)
"""


@pytest.fixture(autouse=True)
def srun(tmp_path, monkeypatch):
    """The stand-in, where commands are looked for."""
    script = tmp_path / "bin" / "srun"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.support.srun "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "6")
    return script


def test_every_node_has_its_ranks(tmp_path):
    together(partial(ranked.write_what_each_gets, tmp_path), 2, 1)
    told = [json.loads((tmp_path / number).read_text()) for number in "01"]
    assert [each["mean"] for each in told] == [0.5, 0.5]
    assert told[0]["gathered"] == told[1]["gathered"] == list(range(5))


@pytest.mark.parametrize(
    "by, told",
    [
        (ranked.raise_an_error, "^rank 1 died: ValueError: photo.jpg: not a readable image$"),
        (ranked.be_killed, "."),
    ],
)
def test_a_rank_that_dies_ends_those_of_all_nodes(by, told):
    with pytest.raises(ValueError, match=told):
        together(partial(ranked.die, by), 2, 1)
    assert until(lambda: not ranks_of(os.getpid()), 5)


def test_a_stop_reaches_every_rank_once_and_is_an_interruption(tmp_path):
    command = started(sys.executable, "-c", STOPPED, tmp_path)
    assert until(lambda: len([*tmp_path.glob("at work *")]) == 2)
    command.send_signal(signal.SIGTERM)
    told = command.communicate(timeout=60)[1]
    assert told.endswith("KeyboardInterrupt\n")
    assert {path.name for path in tmp_path.glob("stopped *")} == {"stopped 0", "stopped 1"}


def test_without_srun_it_is_a_line(srun, monkeypatch):
    monkeypatch.setenv("PATH", str(srun.parent / "nowhere"))
    with pytest.raises(OSError, match="srun"):
        together(time.sleep, 2, 1)


def test_what_srun_says_is_the_reason_when_no_rank_could_start(srun):
    srun.write_text("#!/bin/sh\necho 'srun: error: Unable to create step' >&2\nexit 1\n")
    with pytest.raises(ValueError, match="^srun: error: Unable to create step$"):
        together(time.sleep, 2, 1)
