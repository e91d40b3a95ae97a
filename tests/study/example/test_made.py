"""A run becomes a model that a package may hold: the record's own, small, and finding the same."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import p2s
from p2s.cli import models
from p2s.deploy.matching import unmatched
from p2s.files import file_sha256
from p2s.model import weights
from p2s.spec import Spec
from p2s.study import records, train_eval
from p2s.study.example import card as cards
from p2s.study.example import made
from p2s.study.study import Study
from p2s.train import shelf
from tests.support import ROOT, tiny_training
from tests.support.commands import p2s as command
from tests.support.tiny import lively_folder, photo

PIXELS, SCORE = 1.0, 0.02  # between detections by fp32 and by fp16
ROWS = [{"name": "one", "detector": "CenterNet2"}]
NUMBERS = {"AP": 41.27, "AP50": 60.0, "APl": None, "AR1": 3.0}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model as a training leaves it, and a record of it whose test settings are its own."""
    folder = lively_folder(tmp_path_factory.mktemp("trained"))
    (folder / "training.json").write_text(json.dumps({"seed": 0, "seconds": 90.0}))
    spec = Spec.model_validate_json((folder / "spec.json").read_text())
    changes = {"test": {"nms": 0.55}, "data": {"kind": "glyphs"}}
    record = records.Record(
        id="0f",
        training_id="0123",
        detector="CenterNet2",
        scale="gated",
        seed=0,
        spec=spec.changed(changes).model_dump(mode="json"),
        train_fingerprint="a",
        val_fingerprint="b",
        metrics=NUMBERS,
        weights=file_sha256(folder / "model.safetensors"),
    )
    return folder, record


@pytest.fixture(scope="module")
def halved(trained, tmp_path_factory):
    """The same as a package has it: in fp16, for in fp32 it is of more than 3 MB."""
    folder, record = trained
    target = tmp_path_factory.mktemp("halved")
    return target, made.written(record, folder, target)


def test_the_card_is_of_the_record_and_of_the_file(trained, halved):
    (folder, record), (target, card) = trained, halved
    file = target / "model.safetensors"
    assert (card.sha256, card.bytes) == (file_sha256(file), file.stat().st_size)
    assert (card.precision, card.trained) == ("fp16", record.weights)
    assert (card.record, card.detector, card.scale, card.seed) == ("0f", "CenterNet2", "gated", 0)
    assert card.numbers == {name: NUMBERS[name] for name in ("AP", "AP50", "APl")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert card.licence == project["license"] and cards.read(target) == card
    assert cards.read(folder) is None


def test_it_has_the_records_settings_and_stays_small_vectors_in_fp32(trained, halved):
    (folder, record), (target, card) = trained, halved
    assert json.loads((target / "spec.json").read_text()) == record.spec
    tensors = weights.read_weights(target / "model.safetensors")
    kinds = {value.dtype for value in tensors.values() if value.ndim > 1}
    others = {value.dtype for value in tensors.values() if value.ndim == 1}
    assert kinds == {torch.float16} and others == {torch.float32}
    before = (folder / "model.safetensors").stat().st_size
    assert card.bytes < 0.6 * before


def test_what_fits_is_left_as_it_is(trained, tmp_path, monkeypatch):
    folder, record = trained
    monkeypatch.setattr(made, "MOST", (folder / "model.safetensors").stat().st_size)
    card = made.written(record, folder, tmp_path)
    assert card.precision == "fp32" and card.sha256 == card.trained == record.weights


def test_read_back_to_fp32_it_finds_the_same(trained, halved, tmp_path):
    whole, half = (p2s.load(folder, "cpu") for folder in (trained[0], halved[0]))
    assert {weight.dtype for weight in half.model.parameters()} == {torch.float32}
    settings = {"test": {"nms": 0.95}, "score_above": 0.0}
    for seed in range(3):
        picture = photo(tmp_path / f"{seed}.png", seed=seed)
        one, other = (instances(each.predict(picture, **settings)) for each in (whole, half))
        assert len(one) > 9 and unmatched(one, other, PIXELS, SCORE)[1] == 0


def instances(found):
    from detectron2.structures import Boxes, Instances

    return Instances(
        found.size,
        pred_boxes=Boxes(torch.from_numpy(found.boxes)),
        scores=torch.from_numpy(found.score),
        pred_classes=torch.from_numpy(found.class_index),
    )


def test_a_training_starts_from_it(halved):
    target, _ = halved
    spec = Spec.model_validate_json((target / "spec.json").read_text())
    model = p2s.build(spec.changed({"recipe": {"start": str(target)}}))
    given = weights.read_weights(target / "model.safetensors")
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), given[name].numpy())


def test_other_weights_than_the_records_are_refused(trained, tmp_path):
    folder, record = trained
    other = record.model_copy(update={"weights": "0" * 64})
    with pytest.raises(ValueError, match="SHA-256 .*; valid: 0000.*, of 0f"):
        made.written(other, folder, tmp_path)
    assert not [*tmp_path.iterdir()]


def test_too_many_weights_are_refused(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(made, "MOST", 1000)
    with pytest.raises(ValueError, match="bytes in fp16; valid: 1000 at most"):
        made.written(trained[1], trained[0], tmp_path)


def test_a_run_of_the_study_becomes_one_by_the_command(tmp_path, monkeypatch):
    project = tiny_training.study_of(tmp_path, ROWS)
    asked = {"experiment": "t", "row": "one", "variant": "", "seed": 0}
    monkeypatch.setattr(made, "ASKED", asked)
    monkeypatch.chdir(tmp_path)
    words = ("study", "example", "--scale", "smoke", "--output", "glyphs")
    done = command(*words)
    assert done.exit_code == 2 and done.stderr.count("\n") == 1
    assert "is not there yet: `p2s study run --scale smoke --only t`" in done.stderr
    [run] = Study.load(project, "smoke").runs()
    record = train_eval.made(run, project)
    records.write(record, project.records("smoke"))
    done = command(*words)
    assert done.exit_code == 0, done.output
    assert (
        "glyphs: 1.63 MB in fp16; AP 0.0, " in done.output
        and f"results/runs/smoke/{record.id}.json" in done.output
    )
    told = command("info", "glyphs").output
    assert "4 synthetic scenes of 64 pixels a side with 2 classes" in told and record.id in told
    assert f"AP {record.metrics['AP']:.1f}, " in told and "Apache-2.0" in told


@pytest.fixture
def shelved(halved, monkeypatch, tmp_path):
    """The package as if it held that model; here is a folder of scenes of the same name."""
    monkeypatch.setattr(shelf, "EXAMPLES", {"glyphs": halved[0]})
    (tmp_path / "glyphs").mkdir()
    monkeypatch.chdir(tmp_path)


def test_by_its_name_it_predicts_and_is_listed(shelved, halved, tmp_path):
    assert p2s.load("glyphs", "cpu").spec.test.nms == 0.55
    picture = photo(tmp_path / "1.png")
    done = command("predict", "--model", "glyphs", picture, "--output", "found")
    assert done.exit_code == 0 and "1 of 1 pictures" in done.output
    assert len(json.loads(Path("found/detections.json").read_text())) == 1
    assert "comes with p2s: CenterNet2 on glyphs, AP 41.3, " in "".join(models._examples())


def test_where_it_is_missing_a_line_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(shelf, "EXAMPLES", {"glyphs": tmp_path / "no"})
    with pytest.raises(ValueError, match="glyphs: this p2s came without it; `p2s study example`"):
        p2s.load("glyphs")
    assert "not in this p2s" in "".join(models._examples())
