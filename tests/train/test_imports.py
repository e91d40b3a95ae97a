"""Imported folders: what they hold is what was released, and nothing that is there is lost."""

import json

import pytest
import torch

from p2s.data.coco import class_names
from p2s.model.released import read_released
from p2s.spec.identity import imported_id
from p2s.train import folder
from p2s.train.folder import load
from p2s.train.imports import import_file
from tests.support.released import small, write
from tests.support.tiny import scene

NAMES = ["a", "b", "c", "d"]


@pytest.fixture
def file(tmp_path):
    torch.manual_seed(1)
    return write(small("FasterRCNN-RPN"), tmp_path / "released.pth")


@torch.no_grad()
def test_an_imported_folder_is_loaded_as_the_file_was_read(file, tmp_path):
    import_file(file, tmp_path / "out", classes=NAMES)
    model, spec, classes = load(tmp_path / "out")
    found = read_released(file)
    assert (spec, classes) == (found.spec, NAMES)
    one, other = (net([scene(0)])[0]["instances"] for net in (model, found.model))
    assert torch.equal(one.pred_boxes.tensor, other.pred_boxes.tensor) and len(one) > 5
    origin = json.loads((tmp_path / "out" / "imported.json").read_text())
    assert (origin["file"], origin["as"]) == ("released.pth", "FasterRCNN-RPN")
    assert origin["dropped"]["state of the training"] == ["optimizer", "scheduler", "iteration"]


def test_eighty_classes_are_cocos(tmp_path):
    path = write(small("RetinaNet", {"num_classes": 80}), tmp_path / "r.pkl")
    import_file(path, tmp_path / "out")
    names = load(tmp_path / "out")[2]
    assert (len(names), names[0], names[-1]) == (80, "person", "toothbrush")


def test_classes_that_are_not_told_or_too_many_are_refused_before_anything_is_written(
    file, tmp_path
):
    with pytest.raises(ValueError, match="released.pth has 4 classes, .*--classes FILE.json"):
        import_file(file, tmp_path / "out")
    with pytest.raises(ValueError, match="released.pth has 4 classes, but 2 are named"):
        import_file(file, tmp_path / "out", classes=["a", "b"])
    assert not (tmp_path / "out").exists()


def test_the_same_again_changes_nothing_and_another_is_refused(file, tmp_path):
    out = tmp_path / "out"
    import_file(file, out, classes=NAMES)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    import_file(file, out, classes=NAMES)
    with pytest.raises(ValueError, match="holds another"):
        import_file(file, out, classes=NAMES, settings=[{"test": {"nms": 0.3}}])
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_an_import_that_was_stopped_goes_on(file, tmp_path, monkeypatch):
    out, written = tmp_path / "out", folder.write_atomic

    def stopped(path, content):
        if path.name == "model.safetensors":
            (path.parent / f".{path.name}.0123").write_bytes(content[:9])  # of a process killed
            raise KeyboardInterrupt
        written(path, content)

    monkeypatch.setattr(folder, "write_atomic", stopped)
    with pytest.raises(KeyboardInterrupt):
        import_file(file, out, classes=NAMES)
    monkeypatch.setattr(folder, "write_atomic", written)
    import_file(file, out, classes=NAMES)
    assert folder.finished(out, imported_id(out)) and load(out)[2] == NAMES


@pytest.mark.parametrize("damage", ["{", "[]", "{}"])
def test_the_identity_of_a_damaged_import_is_told_in_a_line(file, tmp_path, damage):
    import_file(file, tmp_path / "out", classes=NAMES)
    (tmp_path / "out" / "imported.json").write_text(damage)
    with pytest.raises(ValueError, match="out: not as an import leaves it: ") as error:
        imported_id(tmp_path / "out")
    assert len(str(error.value).splitlines()) == 1


def test_a_folder_that_holds_other_things_is_refused(file, tmp_path):
    with pytest.raises(ValueError, match="is not empty; valid: a new folder"):
        import_file(file, tmp_path, classes=NAMES)
    assert [path.name for path in tmp_path.iterdir()] == ["released.pth"]


def test_names_of_classes_are_in_the_order_of_their_ids(tmp_path):
    rows = [{"id": 9, "name": "b"}, {"id": 2, "name": "a"}]
    (tmp_path / "a.json").write_text(json.dumps({"categories": rows}))
    assert class_names(tmp_path / "a.json") == ("a", "b")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"categories": [{"name": "a"}]}'])
def test_a_file_without_classes_is_told_in_a_line(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    told = "a.json: (not valid JSON: |categories: .*; valid: COCO's JSON)"
    with pytest.raises(ValueError, match=told) as error:
        class_names(tmp_path / "a.json")
    assert len(str(error.value).splitlines()) == 1
