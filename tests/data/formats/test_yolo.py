"""YOLO: parts, names and boxes as they are meant, or a line with file and line."""

import pytest

from p2s.data.formats.yolo import class_names, lines, read
from tests.support.labels import turned, yolo

ONE = "1 0.5 0.5 0.5 0.5\n"


def test_shares_become_pixels_and_numbers_names(tmp_path):
    root = yolo(tmp_path, {"train/images/a.jpg": "0 .25 .5 .5 1\n" + ONE})
    classes, parts = read(root)
    [picture] = parts["train"]
    assert classes == ["cat", "dog"] and picture.size == (40, 20)
    assert picture.picture == root / "train/images/a.jpg"
    assert [(row["category"], row["bbox"]) for row in picture.objects] == [
        ("cat", [0, 0, 20, 20]),
        ("dog", [10, 5, 20, 10]),
    ]


@pytest.mark.parametrize(
    "names, parts",
    [
        (("train/images/a.jpg", "valid/images/a.jpg"), ["train", "valid"]),  # Roboflow
        (("images/train/a.jpg", "images/val/b.jpg"), ["train", "val"]),  # Ultralytics
        (("images/a.png",), ["all"]),
        (("a.jpg", "b.webp"), ["all"]),  # side by side
        (("train/a.jpg", "test/b.jpg"), ["test", "train"]),
        (("images/images/a.jpg",), ["all"]),  # the last `images` counts
    ],
)
def test_every_layout_is_read(tmp_path, names, parts):
    root = yolo(tmp_path, dict.fromkeys(names, ONE))
    found = read(root).labelled
    assert sorted(found) == parts
    pictures = [each for part in found.values() for each in part]
    assert sorted(each.picture for each in pictures) == sorted(root / name for name in names)
    assert [len(each.objects) for each in pictures] == [1] * len(names)


@pytest.mark.parametrize(
    "data",
    [
        "names: [cat, 'a: b']\nnc: 2\n",
        "train: ../elsewhere\nnames:\n- cat\n- 'a: b'\n",  # Roboflow's
        "names:\n  1: 'a: b'\n  0: cat\n",
        "names: {0: cat, 1: 'a: b'}\n",
    ],
)
def test_names_are_read_as_yaml_has_them(tmp_path, data):
    root = yolo(tmp_path, {"images/a.jpg": ONE}, data)
    assert class_names(root) == ["cat", "a: b"]
    assert read(root).labelled["all"][0].objects[0]["category"] == "a: b"


def test_names_may_be_numbers_and_stand_in_a_text(tmp_path):
    root = yolo(tmp_path, {"images/a.jpg": ONE}, "names: [7, 8]\n")
    assert class_names(root) == ["7", "8"]
    (root / "data.yaml").rename(root / "classes.txt").write_text("sea eagle\nowl\n\n")
    assert read(root).classes == ["sea eagle", "owl"]


def test_pictures_without_labels_have_no_objects(tmp_path):
    root = yolo(tmp_path, {"images/a.jpg": ONE, "images/b.jpg": None, "images/c.jpg": "\n"})
    assert [len(each.objects) for each in read(root).labelled["all"]] == [1, 0, 0]


def test_shares_are_of_the_picture_as_it_is_seen(tmp_path):
    root = yolo(tmp_path, {"images/a.jpg": ONE})
    turned(root / "images/a.jpg")
    [picture] = read(root).labelled["all"]
    assert picture.size == (20, 40)
    assert picture.objects[0]["bbox"] == [5, 10, 10, 20]


@pytest.mark.parametrize(
    "data, told",
    [
        ("nc: 2\n", "line 1: names: Field required"),
        ("names: [cat, cat]\n", "names: 'cat' twice"),
        ("names: []\n", "names: none"),
        ("names: [cat]\nnc: 2\n", "nc: 2, but there are 1 names"),
        ("names: {1: cat, 2: dog}\n", "names: numbers [1, 2]; valid: 0, 1, 2 and so on"),
        ("names: [cat\n", "line 2: "),
        ("names: cat\n", "line 1: names"),
        ("names: 5\n", "line 1: names"),
        ("names: {0: 'on', 1: off}\n", "line 1: names: 1: false, no name; valid: yes, no, on, off"),
        ("nc: 2\nnames: [cat, on]\n", "line 2: names: 1: true, no name; valid: yes, no, on, off"),
        (
            "names:\n  0: ~\n",
            "line 2: names: 0: null, no name; valid: yes, no, on, off and null in",
        ),
    ],
)
def test_names_that_are_wrong_are_told_with_the_file(tmp_path, data, told):
    root = yolo(tmp_path, {"images/a.jpg": ONE}, data)
    with pytest.raises(ValueError) as error:
        class_names(root)
    assert str(error.value).startswith(f"{root / 'data.yaml'}: {told}")


