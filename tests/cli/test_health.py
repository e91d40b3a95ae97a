"""The health of a command's data: all faults of all files before any work, doubts as warnings."""

import json
import os
import re
import shutil

import pytest
from PIL import Image

from p2s.data import glyphs
from p2s.spec import Glyphs
from tests.support.commands import in_a_process, p2s, words_of_train

REGULAR = "not a regular file (valid: a file on a disk)"


@pytest.fixture
def files(tmp_path):
    return glyphs.prepare(Glyphs(train=4, val=3, size=64, classes=2), tmp_path / "glyphs")


def changed(path, change):
    """Write an annotation file anew, after a change of its tables."""
    tables = json.loads(path.read_text())
    change(tables)
    path.write_text(json.dumps(tables))


def many(tables):
    """More objects of a class in an image than AP counts."""
    row = tables["annotations"][0]
    tables["annotations"] = [row | {"id": k, "bbox": [k / 4, 1, 3, 3]} for k in range(150)]


def train(files, folder, *more):
    return p2s(*words_of_train(files, folder / "out", "--set", "recipe.iterations=1", *more))


def test_bad_pictures_of_both_files_are_told_together_before_torch(files, tmp_path):
    names = {
        path: [row["file_name"] for row in json.loads(path.read_text())["images"]]
        for path in (files.train, files.val)
    }
    (files.images / names[files.train][0]).write_bytes(b"")
    whole = files.images / names[files.val][1]
    whole.write_bytes(whole.read_bytes()[:-30])
    Image.new("L", (9, 9)).save(files.images / names[files.val][2])
    done = in_a_process(*words_of_train(files, tmp_path / "out"))
    assert done.returncode == 2 and done.stdout == "False\n"
    lines = done.stderr.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["train.json", "val.json", "val.json"]
    assert "0 bytes" in lines[0] and names[files.train][0] in lines[0]
    assert any("cut short" in line and names[files.val][1] in line for line in lines[1:])
    assert any("is 9 x 9, the annotation file says 64 x 64" in line for line in lines[1:])
    assert not (tmp_path / "out").exists()


def test_doubts_are_warnings_and_training_goes_on(files, tmp_path):
    def empty(tables):
        kept = tables["images"][0]["id"]
        rows = [row for row in tables["annotations"] if row["image_id"] == kept]
        tables["annotations"] = [row | {"area": 0} for row in rows]

    changed(files.train, empty)
    done = train(files, tmp_path)
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert done.exit_code == 0 and len(warnings) in (2, 3)  # a class may have no object left
    assert any("train.json: images: 3 of 4 have no object" in line for line in warnings)
    assert any("train.json: annotations: area: 0 of every object" in line for line in warnings)
    assert "CenterNet2 on 1 of 4 images" in done.stdout
    done = train(files, tmp_path / "empty", "--set", "recipe.empty=true")
    assert done.exit_code == 0 and "CenterNet2 on 4 images" in done.stdout
    assert "no object and do not train" not in done.stderr
    done = train(files, tmp_path / "again", "--start", tmp_path / "empty" / "out")
    assert done.exit_code == 0 and "no object and do not train" not in done.stderr


def test_files_of_one_name_are_told_by_their_paths(files, tmp_path):
    places = [tmp_path / part / "_annotations.coco.json" for part in ("train", "valid")]
    for place, file in zip(places, (files.train, files.val), strict=True):
        place.parent.mkdir()
        shutil.copy(file, place)
    changed(places[1], lambda tables: tables["annotations"][0].update(category_id=99))
    done = train(
        files.model_copy(update=dict(zip(("train", "val"), places, strict=True))), tmp_path
    )
    assert done.exit_code == 2 and done.stderr.startswith(f"{places[1]}: annotation ")


