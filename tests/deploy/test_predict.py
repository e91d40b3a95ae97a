"""Prediction: one answer for one picture, an iterator for several, the same however it is asked."""

import re
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import p2s
from p2s.data.coco import CocoSet
from p2s.deploy import predict
from p2s.deploy.detections import COLUMNS
from p2s.measure.coco import detect
from tests.support import ROOT
from tests.support.tiny import CLASSES, lively_folder, photo

SIZES = [(80, 60), (60, 80), (81, 60), (200, 60), (80, 60), (96, 64)]


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return p2s.load(lively_folder(tmp_path_factory.mktemp("model")), device="cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    return [photo(folder / f"{k}.png", size, k) for k, size in enumerate(SIZES)]


def same(one, other, tolerance=0.0):
    """Whether two answers are equal, boxes within a tolerance in pixels, probabilities a 100th."""
    assert len(one) == len(other) > 0
    for name in COLUMNS:
        near = tolerance if name == "boxes" else tolerance / 100
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=0, atol=near)


def test_it_finds_what_an_evaluation_finds(detector, photos):
    rows = [{"id": 0, "file_name": photos[0].name, "width": 80, "height": 60}]
    data = CocoSet(photos[0].parent, rows, [[]], tuple(CLASSES), (0, 1, 2), "")
    [theirs], [proposed] = detect(detector.model, data, detector.spec.test)
    found = detector.predict(photos[0])
    assert (found.boxes == theirs.pred_boxes.tensor.numpy()).all()
    assert (found.score == theirs.scores.numpy()).all() and found.size == (60, 80)
    assert (found.proposals.boxes == proposed.proposal_boxes.tensor.numpy()).all()


def test_a_picture_is_the_same_however_it_is_given(detector, photos):
    array = np.array(Image.open(photos[0]))
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    for given in (str(photos[0]), Image.open(photos[0]), array, tensor, tensor / 255):
        same(detector.predict(given), detector.predict(photos[0]))


def test_a_photo_is_seen_as_its_camera_was_held(detector, photos, tmp_path):
    upright = Image.open(photos[0])
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned by a quarter, clockwise
    upright.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    same(detector.predict(tmp_path / "turned.png"), detector.predict(photos[0]))


@pytest.mark.parametrize("batch", [1, 2, 4, 9])
def test_in_a_batch_nothing_depends_on_the_others(detector, photos, batch):
    found = list(detector.predict(photos, batch=batch))
    assert [one.picture.source for one in found] == photos
    for one, path in zip(found, photos, strict=True):
        same(one, detector.predict(path), tolerance=0.01)


def test_pictures_of_equal_padded_size_are_detected_together(detector, photos, monkeypatch):
    batches, own = [], type(detector.model).detect
    monkeypatch.setattr(
        type(detector.model), "detect", lambda *a: batches.append(len(a[1])) or own(*a)
    )
    assert len(list(detector.predict([photos[0]] * 5 + [photos[3]], batch=2))) == 6
    assert sum(batches) == 6 and batches[:2] == [2, 2] and len(batches) <= 4


def test_several_are_read_one_by_one_when_they_are_asked_for(detector):
    drawn = []

    def endless():
        while True:
            drawn.append(1)
            yield np.full((60, 80, 3), len(drawn) % 256, np.uint8)

    answers = detector.predict(endless(), batch=3)
    assert not drawn
    for _ in range(4):
        next(answers)
    assert len(drawn) <= 2 * 3 + 1


def test_two_iterators_with_other_settings_do_not_disturb_each_other(detector, photos):
    many = detector.predict(photos[:3], score_above=0.0)
    few = detector.predict(photos[:3], test={"detections": 2})
    pairs = list(zip(many, few, strict=True))
    assert all(len(one) > len(other) == 2 for one, other in pairs)


def test_score_above_is_what_a_look_at_the_scores_would_leave(detector, photos):
    everything = detector.predict(photos[0], score_above=0.0)
    limit = float(np.median(everything.score))
    same(detector.predict(photos[0], score_above=limit), everything[everything.score > limit])


def test_a_bad_picture_is_told_and_the_others_come(detector, photos, tmp_path):
    (tmp_path / "junk.jpg").write_text("no image")
    given = [photos[0], tmp_path / "junk.jpg", photos[1]]
    with pytest.warns(UserWarning, match="junk.jpg: not a readable image"):
        found = list(detector.predict(given, batch=2))
    assert [one.picture.source for one in found] == photos[:2]
    told = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(detector.predict(given, skipped=told.append))) == 2
    assert len(told) == 1 and "junk.jpg" in told[0]
    with pytest.raises(ValueError, match="junk.jpg: not a readable image"):
        detector.predict(tmp_path / "junk.jpg")


