"""Several processes train as one does; what goes wrong ends all of them, in one line."""

import json
import multiprocessing
import os
import time
from functools import partial

import pytest

from p2s.data import glyphs
from p2s.spec import Glyphs
from p2s.train import replay
from p2s.train.processes import asked_for, on_this_machine, together
from tests.support import ranked, tiny_training
from tests.support.several import P2S, curve, ranks_of, run, words


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return glyphs.prepare(
        Glyphs(train=24, val=5, size=64, classes=2), tmp_path_factory.mktemp("glyphs")
    )


@pytest.mark.parametrize(
    "detector, settings",
    [
        ("CenterNet*", ()),
        ("CascadeRCNN-CenterNet", ()),
        ("CenterNet*", ("backbone.norm=BN", "recipe.rate=0.0003")),  # by which rounding grows more
    ],
)
def test_two_processes_train_as_one_does(tmp_path, files, detector, settings):
    for processes in (1, 2):
        given = words(files, tmp_path / str(processes), *settings, detector=detector)
        done = run(*P2S, *given, "--processes", processes)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("evaluating") == 1
    one, two = curve(tmp_path / "1"), curve(tmp_path / "2")
    assert one.keys() == two.keys() and len(one["iteration"]) == 20
    for name in one:
        assert two[name] == pytest.approx(one[name], rel=1e-4, abs=1e-4)
    numbers = [json.loads((tmp_path / n / "metrics.json").read_text()) for n in "12"]
    assert numbers[0].keys() == numbers[1].keys()


def ended_ranks():
    return not ranks_of(os.getpid())


@pytest.mark.parametrize(
    "by, told",
    [
        (ranked.be_killed, "^rank 1 died: .*SIGKILL$"),
        (ranked.raise_an_error, "^rank 1 died: ValueError: photo.jpg: not a readable image$"),
        (ranked.raise_of_many_lines, "^rank 1 died: TypeError: photo.jpg: odd$"),
    ],
)
def test_a_rank_that_dies_ends_all_in_one_line_and_half_a_minute(by, told, capfd):
    start = time.monotonic()
    with pytest.raises(ValueError, match=told) as error:
        together(partial(ranked.die, by), 2)
    assert time.monotonic() - start < 30 and ended_ranks()
    assert capfd.readouterr().err == ""
    assert by is ranked.be_killed or "in die" in str(error.value.__cause__)  # for --traceback


def test_a_rank_that_dies_before_it_has_joined_ends_the_others(tmp_path):
    start = time.monotonic()
    with pytest.raises(ValueError, match="^rank . died: .*SIGKILL$"):
        together(ranked.DyingWhereItArrives(tmp_path), 2)
    assert time.monotonic() - start < 30 and ended_ranks()


def test_a_rank_that_cannot_be_started_ends_the_others(monkeypatch):
    start, begun = multiprocessing.context.SpawnProcess.start, []

    def second_fails(process):
        begun.append(process)
        if len(begun) == 2:
            raise OSError("no more processes")
        start(process)

    monkeypatch.setattr(multiprocessing.context.SpawnProcess, "start", second_fails)
    with pytest.raises(ValueError, match="^2 processes cannot be started: OSError: no more"):
        together(ranked.raise_an_error, 2)
    assert len(begun) == 2 and ended_ranks() and not begun[0].is_alive()


@pytest.mark.parametrize(
    "model, broken", [(tiny_training.Tiny, ["fit"]), (ranked.Refusing, ["predicted boxes"])]
)
def test_a_step_broken_at_one_rank_is_kept_once_and_replayed(tmp_path, monkeypatch, model, broken):
    with pytest.raises(ValueError, match="NonFiniteLoss: iteration 3: not finite") as told:
        together(partial(ranked.train_to_a_broken_step, model, tmp_path), 2)
    for part in (*broken, "features of p3, p4", "images 11 of rank 1", "rate 0.0125"):
        assert part in str(told.value)
    [path] = tmp_path.glob("nonfinite-*")
    assert f"`p2s replay {path}`" in str(told.value)
    monkeypatch.setattr(replay, "build", lambda spec: model())
    again = replay.replay(path)
    assert again["image_ids"] == [10, 11] and again["precision"] == "fp32"
    assert again["broken"][0].startswith(broken[0]) and "p3, p4" in again["origin"]


@pytest.mark.parametrize(
    "given, told",
    [
        (("--processes", 3), "recipe.batch 4 for 3 processes: each has an equal part; valid: "),
        (("--processes", 0), "'--processes': 0 is not in the range x>=1"),
    ],
)
def test_processes_that_cannot_train_are_refused_before_any_work(tmp_path, files, given, told):
    done = run(*P2S, *words(files, tmp_path / "out"), *given)
    assert done.returncode == 2 and told in done.stderr.splitlines()[-1]
    assert done.stdout == "" and not (tmp_path / "out").exists()


def test_torchrun_says_how_many_ranks_there_are(monkeypatch):
    assert (asked_for(3), on_this_machine(3)) == (3, 3)
    machines = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
    me = {"RANK": "3", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
    for name, value in (machines | me).items():
        monkeypatch.setenv(name, value)
    assert (asked_for(1), asked_for(4), on_this_machine(4)) == (4, 4, 2)
    with pytest.raises(ValueError, match="processes 3, but torchrun starts 4; valid: 1, 4"):
        asked_for(3)
