"""The folder of a training: damaged, edited or foreign files are told in a line."""

import pytest
from torch import nn

from p2s.train import folder
from p2s.train.engine import train
from p2s.train.folder import load
from tests.support import tiny_training
from tests.support.tiny_training import DATA, SPEC, Tiny


@pytest.fixture(autouse=True)
def stubs(monkeypatch):
    tiny_training.install(monkeypatch)


def test_a_folder_without_a_model_is_told(tmp_path):
    with pytest.raises(ValueError, match="holds no trained model"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("model.safetensors", "junk", "model.safetensors: not a readable weights file"),
        ("spec.json", "{", "spec.json: Invalid JSON"),
        (
            "spec.json",
            '{"levels": [1, 2]}',
            "spec.json: levels .1, 2. with backbone.neck fpn; valid",
        ),
        ("spec.json", '{"num_classes": 3}', "classes.json: .* is 2, .* spec.json is 3"),
        ("classes.json", '["cat"]', "classes.json: .* is 1, but num_classes .* is 2"),
        ("classes.json", '["cat", 2]', "classes.json: 1: Input should be a valid string"),
    ],
)
def test_a_file_of_a_model_that_is_damaged_or_edited_is_named(tmp_path, name, content, told):
    train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=told):
        load(tmp_path)


def test_weights_that_do_not_fit_the_spec_are_told_in_a_line(tmp_path, monkeypatch):
    train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    monkeypatch.setattr(folder, "build", lambda spec: nn.Linear(4, 1))
    with pytest.raises(ValueError, match="model.safetensors does not fit its Spec: 2 missing"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["state.pt", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello world", bytes(100)])
def test_what_a_training_left_damaged_is_told_and_kept(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: not a readable .*; delete it to start anew"):
        train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    assert (tmp_path / name).read_bytes() == content


CURVES = [b"{}", b'{"iteration": [1]}', b'{"iteration": [0], "fit": []}', b'{"iteration": ["x"]}']


@pytest.mark.parametrize("content", [None, b"", b"[1]", *CURVES])
def test_of_a_curve_that_is_lost_it_is_told_how_to_have_another(tmp_path, content):
    if content is not None:
        (tmp_path / "curve.json").write_bytes(content)
    told = r"curve.json.*; delete .*model.safetensors to train again$"
    with pytest.raises(ValueError, match=told):
        folder.curve(tmp_path)


@pytest.mark.parametrize("name", ["spec.json", "classes.json", "settings.json"])
def test_a_damaged_text_beside_finished_weights_is_written_anew(tmp_path, name):
    train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    before = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(before[:-1])
    train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    assert (tmp_path / name).read_bytes() == before
