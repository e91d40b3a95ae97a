import os
import subprocess
import sys

import pytest

from p2s.data import coco, glyphs, health
from p2s.data.glyphs import stored
from p2s.spec import Glyphs

SMALL = Glyphs(seed=3, train=5, val=2, size=64, classes=4)
BY_CHANCE = Glyphs(seed=5, size=64, classes=2, chances=((0.25, 0.8), (0.9, 0.1), (1, 1), (1, 0)))


def changed(**fields):
    return SMALL.model_copy(update=fields)


def test_prepared_data_is_healthy_coco_and_equals_the_scenes(tmp_path):
    files = glyphs.prepare(SMALL, tmp_path)
    for split, path in (("train", files.train), ("val", files.val)):
        assert health.check(path, files.images) == []
        data = coco.read_coco(path, files.images)
        assert len(data) == getattr(SMALL, split) and data.classes == tuple("ARKE")
        for index in range(len(data)):
            sample, (image, objects) = data.sample(index), glyphs.scene(SMALL, split, index)
            assert (sample["image"] == image).all() and sample["image_id"] == index
            assert sample["classes"].tolist() == [one["label"] for one in objects]


def test_prepared_once_and_an_interrupted_drawing_is_replaced(tmp_path, monkeypatch):
    folder = glyphs.prepare(SMALL, tmp_path).images
    folder.rename(tmp_path / f"{folder.name}.part")
    files = glyphs.prepare(SMALL, tmp_path)
    monkeypatch.setattr(glyphs, "scene", None)
    assert glyphs.prepare(SMALL, tmp_path) == files
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [folder.name]


@pytest.mark.parametrize("name", ["val.json", "train/000000.bmp"])
def test_scenes_of_which_a_file_is_gone_are_drawn_again(tmp_path, name):
    place = stored.prepare(SMALL, tmp_path).images / name
    before = place.read_bytes()
    place.unlink()
    stored.prepare(SMALL, tmp_path)
    assert place.read_bytes() == before


def test_a_damaged_table_of_scenes_is_named(tmp_path):
    stored.prepare(SMALL, tmp_path).val.write_bytes(b"{")
    with pytest.raises(ValueError, match=r"val.json: not valid JSON"):
        stored.load(SMALL, tmp_path)


def test_several_processes_draw_what_one_draws(tmp_path, monkeypatch):
    one = glyphs.prepare(SMALL, tmp_path / "one")
    monkeypatch.setattr(stored, "FEW", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    many = glyphs.prepare(SMALL, tmp_path / "many")
    names = sorted(path.relative_to(one.images) for path in one.images.rglob("*.*"))
    assert names == sorted(path.relative_to(many.images) for path in many.images.rglob("*.*"))
    assert len(names) == 9
    assert all((one.images / n).read_bytes() == (many.images / n).read_bytes() for n in names)


def test_a_failing_process_is_an_error_and_leaves_no_data(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "FEW", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(RuntimeError, match="failed: see the error above"):
        glyphs.prepare(SMALL, tmp_path)
    assert not list(tmp_path.glob("glyphs-*/train.json"))


def test_a_script_without_a_main_guard_may_ask_for_scenes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from p2s.data.glyphs import stored; stored.FEW = 1\n"
        f"print(stored.prepare(stored.Glyphs(train=4, val=2, size=32), {str(tmp_path)!r}).train)"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and run.stdout.strip().endswith("train.json"), run.stderr


def test_data_alike_but_for_fragments_have_different_annotation_files(tmp_path):
    files = [glyphs.prepare(changed(fragments=f, train=1, val=1), tmp_path) for f in (0.0, 2.0)]
    assert len({coco.read_coco(f.train, f.images).fingerprint for f in files}) == 2


def test_only_what_is_annotated_is_in_the_data(tmp_path):
    small = BY_CHANCE.model_copy(update={"train": 6, "val": 3})
    train, val = glyphs.load(small, tmp_path)
    for split, data in (("train", train), ("val", val)):
        for index in range(len(data)):
            boxes, classes, _ = data.boxes(index)
            items = [x for x in glyphs.scene(small, split, index)[1] if x["annotated"]]
            assert classes.tolist() == [item["label"] for item in items]
            assert boxes[:, :2].tolist() == [item["bbox"][:2] for item in items]
    assert train.classes == ("A", "B")
