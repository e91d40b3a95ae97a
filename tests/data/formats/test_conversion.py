"""Conversion: what hotcoco wrote in another format comes back; a wrong box is told by its line."""

import json
import os

import pytest
from hotcoco import COCO

from p2s.data import glyphs
from p2s.data.coco import read_coco
from p2s.data.formats.conversion import convert
from p2s.data.formats.voc import VOC
from p2s.data.formats.yolo import YOLO
from p2s.data.health import check
from p2s.spec import Glyphs
from tests.support.labels import one, voc, xml, yolo


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    scenes = Glyphs(train=4, val=1, size=64, classes=3)
    return glyphs.prepare(scenes, tmp_path_factory.mktemp("glyphs"))


def exported(files, root, form):
    """The set in another format, written by hotcoco, with links to its pictures."""
    whole = COCO(str(files.train))
    flat = json.loads(files.train.read_text())
    labels = root / ("labels" if form is YOLO else "Annotations")
    pictures = root / ("images" if form is YOLO else "JPEGImages")
    pictures.mkdir(parents=True)
    for row in flat["images"]:
        (pictures / row["file_name"].split("/")[-1]).hardlink_to(files.images / row["file_name"])
    (whole.to_yolo(str(labels)) if form is YOLO else whole.to_voc(str(root)))
    if form is YOLO:
        (labels / "data.yaml").rename(root / "data.yaml")
    return root


ENDLESS = {"a pipe": os.mkfifo, "a device": lambda path: path.symlink_to("/dev/zero")}


@pytest.mark.parametrize("make", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize(
    "form, name",
    [
        *[(YOLO, name) for name in ("labels/b.txt", "labels/a.txt", "images/b.jpg", "data.yaml")],
        *[(VOC, f"{place}.xml") for place in ("Annotations/x", "Annotations/y")],
        *[(VOC, name) for name in ("ImageSets/Main/train.txt", "JPEGImages/x.jpg")],
    ],
)
def test_what_is_no_regular_file_is_refused_by_name(tmp_path, form, name, make):
    if form is YOLO:
        root = yolo(tmp_path / "set", {"images/a.jpg": "0 .5 .5 .5 .5\n", "images/b.jpg": None})
    else:
        root = voc(tmp_path / "set", {"x.xml": xml(one("cat", 1, 2, 11, 12))})
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).unlink(missing_ok=True)
    make(root / name)
    with pytest.raises(ValueError, match=f"{root / name}: .*not a regular file"):
        convert(root, tmp_path / "out", form)


@pytest.mark.parametrize("form, error", [(YOLO, 1e-3), (VOC, 1.01)])  # VOC has whole pixels
def test_what_is_written_in_a_format_comes_back(files, tmp_path, form, error):
    root = exported(files, tmp_path / "theirs", form)
    [written] = convert(root, tmp_path / "ours", form)
    assert (written.path, written.pictures) == (tmp_path / "ours" / "all.json", 4)
    assert check(written.path, root) == []
    ours, truth = read_coco(written.path, root), read_coco(files.train, files.images)
    assert len(ours) == len(truth) and set(ours.classes) <= set(truth.classes)
    assert written.objects == sum(map(len, truth.annotations))
    for index in range(len(truth)):
        (boxes, label, _), (wanted, number, _) = ours.boxes(index), truth.boxes(index)
        assert abs(boxes - wanted).max() <= error
        named = [[data.classes[k] for k in of] for data, of in ((ours, label), (truth, number))]
        assert named[0] == named[1]
        assert (ours.sample(index)["image"] == truth.sample(index)["image"]).all()


def test_names_lead_from_the_folder_to_the_pictures_and_all_parts_have_all_classes(tmp_path):
    texts = {"train/images/a.jpg": "1 .5 .5 .5 .5\n", "valid/images/b.png": "0 .5 .5 .5 .5\n"}
    root = yolo(tmp_path / "set", texts | {"valid/images/c.jpg": None})
    train, valid = convert(root, tmp_path / "out", YOLO)
    assert (valid.pictures, valid.empty, valid.objects) == (2, 1, 1)
    tables = json.loads(train.path.read_text())
    assert tables == {
        "images": [{"id": 1, "file_name": "train/images/a.jpg", "width": 40, "height": 20}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 2, "iscrowd": 0}
            | {"bbox": [10, 5, 20, 10], "area": 200}
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    assert json.loads(valid.path.read_text())["categories"] == tables["categories"]


def test_what_sticks_out_by_a_pixel_is_cut_and_by_more_is_told(tmp_path):
    root = yolo(tmp_path / "set", {"images/a.jpg": "0 .5 .5 1.04 1.04\n"})
    [written] = convert(root, tmp_path / "out", YOLO)
    [row] = json.loads(written.path.read_text())["annotations"]
    assert (row["bbox"], row["area"]) == ([0, 0, 40, 20], 800)
    (root / "labels/a.txt").write_text("0 .5 .5 .5 .5\n\n0 .9 .5 .5 .5\n")
    with pytest.raises(ValueError) as error:
        convert(root, tmp_path / "new", YOLO)
    told = f"{root / 'labels/a.txt'}: line 3: box [26.0, 5.0, 20.0, 10.0]: 6 pixels outside"
    assert str(error.value).startswith(told) and not (tmp_path / "new").exists()


@pytest.mark.parametrize("text, told", [("0 .5 .5 0 .5", "zero"), ("0 .5 .5 nan .5", "not finite")])
def test_a_box_that_is_none_is_told(tmp_path, text, told):
    root = yolo(tmp_path / "set", {"images/a.jpg": text})
    with pytest.raises(ValueError, match=f"a.txt: line 1: box .*: {told}"):
        convert(root, tmp_path / "out", YOLO)


def test_a_box_of_voc_is_told_by_the_line_of_its_object(tmp_path):
    objects = one("cat", 1, 2, 11, 12) + one("cat", 30, 2, 60, 12)
    root = voc(tmp_path / "set", {"x.xml": xml(objects)})
    with pytest.raises(ValueError, match="x.xml: line 5: box .*: 20 pixels outside the image"):
        convert(root, tmp_path / "out", VOC)


def test_nothing_that_is_there_is_written_over(tmp_path):
    root = yolo(tmp_path / "set", {"images/a.jpg": "0 .5 .5 .5 .5\n"})
    first = convert(root, tmp_path / "out", YOLO)
    assert convert(root, tmp_path / "out", YOLO) == first
    (tmp_path / "out" / "all.json").write_text("mine")
    with pytest.raises(ValueError, match="all.json holds something else: choose another folder"):
        convert(root, tmp_path / "out", YOLO)
    assert (tmp_path / "out" / "all.json").read_text() == "mine"


def test_a_pipe_where_it_would_write_is_not_waited_for(tmp_path):
    root = yolo(tmp_path / "set", {"images/a.jpg": "0 .5 .5 .5 .5\n"})
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / "all.json")
    with pytest.raises(ValueError, match="all.json holds something else"):
        convert(root, tmp_path / "out", YOLO)


def test_a_set_without_any_object_is_told(tmp_path):
    root = yolo(tmp_path / "set", {"images/a.jpg": ""})
    with pytest.raises(ValueError, match="no label file has an object"):
        convert(root, tmp_path / "out", YOLO)
