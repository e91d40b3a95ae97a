"""Options of `p2s train` about what is seen of a training while it goes on."""

import json
import math

import pytest

from p2s.cli import evaluation
from p2s.data import glyphs
from p2s.spec import Glyphs
from p2s.train import events
from tests.support.commands import p2s, words_of_train


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    scenes = Glyphs(train=6, val=3, size=64, classes=2)
    return glyphs.prepare(scenes, tmp_path_factory.mktemp("glyphs"))


@pytest.fixture
def told(monkeypatch):
    """AP that falls from time to time, and how many images it is asked of each time."""
    score, images = evaluation.score, []

    def falling(data, *found):
        images.append(len(data))
        return score(data, *found) | {"AP": 10.0 - len(images)}

    monkeypatch.setattr(evaluation, "score", falling)
    return images


@pytest.mark.parametrize(
    "words, asked, kept",
    [
        (("--validate-every", 3), {3: 9.0, 4: 8.0}, False),
        (("--validate-every", 3, "--keep-best"), {3: 9.0, 4: 8.0}, True),
        (("--keep-best",), {1: 9.0, 2: 8.0, 3: 7.0, 4: 6.0}, True),
        (("--watch", 2, "--validate-every", 2), {2: 9.0, 4: 8.0}, True),
    ],
)
def test_ap_of_val_is_in_the_curve_and_the_best_is_kept(files, tmp_path, told, words, asked, kept):
    average = ("--set", "recipe.average=ema", "--set", "recipe.average.decay=0.5")
    done = p2s(*words_of_train(files, tmp_path, *words, *average))
    assert done.exit_code == 0, done.output
    curve = json.loads((tmp_path / "curve.json").read_text())
    assert {i: ap for i, ap in enumerate(curve["AP"], 1) if not math.isnan(ap)} == asked
    assert told == [2 if "--watch" in words else 3] * len(asked) + [3]  # at the end of all
    assert (tmp_path / "best" / "model.safetensors").exists() is kept
    first = min(asked)
    assert (f"AP 9.0 after {first} iterations, watched: the best" in done.output) is kept
    assert json.loads((tmp_path / "spec.json").read_text())["recipe"]["average"] == "ema"


def test_tensorboards_events_are_written_beside_the_model(files, tmp_path):
    pytest.importorskip("tensorboard")
    done = p2s(*words_of_train(files, tmp_path, "--tensorboard"))
    assert done.exit_code == 0, done.output
    assert [*(tmp_path / "events").glob("events.out.tfevents.*")]
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_a_missing_tensorboard_is_told_before_any_work(files, tmp_path, monkeypatch):
    monkeypatch.setattr(events.importlib.util, "find_spec", lambda name: None)
    done = p2s(*words_of_train(files, tmp_path / "out", "--tensorboard"))
    assert (done.exit_code, done.stderr) == (2, f"p2s: {events.MISSING}\n")
    assert not (tmp_path / "out").exists()
