"""Several processes that are stopped say so as one does, leave none behind, and go on."""

import signal
import sys
import time

import psutil
import pytest

from p2s.data import glyphs
from p2s.spec import Glyphs
from p2s.train import folder
from tests.support.several import P2S, TORCHRUN, curve, ranks_of, run, started, until, words

BOTH = (signal.SIGINT, signal.SIGTERM)
TWO = ("--processes", 2)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    scenes = Glyphs(train=24, val=400, size=64, classes=2)
    return glyphs.prepare(scenes, tmp_path_factory.mktemp("glyphs"))


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    """A folder whose training is finished, so that its command evaluates at once."""
    folder, settings = tmp_path_factory.mktemp("trained"), {"iterations": 3}
    stopped = started(*P2S, *words(files, folder, **settings))
    assert until((folder / "model.safetensors").exists)
    stopped.send_signal(signal.SIGINT)
    stopped.communicate(timeout=120)
    return words(files, folder, **settings)


def are_gone(processes):
    return until(lambda: not any(psutil.pid_exists(one.pid) for one in processes), 30)


def assert_stopped(command, at_work, before=""):
    """One more line, the exit code of an interruption, and no process that goes on."""
    assert command.wait(120) == 130
    assert command.stderr.read() == f"{before}stopped; the same command goes on from here\n"
    assert are_gone(at_work)


def at_work_on(command):
    """The ranks of a command, once it has two."""
    assert until(lambda: len(ranks_of(command.pid)) == 2)
    return ranks_of(command.pid)


@pytest.mark.parametrize("number", BOTH)
def test_ranks_are_stopped_while_they_start(tmp_path, files, number):
    command = started(*P2S, *words(files, tmp_path), *TWO)
    at_work = at_work_on(command)
    command.send_signal(number)
    assert_stopped(command, at_work)


@pytest.mark.parametrize("more, number", [(TWO, BOTH[1]), ((), BOTH[0])])
def test_an_evaluation_is_stopped_as_one_process_is(trained, more, number, tmp_path, monkeypatch):
    monkeypatch.setenv("P2S_CACHE", f"{tmp_path}")  # each begins anew
    command = started(*P2S, *trained, *more)
    assert any("evaluating" in line for line in command.stdout)
    at_work = ranks_of(command.pid)
    assert len(at_work) == (2 if more else 0)
    command.send_signal(number)
    assert_stopped(command, at_work, "trained already, evaluated again\n")


def test_no_rank_outlives_what_started_it(tmp_path, files):
    command = started(*P2S, *words(files, tmp_path), *TWO)
    at_work = at_work_on(command)
    command.kill()
    assert until(lambda: not any(one.is_running() for one in at_work), 60)


def begun(command, output):
    """Wait until some steps of a training are done."""
    assert until((output / ".lock").exists)
    time.sleep(1)
    assert command.poll() is None


def train_long(files, output):
    """The words of a training of many steps, whose rate is too low for rounding to grow."""
    return words(files, output, "recipe.rate=0.0003", iterations=80)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    scenes = Glyphs(train=24, val=4, size=64, classes=2)
    return glyphs.prepare(scenes, tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="module")
def whole(few, tmp_path_factory):
    """The curve of one process that is never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    assert run(*P2S, *train_long(few, folder)).returncode == 0
    return curve(folder)


@pytest.mark.parametrize("launcher, number", [(P2S, BOTH[1]), (TORCHRUN, BOTH[0])])
def test_a_stop_saves_and_another_number_of_processes_goes_on(
    tmp_path, few, whole, launcher, number
):
    output = tmp_path / "cut"
    command = started(*launcher, *train_long(few, output), *TWO)
    begun(command, output)
    at_work = at_work_on(command)
    command.send_signal(number)
    told = command.communicate(timeout=120)[1]
    assert told.count("stopped; the same command goes on from here") == 1
    if launcher is P2S:
        assert command.returncode == 130
    assert command.returncode != 0  # torchrun's own is 1, or that of an abort at its end
    assert are_gone(at_work)
    assert (output / "state.pt").exists()
    assert run(*P2S, *train_long(few, output)).returncode == 0
    for name in whole:
        assert curve(output)[name] == pytest.approx(whole[name], rel=1e-3, abs=1e-3)
    ended = folder.told(output)
    assert [each.processes for each in (*ended.before, ended.where)] == [2, 1]


# An exception that rises while the collector closes something is told, and goes no further.
CLOSING = """
import signal, time
from p2s.train import stops

class Closing:
    def __del__(self):
        {act}

with stops.answered(signal.default_int_handler), stops.never_lost():
    try:
        Closing()
        time.sleep({seconds})
    except KeyboardInterrupt:
        print("heard")
"""


@pytest.mark.parametrize("number", BOTH)
def test_a_stop_that_cannot_rise_where_it_falls_comes_again(number):
    act = f"signal.raise_signal({int(number)})"
    done = run(sys.executable, "-c", CLOSING.format(act=act, seconds=60))
    assert (done.returncode, done.stdout, done.stderr) == (0, "heard\n", "")


def test_another_exception_that_cannot_rise_is_told_as_before():
    done = run(sys.executable, "-c", CLOSING.format(act="1 / 0", seconds=0))
    assert (done.returncode, done.stdout) == (0, "")
    assert "Exception ignored" in done.stderr and "ZeroDivisionError" in done.stderr
