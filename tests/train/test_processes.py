"""Several processes train as one does, stop together and resume as any other number."""

import json
import signal
import subprocess
import sys
import time
from functools import partial

import psutil
import pytest

from p2s.data import glyphs
from p2s.spec import Glyphs
from p2s.train.processes import together
from tests.support import ROOT, ranked
from tests.support.commands import words_of_train

EVERY_REGION = "second_stage.regions=256"  # nothing is sampled, which would be a rank's own


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return glyphs.prepare(
        Glyphs(train=24, val=5, size=64, classes=2), tmp_path_factory.mktemp("glyphs")
    )


def words(files, output, processes, detector="CenterNet*", iterations=20):
    more = ("--iterations", iterations, "--processes", processes, "--detector", detector)
    settings = ("recipe.batch=4", "backbone.norm=GN", "recipe.rate=0.005", EVERY_REGION)
    return words_of_train(files, output, *more, *[w for each in settings for w in ("--set", each)])


def command(*given):
    return [sys.executable, "-m", "p2s", *map(str, given)]


def run(*given):
    return subprocess.run(command(*given), cwd=ROOT, capture_output=True, text=True)


def curve(folder):
    return json.loads((folder / "curve.json").read_text())


def test_two_ranks_agree_on_means_totals_and_answers(tmp_path, capfd):
    together(partial(ranked.write_what_each_gets, tmp_path), 2)
    told = [json.loads((tmp_path / name).read_text()) for name in "01"]
    shares = [one.pop("share") for one in told]
    assert shares == [0.5, 1.5]  # of 1 and 3 rows
    assert told[0] == told[1]
    assert told[0] == {
        "mean": 0.5,
        "normaliser": 1.5,
        "least": 0.5,
        "anywhere": True,
        "nowhere": False,
        "gathered": [0, 1, 2, 3, 4],
    }
    assert capfd.readouterr().out.split() == ["rank", "0"]


def test_gradients_are_averaged_also_where_a_rank_has_none(tmp_path):
    together(partial(ranked.average_gradients, tmp_path), 2)
    for name in "01":
        assert json.loads((tmp_path / name).read_text()) == [[[1.5] * 3] * 2, [0.5] * 4]


@pytest.mark.parametrize("detector", ["CenterNet*", "CascadeRCNN-CenterNet"])
def test_two_processes_train_as_one_does(tmp_path, files, detector):
    for processes in (1, 2):
        done = run(*words(files, tmp_path / str(processes), processes, detector))
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("evaluating") == 1
    one, two = curve(tmp_path / "1"), curve(tmp_path / "2")
    assert one.keys() == two.keys() and len(one["iteration"]) == 20
    for name in one:
        assert two[name] == pytest.approx(one[name], rel=1e-4, abs=1e-4)
    numbers = [json.loads((tmp_path / n / "metrics.json").read_text()) for n in "12"]
    assert numbers[0].keys() == numbers[1].keys()


def test_a_stop_of_all_saves_and_another_number_of_processes_goes_on(tmp_path, files):
    long = words(files, tmp_path / "cut", 2, iterations=80)
    at_work = subprocess.Popen(command(*long), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "cut" / ".lock").exists():
        assert at_work.poll() is None
        time.sleep(0.1)
    time.sleep(1)  # some steps
    at_work.send_signal(signal.SIGTERM)
    assert at_work.wait(60) == 130 and "goes on from here" in at_work.stderr.read()
    assert run(*words(files, tmp_path / "cut", 1, iterations=80)).returncode == 0
    assert run(*words(files, tmp_path / "whole", 1, iterations=80)).returncode == 0
    cut, whole = curve(tmp_path / "cut"), curve(tmp_path / "whole")
    for name in whole:
        assert cut[name] == pytest.approx(whole[name], rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    "by, told",
    [(ranked.be_killed, "rank 1 died: .*SIGKILL"), (ranked.raise_an_error, "photo.jpg: not")],
)
def test_a_rank_that_dies_ends_all_in_one_line_and_half_a_minute(by, told):
    start = time.monotonic()
    with pytest.raises(ValueError, match=told):
        together(partial(ranked.die, by), 2)
    assert time.monotonic() - start < 30
    left = [" ".join(child.cmdline()) for child in psutil.Process().children()]
    assert not [words for words in left if "spawn_main" in words]


def test_a_batch_that_cannot_be_shared_is_told(tmp_path, files):
    done = run(*words(files, tmp_path, 3))
    assert done.returncode == 2
    assert "recipe.batch 4 for 3 processes" in done.stderr.splitlines()[-1]