@pytest.mark.parametrize(
    "text, told",
    [
        ("7 .5 .5 .5 .5\n", "line 3: class_idx 7 out of range (nc=2)"),
        ("1 .5 .5 .5\n", "line 3: expected 5 fields, got 4 in: 1 .5 .5 .5"),
        ("1 .5 .5 .5 a\n", "line 3: invalid height: a"),
        ("0 .1 .1 .5 .1 .5 .5\n", "line 3: expected 5 fields, got 7"),
    ],
)
def test_a_wrong_line_is_told_with_file_and_line(tmp_path, text, told):
    root = yolo(tmp_path, {"train/images/a.jpg": ONE, "train/images/b.jpg": f"{ONE}\n{text}"})
    with pytest.raises(ValueError) as error:
        read(root)
    assert str(error.value).startswith(f"{root / 'train/labels/b.txt'}: {told}")


@pytest.mark.parametrize("name", ["labels/a.txt", "data.yaml", "classes.txt"])
def test_a_byte_order_mark_is_left_out(tmp_path, name):
    root = yolo(tmp_path, {"images/a.jpg": ONE})
    if name == "classes.txt":
        (root / "data.yaml").rename(root / name).write_text("cat\ndog\n")
    (root / name).write_bytes(b"\xef\xbb\xbf" + (root / name).read_bytes())
    classes, parts = read(root)
    assert classes == ["cat", "dog"] and parts["all"][0].objects[0]["category"] == "dog"
    assert lines(root / "labels" / "a.txt") == [1]


@pytest.mark.parametrize("name", ["labels/a.txt", "data.yaml", "classes.txt"])
def test_what_is_no_text_is_told_with_the_file(tmp_path, name):
    root = yolo(tmp_path, {"images/a.jpg": ONE})
    if name == "classes.txt":
        (root / "data.yaml").unlink()
    (root / name).write_bytes(b"\xff\xfe0 .5")
    with pytest.raises(ValueError, match=f"^{root / name}: not UTF-8, at byte 0: save it as UTF-8"):
        read(root)


@pytest.mark.parametrize("name", ["train\n2", "-rf", "a\x1b[31mb"])
def test_a_part_whose_name_a_terminal_would_not_show_is_told(tmp_path, name):
    root = yolo(tmp_path, {f"{name}/images/a.jpg": ONE})
    with pytest.raises(ValueError) as error:
        read(root)
    told = f"{str(root / name / 'images')!r}: {name!r} (valid: printable letters, the first not -)"
    assert str(error.value) == told


@pytest.mark.parametrize("name", ["写真\u3000集", "a\xa0b", "👩\u200d🚀"])
def test_a_part_may_have_whatever_name_a_terminal_shows(tmp_path, name):
    assert [*read(yolo(tmp_path, {f"{name}/images/a.jpg": ONE})).labelled] == [name]


def test_what_has_no_other_half_is_told(tmp_path):
    root = yolo(tmp_path, {"images/a.jpg": ONE})
    (root / "labels/lost.txt").write_text(ONE)
    with pytest.raises(ValueError, match="lost.txt: no picture of this name in .*images$"):
        read(root)
    (root / "labels/lost.txt").unlink()
    (root / "images/a.png").write_bytes((root / "images/a.jpg").read_bytes())
    with pytest.raises(ValueError, match="a.png: a.jpg has the same labels"):
        read(root)
    (root / "images/a.png").unlink()
    (root / "images/a.jpg").write_bytes(b"GIF")
    with pytest.raises(ValueError, match="images/a.jpg: not a readable image"):
        read(root)


def test_a_folder_of_something_else_is_told(tmp_path):
    with pytest.raises(ValueError, match="no names of classes; valid: data.yaml, data.yml, cl"):
        read(tmp_path)
    (tmp_path / "data.yaml").write_text("names: [a]")
    with pytest.raises(ValueError, match="no pictures with label files; valid: train/images with"):
        read(tmp_path)


def test_lines_are_those_that_are_not_empty(tmp_path):
    (tmp_path / "a.txt").write_text(f"\n{ONE}\n \n{ONE}")
    assert lines(tmp_path / "a.txt") == [2, 5]
