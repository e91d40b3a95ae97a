import json
import subprocess
import sys
import time

import pytest
from PIL import Image

from p2s.data import coco
from p2s.data.checks.doubts import of_training
from p2s.data.health import check, health


def sound():
    return {
        "images": [{"id": k, "file_name": f"{k}.jpg", "width": 64, "height": 48} for k in (1, 2)],
        "annotations": [
            {"id": k, "image_id": k, "category_id": 5, "bbox": [0, 0, 64.5, 48], "iscrowd": k - 1}
            for k in (1, 2)
        ],
        "categories": [{"id": 5, "name": "thing"}],
    }


@pytest.fixture
def told(tmp_path):
    for k in (1, 2):
        Image.new("L", (64, 48)).save(tmp_path / f"{k}.jpg")

    def told(data):
        text = data if isinstance(data, bytes) else json.dumps(data).encode()
        (tmp_path / "a.json").write_bytes(text)
        return check(tmp_path / "a.json", tmp_path)

    return told


def test_a_sound_file_has_no_problems(told):
    assert told(sound()) == []


def test_every_broken_box_is_told_in_one_line_with_file_id_and_field(told):
    nan, inf = float("nan"), float("inf")
    for box in ([0, 0, 0, 5], [0, 0, -1, 5], [nan, 0, 5, 5], [0, 0, inf, 5], [1, 2, 3], None,
                [60, 0, 9, 9], [0, -2, 5, 5], [0, 0, "4", 5], "box",
                [True, 0, 5, 5], [0, 0, True, 5]):  # fmt: skip
        data = sound()
        data["annotations"][1]["bbox"] = box
        [line] = told(data)
        assert line.startswith("a.json: annotation 2: bbox: ") and "(valid: " in line


@pytest.mark.parametrize(
    ("table", "field", "value", "expected"),
    [
        ("annotations", "image_id", 7, "annotation 2: image_id: 7 (valid: an id among the images)"),
        ("annotations", "image_id", [1], "annotation 2: image_id: [1]"),
        ("annotations", "category_id", 6, "annotation 2: category_id: 6 (valid: 5)"),
        ("annotations", "iscrowd", 3, "annotation 2: iscrowd: 3 (valid: 0, 1)"),
        ("annotations", "iscrowd", None, "annotation 2: iscrowd: None (valid: 0, 1)"),
        ("annotations", "iscrowd", True, "annotation 2: iscrowd: True (valid: 0, 1)"),
        ("annotations", "area", -1, "annotation 2: area: -1 (valid: square pixels, 0 or more)"),
        ("annotations", "area", float("nan"), "annotation 2: area: nan"),
        ("annotations", "area", float("inf"), "annotation 2: area: inf"),
        ("annotations", "area", "9", "annotation 2: area: '9'"),
        ("annotations", "area", None, "annotation 2: area: None"),
        ("annotations", "area", True, "annotation 2: area: True"),
        ("annotations", "image_id", True, "annotation 2: image_id: True (valid: an id among"),
        ("annotations", "image_id", "2", "annotation 2: image_id: '2', a text (valid: an id"),
        ("annotations", "category_id", True, "annotation 2: category_id: True (valid: 5)"),
        ("annotations", "category_id", "5", "annotation 2: category_id: '5', a text (valid: 5)"),
        ("annotations", "id", 1, "annotation 1: id: used twice (valid: unique)"),
        (
            "annotations",
            "id",
            None,
            "annotation number 1: id: None (valid: a whole number of 64 bits)",
        ),
        ("images", "width", 0, "image 2: width: 0 (valid: pixels, 1 or more)"),
        ("images", "height", "48", "image 2: height: '48', a text (valid: pixels, 1 or more)"),
        ("images", "width", True, "image 2: width: True"),
        ("images", "width", 64.5, "image 2: width: 64.5"),
        ("images", "id", 2**63, f"image number 1: id: {2**63} (valid: a whole number of 64 bits)"),
        ("images", "id", True, "image number 1: id: True (valid: a whole number of 64 bits)"),
        ("images", "file_name", "sub/3.jpg", "image 2: file_name: sub/3.jpg: no such file"),
        ("images", "file_name", None, "image 2: file_name: None (valid: a path)"),
        ("categories", "id", "x", "category number 0: id: 'x'"),
        ("categories", "name", 5, "category 5: name: 5 (valid: a text)"),
        ("categories", "name", None, "category 5: name: None"),
    ],
)
def test_a_wrong_field_is_told_with_its_row(told, table, field, value, expected):
    data = sound()
    data[table][-1][field] = value
    assert told(data)[0].startswith(f"a.json: {expected}")


def test_a_category_one_is_not_true(told):
    data = sound()
    data["categories"][0]["id"] = data["annotations"][0]["category_id"] = 1
    data["annotations"][1]["category_id"] = True
    assert told(data) == ["a.json: annotation 2: category_id: True (valid: 1)"]