def test_pictures_that_both_sets_have_are_a_warning(files, tmp_path):
    same = files.model_copy(update={"val": files.train})
    done = train(same, tmp_path)
    assert done.exit_code == 0
    place = re.escape(f"{files.train}")  # of both, as their names are the same
    told = f"warning: {place}: 4 of 4 pictures are like ones of {place}"
    assert re.search(told, done.stderr)
    assert "are like" not in train(files, tmp_path / "apart").stderr


@pytest.mark.parametrize("way", ["order", "ids", "subset"])
def test_classes_go_by_name_in_training_and_evaluation(files, tmp_path, way):
    def rename(tables):
        first, second = tables["categories"]
        if way == "subset":
            rows = [row for row in tables["annotations"] if row["category_id"] == second["id"]]
            tables["annotations"], tables["categories"] = rows, [second]
        else:
            ids = {first["id"]: second["id"], second["id"]: first["id"]}
            ids = ids if way == "order" else {key: key + 70 for key in ids}
            for row in tables["annotations"]:
                row["category_id"] = ids[row["category_id"]]
            for row in (first, second):
                row["id"] = ids[row["id"]]

    other = tmp_path / "other.json"
    shutil.copy(files.val, other)
    changed(other, rename)
    done = train(files.model_copy(update={"val": other}), tmp_path)
    assert done.exit_code == 0, done.output
    numbers = json.loads((tmp_path / "out" / "metrics.json").read_text())
    data = ("--annotations", other, "--images", files.images, "--output", tmp_path / "again.json")
    assert p2s("evaluate", "--model", tmp_path / "out", *data).exit_code == 0
    assert json.loads((tmp_path / "again.json").read_text()) == numbers
    if way != "subset":
        assert train(files, tmp_path).exit_code == 0  # the very training, evaluated on the original
        assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == numbers


def test_a_class_that_training_lacks_names_both_files(files, tmp_path):
    changed(files.val, lambda tables: tables["categories"][1].update(name="zebra"))
    done = train(files, tmp_path)
    [line] = [line for line in done.stderr.splitlines() if line.startswith("p2s: ")]
    assert done.exit_code == 2
    assert line.startswith(f"p2s: {files.val}: categories: zebra not in {files.train} (valid: ")


def test_another_setting_is_named_with_both_values(files, tmp_path):
    assert train(files, tmp_path).exit_code == 0
    done = train(files, tmp_path, "--set", "recipe.rate=0.01")
    assert done.exit_code == 2 and "recipe.rate is 0.04 there and 0.01 here" in done.stderr


def test_a_pipe_is_refused_at_once(files, tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    done = train(files.model_copy(update={"train": tmp_path / "pipe.json"}), tmp_path)
    assert done.exit_code == 2
    assert done.stderr == f"p2s: {tmp_path}/pipe.json: {REGULAR}\n"


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_a_pipe_is_not_written_over(files, tmp_path, command):
    place = tmp_path / "pipe.json"
    os.mkfifo(place)
    words = {
        "evaluate": ["--annotations", files.val, "--images", files.images],
        "export": ["--to", "onnx", "--size", "96", "96"],
    }
    told = [command, *(["--model"] * (command == "evaluate")), "glyphs", *words[command]]
    done = p2s(*map(str, told), "--output", str(place))
    assert done.exit_code == 2 and place.is_fifo()
    assert done.stderr.splitlines()[-1] == f"p2s: {place}: {REGULAR}"


def test_evaluate_tells_them_under_its_table_too(files):
    changed(files.val, many)
    done = p2s(
        *("evaluate", "--model", "glyphs", "--set", "test.detections=5"),
        *("--annotations", str(files.val), "--images", str(files.images)),
    )
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].startswith("annotations: more than 100 objects of a class")


def test_more_objects_than_ap_counts_are_told_under_the_table(files, tmp_path):
    changed(files.val, many)
    done = train(files, tmp_path)
    assert done.exit_code == 0 and "warning: val.json: annotations: more than 100" in done.stderr
    assert done.stdout.splitlines()[-2].startswith("annotations: more than 100 objects of a class")
