"""Events: TensorBoard's own reader finds the curve; a step that is done again counts once."""

import json
import sys

import pytest

from p2s.train import events
from p2s.train.engine import Loop, train
from p2s.train.events import MISSING, Events, require_tensorboard
from p2s.train.watch import Watch
from tests.support import tiny_training
from tests.support.tiny_training import DATA, SPEC, Tiny


def scalars(folder):
    """A list of (step, value) by tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder), purge_orphaned_data=True)
    read.Reload()
    return {
        tag: [(event.step, event.value) for event in read.Scalars(tag)]
        for tag in read.Tags()["scalars"]
    }


def test_tensorboard_reads_the_curve_of_a_training(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    tiny_training.install(monkeypatch)
    written = Events(tmp_path / "events")
    loop = Loop(watch=Watch(lambda model: 7.0, every=6), live=written)
    train(Tiny(), SPEC, DATA, tmp_path / "out", seed=3, loop=loop)
    written.close()
    curve, seen = json.loads((tmp_path / "out" / "curve.json").read_text()), scalars(written.folder)
    assert seen["AP"] == [(5, 7.0), (11, 7.0)]
    assert [step for step, _ in seen["loss/fit"]] == list(range(12))
    assert [value for _, value in seen["loss/fit"]] == pytest.approx(curve["fit"])


def test_a_step_that_is_done_again_after_a_stop_counts_once(tmp_path):
    pytest.importorskip("tensorboard")
    for start, value in ((0, 1.0), (3, 2.0)):
        written = Events(tmp_path)
        for iteration in range(start, start + 5):
            written({"iteration": [iteration], "fit": [value]})
        written.close()
    assert scalars(tmp_path)["loss/fit"] == [(i, 1.0 if i < 3 else 2.0) for i in range(8)]


def test_without_tensorboard_a_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setattr(events.importlib.util, "find_spec", lambda name: None)
    for ask in (require_tensorboard, lambda: Events(tmp_path)):
        with pytest.raises(ImportError) as error:
            ask()
        assert str(error.value) == MISSING and "pip install tensorboard" in MISSING


def test_nothing_is_written_before_the_first_step(tmp_path):
    pytest.importorskip("tensorboard")
    Events(tmp_path / "events").close()
    assert not (tmp_path / "events").exists()
