"""Settings of a training in a folder: whoever comes with others is told which, with both values."""

import os
import signal

import pytest

from p2s.spec.identity import training_id, training_settings
from p2s.train import engine, settings
from p2s.train.engine import train
from tests.support import tiny_training
from tests.support.tiny_training import DATA, SPEC, Tiny, batches


@pytest.fixture(autouse=True)
def stubs(monkeypatch):
    tiny_training.install(monkeypatch)


def stopped(folder, monkeypatch):
    """A training that was stopped after two steps."""

    def stopping(data, recipe, seed, at, part):
        if at == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return batches(data, recipe, seed, at)

    monkeypatch.setattr(engine, "train_batch", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(Tiny(), SPEC, DATA, folder, seed=3)
    monkeypatch.setattr(engine, "train_batch", batches)


CHANGES = {
    "recipe.rate is 0.1 there and 0.05 here": {"recipe": {"rate": 0.05}},
    "backbone.norm is BN there and GN here": {"backbone": {"norm": "GN"}},
    "recipe.batch is 2 there and 4 here, recipe.flip is True there and False here": {
        "recipe": {"batch": 4, "flip": False}
    },
    "recipe.empty is None there and True here": {"recipe": {"empty": True}},
}


@pytest.mark.parametrize("is_finished", [True, False])
@pytest.mark.parametrize("told", CHANGES)
def test_a_setting_that_differs_is_named_with_both_values(tmp_path, monkeypatch, told, is_finished):
    if is_finished:
        train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    else:
        stopped(tmp_path, monkeypatch)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=f"holds another training: {told}; nothing there"):
        train(Tiny(), SPEC.changed(CHANGES[told]), DATA, tmp_path, seed=3)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_another_file_to_train_on_is_told_without_its_hash(tmp_path):
    train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    other = type(DATA)(fingerprint="e" * 64, classes=DATA.classes)
    with pytest.raises(ValueError, match="another training: another file to train on there; noth"):
        train(Tiny(), SPEC, other, tmp_path, seed=3)


@pytest.mark.parametrize("content", [None, "{", "[1]", '"text"'])
def test_without_kept_settings_the_identity_decides(tmp_path, content):
    train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    path = tmp_path / settings.FILE
    path.unlink() if content is None else path.write_text(content)
    train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    path.unlink(missing_ok=True)
    with pytest.raises(ValueError, match=f"{training_id(SPEC, DATA.fingerprint, 3)}, not "):
        train(Tiny(), SPEC, DATA, tmp_path, seed=4)


def test_kept_settings_are_compared_only_beside_what_they_are_of(tmp_path):
    settings.keep(tmp_path, training_settings(SPEC, DATA.fingerprint, 4))
    train(Tiny(), SPEC, DATA, tmp_path, seed=3)


def test_many_differences_are_counted(tmp_path):
    train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    other = {"rate": 0.2, "batch": 4, "clip": 2.0, "flip": False, "long_edge": 9, "warmup": 2}
    with pytest.raises(ValueError, match=" and 1 more; nothing there was changed"):
        train(Tiny(), SPEC.changed({"recipe": other}), DATA, tmp_path, seed=3)
