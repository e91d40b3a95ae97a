"""`p2s convert`: a folder as others export it becomes what `p2s train` takes."""

from p2s.data.health import check
from tests.support.commands import p2s
from tests.support.labels import one, voc, xml, yolo


def test_a_roboflow_folder_is_converted_and_the_options_of_train_are_told(tmp_path):
    texts = {f"{part}/images/{part}.jpg": "1 .5 .5 .5 .5\n" for part in ("train", "valid", "test")}
    root = yolo(tmp_path / "set", texts)
    done = p2s("convert", root, "--from", "yolo", "--output", tmp_path / "coco")
    assert done.exit_code == 0, done.output
    *counts, options = done.output.splitlines()
    assert counts[1] == (
        f"{tmp_path / 'coco' / 'train.json'}: 1 pictures (0 without objects), 1 objects"
    )
    _, train, _, val, _, images = options.split()
    assert train.endswith("train.json") and val.endswith("valid.json")
    assert check(train, images) == check(val, images) == []


def test_one_part_is_converted_and_a_mistake_is_one_line(tmp_path):
    root = voc(tmp_path / "set", {"x.xml": xml(one("cat", 1, 2, 11, 12))})
    done = p2s("convert", root, "--from", "voc", "--output", tmp_path / "coco")
    assert done.exit_code == 0 and len(done.output.splitlines()) == 1
    done = p2s("convert", root, "--from", "yolo", "--output", tmp_path / "other")
    assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1
    assert "no names of classes" in done.stderr and not (tmp_path / "other").exists()
