"""Classes: matched by name between files, whatever their order and ids."""

import pytest

from p2s.data import coco, lvis
from p2s.data.classes import beyond, in_classes_of, require_shared
from tests.support.tiny_lvis import named, sound, written

FILES = {"told": "b.json", "trained": "a.json"}


def read(folder, names, shown=()):
    """A set with these names by id, and an image with an object of each id that is shown."""
    boxes = [
        {"id": k, "image_id": 1, "category_id": category, "bbox": [k, 0, 2, 2]}
        for k, category in enumerate(shown, 1)
    ]
    tables = named() | {
        "annotations": boxes,
        "categories": [{"id": key, "name": name} for key, name in names.items()],
    }
    return coco.read_coco(written(folder, tables), folder)


def test_another_order_and_other_ids_are_numbered_by_name(tmp_path):
    val = read(tmp_path, {0: "dog", 7: "cat", 3: "owl"}, shown=[7, 0, 3])
    ours = in_classes_of(val, ["cat", "dog", "owl"], **FILES)
    assert ours.classes == ("cat", "dog", "owl") and ours.boxes(0)[1].tolist() == [0, 1, 2]
    assert ours.fingerprint == val.fingerprint and ours.image_counts.tolist() == [1, 1, 1]


def test_a_subset_keeps_the_numbers_of_all(tmp_path):
    val = read(tmp_path, {1: "dog"}, shown=[1])
    ours = in_classes_of(val, ["cat", "dog", "owl"], **FILES)
    assert ours.boxes(0)[1].tolist() == [1] and len(set(ours.category_ids)) == 3
    assert ours.image_counts.tolist() == [0, 1, 0]


def test_equal_classes_are_the_very_data(tmp_path):
    val = read(tmp_path, {1: "cat", 2: "dog"})
    assert in_classes_of(val, ["cat", "dog"], **FILES) is val


def test_a_real_difference_names_both_files_and_the_classes(tmp_path):
    val = read(tmp_path, {1: "cat", 2: "zebra", 3: "yak"})
    with pytest.raises(ValueError) as told:
        in_classes_of(val, ["cat", "dog"], **FILES)
    line = "b.json: categories: zebra, yak not in a.json (valid: cat, dog)"
    assert str(told.value) == line


@pytest.mark.parametrize(
    ("name", "known", "how"),
    [
        ("cafe\u0301", "caf\xe9", r"'caf\xe9', not 'cafe\u0301'"),
        ("cat ", "cat", "'cat', not 'cat '"),
        ("cat\u200b", "cat", r"'cat', not 'cat\u200b'"),
        ("Traffic_Light", "traffic light", "'traffic light', not 'Traffic_Light'"),
    ],
)
def test_names_that_look_alike_are_told_with_what_differs(tmp_path, name, known, how):
    with pytest.raises(ValueError) as told:
        in_classes_of(read(tmp_path, {1: name, 2: "dog"}), [known, "dog"], **FILES)
    assert f"{told.value}".endswith(f"(valid: {known}, dog; written {how})")
    with pytest.raises(ValueError) as told:
        require_shared([name], [known], told="b.json")
    assert f"{told.value}".endswith(f"; written {how})")
    assert beyond({name: 2}, [known], told="b.json").endswith(f"; written {how}")
    assert "written" not in beyond({"--": 1, "cow": 1}, [known, "..."], told="b.json")


def test_what_lvis_says_of_an_image_follows_the_names(tmp_path):
    data = lvis.read_lvis(written(tmp_path, sound()), tmp_path)
    turned = in_classes_of(data, data.classes[::-1], **FILES)
    for before, after in zip(data.negatives, turned.negatives, strict=True):
        assert {data.classes[k] for k in before} == {turned.classes[k] for k in after}
    assert turned.not_exhaustive[0] == {2} and turned.groups == data.groups
    assert [data.classes[k] for k in data.boxes(2)[1]] == [
        turned.classes[k] for k in turned.boxes(2)[1]
    ]
