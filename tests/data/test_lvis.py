"""LVIS's format: reading, groups, and every fault told."""

from hashlib import sha256

import numpy as np
import pytest
from detectron2.data.datasets.lvis_v1_category_image_count import LVIS_CATEGORY_IMAGE_COUNT

from p2s.data import coco, lvis
from p2s.data.loader import augment
from tests.support.tiny_lvis import PICTURES, URL, draw, named, sound, written


@pytest.fixture
def folder(tmp_path):
    draw(tmp_path)
    return tmp_path


def told(folder, tables):
    return lvis.check(written(folder, tables), folder)


def test_pictures_are_found_by_their_coco_url(folder):
    data = lvis.read_lvis(written(folder, sound()), folder)
    assert tuple(row["file_name"] for row in data.images) == PICTURES
    assert [int(data.sample(k)["image"].max()) for k in range(3)] == pytest.approx([1, 2, 3], abs=1)


def test_a_file_name_serves_where_there_is_no_coco_url(folder):
    tables = named()
    for row in tables["images"]:
        del row["coco_url"]
    assert told(folder, tables) == []
    assert lvis.read_lvis(folder / "a.json", folder).sample(1)["image"].shape == (48, 64, 3)


def test_the_lists_are_class_numbers_in_the_order_of_the_ids(folder):
    data = lvis.read_lvis(written(folder, sound()), folder)
    assert data.classes == ("class 2", "class 5", "class 9") and data.category_ids == (2, 5, 9)
    assert data.negatives == [{1}, set(), {0, 2}]
    assert data.not_exhaustive == [{0}, set(), set()]


def test_the_first_images_keep_what_is_said_of_them(folder):
    whole = lvis.read_lvis(written(folder, sound()), folder)
    few = whole.first(1)
    for name in ("images", "annotations", "negatives", "not_exhaustive"):
        assert len(getattr(whole, name)) > 1
        assert getattr(few, name) == getattr(whole, name)[:1]
    assert few.classes == whole.classes and len(few.present) == 1


def test_all_else_is_read_as_from_a_coco_file(folder):
    data = lvis.read_lvis(written(folder, sound()), folder)
    plain = coco.read_coco(written(folder, named(), "b.json"), folder)
    same = ("images", "annotations", "classes", "category_ids", "trainable", "present", "folder")
    assert all(getattr(data, name) == getattr(plain, name) for name in same)
    assert data.fingerprint == sha256((folder / "a.json").read_bytes()).hexdigest()
    assert data.present == [{0, 2}, {0}, {1}]


def test_an_image_counts_once_for_a_class_however_many_objects_it_has(folder):
    tables = sound()
    tables["annotations"][0]["bbox"][2] = 0  # LVIS counts what is annotated, flat or not
    tables["categories"].append({"id": 11, "name": "none"})
    data = lvis.read_lvis(written(folder, tables), folder)
    assert data.image_counts.tolist() == [2, 1, 1, 0]


def test_groups_are_bounded_by_10_and_100_images():
    found = lvis.groups(np.array([101, 10, 11, 100, 0, 1, 5000]))
    assert found == {"r": [1, 4, 5], "c": [2, 3], "f": [0, 6]}


def test_the_real_counts_give_337_rare_461_common_and_405_frequent_classes():
    counts = np.array([row["image_count"] for row in LVIS_CATEGORY_IMAGE_COUNT])
    rare, common, frequent = lvis.groups(counts).values()
    assert [len(rare), len(common), len(frequent)] == [337, 461, 405]
    assert sorted([*rare, *common, *frequent]) == list(range(1203))


def test_an_object_carries_which_classes_its_image_tells_of(folder):
    row = lvis.read_lvis(written(folder, sound()), folder).sample(0)
    fields = augment(row, 48, 64, flip=False)["instances"]
    assert fields.gt_annotated.all() and len(fields) == len(row["boxes"]) == 3
    assert fields.gt_known.tolist() == [[True, True, True]] * 3  # 2 and 9 annotated, 5 absent
    assert lvis.read_lvis(folder / "a.json", folder).sample(1)["fields"]["gt_known"][0].sum() == 1


def test_a_sound_file_has_no_problems(folder):
    assert told(folder, sound()) == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("neg_category_ids", None, "neg_category_ids: None (valid: a list of category ids)"),
        (
            "neg_category_ids",
            [5, "2"],
            "neg_category_ids: [5, '2'] (valid: a list of category ids)",
        ),
        ("neg_category_ids", [True], "neg_category_ids: [True] (valid: a list of category ids)"),
        ("neg_category_ids", [[5]], "neg_category_ids: [[5]] (valid: a list of category ids)"),
        ("neg_category_ids", [5, 7], "neg_category_ids: 7 (valid: an id among the categories)"),
        ("neg_category_ids", [5, 9], "neg_category_ids: 9 is annotated in the image (valid: categ"),
        (
            "not_exhaustive_category_ids",
            {"2": 1},
            "not_exhaustive_category_ids: {'2': 1} (valid: a",
        ),
        ("not_exhaustive_category_ids", [4], "not_exhaustive_category_ids: 4 (valid: an id among"),
        ("coco_url", 7, "file_name: missing (valid: a path)"),
        ("coco_url", f"{URL}/val2017/001.jpg", "file_name: val2017/001.jpg: no such file in "),
        ("width", 0, "width: 0 (valid: pixels, 1 or more)"),
    ],
)
def test_a_wrong_field_of_an_image_is_told_in_one_line(folder, name, value, expected):
    tables = sound()
    tables["images"][0][name] = value
    [line] = told(folder, tables)
    assert line.startswith(f"a.json: image 1: {expected}")


@pytest.mark.parametrize("name", lvis.LISTS)
def test_a_missing_list_is_told_and_never_read_as_empty(folder, name):
    tables = sound()
    del tables["images"][1][name]
    problem = f"image 2: {name}: missing (valid: a list of category ids)"
    assert told(folder, tables) == [f"a.json: {problem}"]
    with pytest.raises(ValueError) as refused:
        lvis.read_lvis(folder / "a.json", folder)
    assert str(refused.value) == f"{folder / 'a.json'}: {problem}"


def test_an_unknown_category_in_a_list_is_not_read(folder):
    tables = sound()
    tables["images"][2]["not_exhaustive_category_ids"] = [3]
    with pytest.raises(ValueError, match="image 3: not_exhaustive_category_ids: 3"):
        lvis.read_lvis(written(folder, tables), folder)


def test_no_fault_of_any_table_raises_in_the_check(folder):
    for table in ("images", "annotations", "categories"):
        for name in sound()[table][0]:
            for value in (None, "x", -1, [1], {}, float("nan")):
                tables = sound()
                tables[table][0][name] = value
                lines = told(folder, tables)
                assert all(line.startswith("a.json: ") for line in lines)
    assert told(folder, [3]) and told(folder, {"images": []})