def test_a_folder_and_a_pattern_are_their_pictures(detector, photos):
    folder = photos[0].parent
    for given in (folder, str(folder), f"{folder}/*.png"):
        assert [one.picture.source for one in detector.predict(given)] == photos


@pytest.mark.parametrize(
    "options, told",
    [
        ({"batch": 0}, "batch 0; valid: 1 or more"),
        ({"batch": "2"}, "batch '2'; valid: 1 or more, a whole number"),
        ({"batch": 1.5}, "batch 1.5; valid: 1 or more, a whole number"),
        ({"tile": 64.5}, "tile 64.5; valid: 64 or more, a whole number"),
        ({"tile": "99"}, "tile '99'; valid: 64 or more, a whole number"),
        ({"test": 5}, "^test 5; valid: a dict of settings, as {'nms': 0.6}"),
        ({"test": {"speed": 1}}, "^test: unknown speed; valid: clip, detections"),
        ({"test": {"nms": 7}}, "^test.nms: Input should be less than or equal to 1"),
        ({"score_above": 30}, "^test.score_threshold: Input should be less"),
    ],
)
def test_settings_are_checked_at_once_and_told_in_a_line(detector, photos, options, told):
    with pytest.raises(ValueError, match=told) as error:
        detector.predict(photos, **options)
    assert "\n" not in str(error.value)


def test_its_heat_is_p_of_o_at_each_pixel_and_highest_at_the_likeliest_proposal(detector, photos):
    heat, found = detector.heat(photos[0]), detector.predict(photos[0])
    assert heat.shape == (60, 80) and heat.dtype == np.float32
    assert heat.max() == pytest.approx(found.proposals.p_object[0], abs=1e-6)
    larger = detector.heat(photos[0], test={"short_edge": 128, "long_edge": 192})
    assert larger.shape == (60, 80) and (larger != heat).any()


def test_a_one_stage_detector_predicts_too(photos, tmp_path):
    detector = p2s.load(lively_folder(tmp_path, "CenterNet*"), device="cpu")
    found = detector.predict(photos[0])
    assert (found.boxes == found.proposals.boxes).all() and len(found) > 0


def test_an_optimised_model_may_take_its_place(detector, photos):
    fast = replace(detector, model=p2s.optimize(detector.model, compile=False))
    for one, other in zip(fast.predict(photos), detector.predict(photos), strict=True):
        same(one, other, tolerance=0.05)


@pytest.mark.parametrize("options", [{"device": "cuda:99"}, {"precision": "fp8"}])
def test_a_place_or_a_precision_that_is_not_here_is_told(tmp_path, options):
    with pytest.raises(ValueError, match="valid: "):
        p2s.load(lively_folder(tmp_path), **options)


def test_the_example_of_the_documentation_runs(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lively_folder(tmp_path / "model")
    photo(tmp_path / "photos" / "1.jpg")
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/predict.md").read_text(), re.DOTALL)
    exec(code, variables := {})
    assert variables["results"] and len(variables["frame"]) == len(variables["results"])
    assert capsys.readouterr().out.startswith("<Detections in photos/1.jpg: ")
    assert Image.open("drawn.png").size == (80, 60)


def test_what_supervision_needs_is_imported_by_no_prediction(detector, photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    assert len(detector.predict(photos[0]).to_pandas()) > 0


def test_boxes_of_a_picture_read_at_half_its_size_are_in_its_own_pixels(
    detector, tmp_path, monkeypatch
):
    path = tmp_path / "large.png"
    half = np.random.default_rng(1).integers(256, size=(60, 80, 3), dtype=np.uint8)
    Image.fromarray(half.repeat(2, 0).repeat(2, 1)).save(path)
    monkeypatch.setattr(predict, "MOST", 60 * 80)
    found, alone = detector.predict(path), detector.predict(half)
    assert found.size == (120, 160)
    np.testing.assert_allclose(found.boxes, 2 * alone.boxes, atol=1e-3)
    drawn = replace(found, picture=alone.picture).draw()  # which has half of its pixels a side
    assert (np.array(drawn) == np.array(alone.draw())).all()