def test_sizes_may_be_floats_that_are_whole_and_are_read_as_whole(told, tmp_path):
    data = sound()
    data["images"][0] |= {"width": 64.0, "height": 48.0}
    assert told(data) == []
    read = coco.read_coco(tmp_path / "a.json", tmp_path)
    assert [type(read.images[0][side]) for side in ("width", "height")] == [int, int]
    assert read.sample(0)["image"].shape == (48, 64, 3)


def test_doubts_are_told_of_sound_files_alone(told, tmp_path):
    data = sound()
    data["annotations"][1]["iscrowd"] = 0
    data["images"].append({"id": 3, "file_name": "1.jpg", "width": 64, "height": 48})
    assert told(data) == []
    examined = health(tmp_path / "a.json", tmp_path, of_training)
    assert examined.problems == [] and len(examined.pictures) == 3
    twice, without = examined.doubts
    assert twice.startswith("a.json: images: file_name: 1 of more than one image, 1.jpg of 1, 3")
    assert without.startswith("a.json: images: 1 of 3 have no object")
    data["annotations"][1]["bbox"] = None
    told(data)
    assert len(health(tmp_path / "a.json", tmp_path, of_training).doubts) == 1  # of pictures


def test_a_missing_field_is_told_as_missing(told):
    for table, field in (("images", "width"), ("images", "file_name"), ("annotations", "bbox"),
                         ("annotations", "category_id"), ("annotations", "image_id"),
                         ("annotations", "id"), ("categories", "id")):  # fmt: skip
        data = sound()
        del data[table][-1][field]
        assert f"{field}: missing" in " ".join(told(data)) or field == "bbox" and told(data)


def test_fields_that_may_be_left_out_and_names_used_twice_pass(told):
    data = sound()
    del data["annotations"][0]["iscrowd"], data["categories"][0]["name"]
    data["annotations"][0]["area"], data["annotations"][1]["area"] = 0, 7.5
    data["categories"] += [{"id": k, "name": "thing"} for k in (6, 7)]
    assert told(data) == []


def test_duplicate_images_and_only_crowds_are_told(told):
    data = sound()
    data["images"].append(data["images"][0])
    data["annotations"][0]["iscrowd"] = 1
    lines = told(data)
    assert lines[0] == "a.json: image 1: id: used twice (valid: unique)"
    assert "every one is a crowd" in lines[1] and len(lines) == 2


def test_unreadable_files_are_told_without_an_exception(told, tmp_path):
    whole = json.dumps(sound()).encode()
    for text in (b"", whole[:-9], b"\xff\xfe", b"[1, 2]", b"3", b"{}", b'{"images": 3}'):
        lines = told(text)
        assert lines and all(line.startswith("a.json: ") for line in lines)
    assert "No such file" in check(tmp_path / "b.json", tmp_path)[0]
    assert len(told({**sound(), "annotations": []})) == 1
    assert len(told({**sound(), "images": [3]})) == 1


def test_a_missing_folder_is_told_once_per_image_and_never_raises(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(sound()))
    assert len(check(tmp_path / "a.json", tmp_path / "none")) == 2


def test_many_alike_are_counted(told):
    data = sound()
    row = data["annotations"][0]
    data["annotations"] += [{**row, "id": k, "bbox": [0, 0, 0, 1]} for k in range(10, 110)]
    lines = told(data)
    assert len(lines) == 21 and lines[-1] == "a.json: ... and 80 more like the last line"


def test_the_two_flat_boxes_of_coco_pass_and_others_do_not(told):
    data = sound()
    data["images"][0]["id"] = data["annotations"][0]["image_id"] = 200365
    data["annotations"][0] |= {"id": 918, "bbox": [1, 2, 1.03, 0.0]}
    assert told(data) == []
    data["annotations"][0]["id"] = 919
    assert len(told(data)) == 1


def test_twenty_megabytes_take_little_processor_time_and_no_torch(tmp_path):
    data = sound()
    row, image = data["annotations"][0] | {"segmentation": [], "area": 12.5}, data["images"][0]
    data["images"] = [image | {"id": k, "coco_url": "x" * 90} for k in range(10_000)]
    data["annotations"] = [row | {"id": k, "image_id": k % 10_000} for k in range(160_000)]
    (tmp_path / "a.json").write_text(json.dumps(data))
    Image.new("L", (64, 48)).save(tmp_path / "1.jpg")
    code = (
        "import sys, time; from p2s.data.health import check; assert check(*sys.argv[1:]) == [];"
        "assert not {'torch', 'numpy'} & set(sys.modules); print(time.process_time())"
    )
    paths = [str(tmp_path / "a.json"), str(tmp_path)]
    start = time.perf_counter()
    run = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, check=True)
    wall = time.perf_counter() - start
    assert float(run.stdout) < 1.5, f"{wall:.2f} s on the clock"  # 0.6 s on an idle machine
