"""Prediction: what is written is what was found, and pictures show it."""

import json

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from PIL import Image

from p2s.deploy.predict import Photos, detection_rows, drawn, predict, sample_sheet, truth_rows
from p2s.measure import coco as evaluation
from p2s.spec import Test as Settings

CLASSES = ["cat", "dog"]
BOX = [8.0, 30.0, 40.0, 50.0]


def instances(count):
    """The likeliest first: scores .9, .45, .3 ..."""
    scores = 0.9 / torch.arange(1, count + 1)
    return Instances(
        (60, 80),
        pred_boxes=Boxes(torch.tensor([BOX] * count).reshape(-1, 4)),
        scores=scores,
        pred_classes=torch.arange(count) % 2,
        p_object=scores.sqrt(),
        p_class=scores.sqrt(),
        level=torch.full((count,), 4),
    )


class Stub(torch.nn.Module):
    def set_test(self, test):
        self.test = test

    def detect(self, inputs):
        return [instances(2)], [instances(2)]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "test_inputs", lambda data, i, test: data.sample(i))
    paths = [tmp_path / folder / "same.png" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        Image.new("RGB", (80, 60), "white").save(path)
    return paths


def test_the_json_holds_every_detection_with_both_probabilities(photos, tmp_path):
    answers = predict(Stub(), Settings(), CLASSES, photos, tmp_path / "out")
    assert answers == json.loads((tmp_path / "out" / "detections.json").read_text())
    assert [each["file"] for each in answers] == [str(path) for path in photos]
    for one in answers[0]["detections"]:
        assert one["score"] == pytest.approx(one["p_object"] * one["p_class"])
    assert [one["class"] for one in answers[0]["detections"]] == CLASSES
    assert (answers[0]["width"], answers[0]["height"]) == (80, 60)


def test_images_of_the_same_name_get_pictures_of_their_own(photos, tmp_path):
    answers = predict(Stub(), Settings(), CLASSES, photos, tmp_path / "out")
    pictures = {each["picture"] for each in answers}
    assert len(pictures) == 2
    assert all(Image.open(tmp_path / "out" / name).size == (80, 60) for name in pictures)


def test_only_strong_detections_are_drawn(photos, tmp_path):
    predict(Stub(), Settings(), CLASSES, photos[:1], tmp_path / "out", draw_above=0.95)
    picture = np.array(Image.open(tmp_path / "out" / "000-same.png"))
    assert (picture == 255).all()


def test_a_box_is_drawn_where_it_is_and_nothing_changes_inside():
    image = np.full((60, 80, 3), 255, np.uint8)
    picture = np.array(drawn(image, detection_rows(instances(1), CLASSES)))
    assert (image == 255).all()  # the input is left as it was
    assert (picture[30, 8:41] != 255).any(1).all() and (picture[30:51, 8] != 255).any(1).all()
    assert (picture[33:48, 11:38] == 255).all() and (picture[52:] == 255).all()


def test_no_box_leaves_the_image_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    assert detection_rows(instances(0), CLASSES) == []
    assert (np.array(drawn(image, [])) == image).all()


def test_a_photo_is_turned_as_its_camera_says(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: a quarter turn
    Image.new("RGB", (80, 60)).save(tmp_path / "turned.jpg", exif=turned)
    sample = Photos.of([tmp_path / "turned.jpg"]).sample(0)
    assert sample["image"].shape == (80, 60, 3) == (sample["height"], sample["width"], 3)
    assert sample["boxes"].shape == (0, 4)


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match="notes.txt: not a readable image"):
        Photos.of([tmp_path / "notes.txt"])


@pytest.mark.parametrize("count", [1, 3, 9])
def test_a_sample_sheet_shows_truth_beside_detections(photos, count):
    class Data:
        images, classes = [{}] * count, CLASSES

        def sample(self, index):
            truth = {"boxes": np.array([BOX], np.float32), "classes": np.array([1])}
            return {"image": np.full((60, 80, 3), 255, np.uint8), **truth}

    sheet = np.array(sample_sheet(Data(), [instances(0)] * count))
    shown = min(count, 4)
    assert sheet.shape == (60 * shown + 8 * (shown - 1), 2 * 80 + 8, 3)
    assert (sheet[:, :80] != 255).any() and (sheet[:, 80:] == 255).all()
    assert truth_rows(Data().sample(0), CLASSES) == [{"box": BOX, "class": "dog"}]
