"""Detections: arrays of equal rows, and what other tools make of them."""

import sys

import numpy as np
import pytest

from tests.support.found import BOX, CLASSES, detections
from tests.support.tiny import photo


def test_rows_hold_every_detection_with_both_probabilities():
    rows = detections(3, "a.jpg").rows()
    assert [row["class"] for row in rows] == ["cat", "dog", "cat"]
    assert [row["score"] for row in rows] == pytest.approx([0.9, 0.45, 0.3])
    for row in rows:
        assert row["score"] == pytest.approx(row["p_object"] * row["p_class"])
        assert (row["box"], row["level"]) == (BOX, 4)


def test_a_mask_an_index_and_a_slice_choose_rows_of_all_arrays():
    found = detections(4, "a.jpg")
    strong = found[found.score > 0.4]
    assert len(strong) == 2 and strong.rows() == found.rows()[:2] == found[:2].rows()
    assert found[2].rows() == found.rows()[2:3] and found[[3, 0]].rows()[0] == found.rows()[3]
    assert strong.proposals is found.proposals


def test_a_frame_has_a_row_each_and_names_the_picture():
    frame = detections(3, "photos/a.jpg").to_pandas()
    assert frame["class_name"].tolist() == ["cat", "dog", "cat"]
    assert frame[["x1", "y1", "x2", "y2"]].to_numpy().tolist() == [BOX] * 3
    assert set(frame["picture"]) == {"photos/a.jpg"} and frame["class_index"].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    "name, told", [("a/000000000139.jpg", 139), ("a/cat.one.jpg", "cat.one"), ("7b.png", "7b")]
)
def test_results_of_coco_have_corner_and_sides_and_the_number_in_the_name(name, told):
    [one] = detections(1, name).to_coco()
    assert one["bbox"] == [8, 30, 32, 20] and one["image_id"] == told and one["category_id"] == 0
    assert one["score"] == pytest.approx(0.9)


def test_results_of_coco_take_ids_that_are_given():
    results = detections(2, "a.jpg").to_coco(7, {"cat": 17, "dog": 18})
    assert [(row["image_id"], row["category_id"]) for row in results] == [(7, 17), (7, 18)]


def test_supervision_has_the_same_boxes_classes_and_probabilities():
    pytest.importorskip("supervision", reason="pip install supervision")
    found = detections(3, "a.jpg")
    theirs = found.to_supervision()
    assert (theirs.xyxy == found.boxes).all() and (theirs.confidence == found.score).all()
    dogs = theirs[theirs["class_name"] == "dog"]
    assert dogs.class_id.tolist() == [1] and dogs["p_object"] == found.p_object[1]
    assert len(detections(0, "a.jpg").to_supervision()) == 0


def test_a_missing_supervision_is_told_in_a_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ImportError, match=r"^supervision is missing: pip install [^\n]+$"):
        detections(1, "a.jpg").to_supervision()


def test_only_strong_ones_are_drawn_and_a_file_is_not_kept(tmp_path):
    path = photo(tmp_path / "a.png")
    found = detections(2, path)
    nothing, weak, all_ = (np.array(found.draw(above)) for above in (0.95, 0.5, 0.0))
    assert (nothing == found.picture.pixels()).all()
    assert (weak != nothing).any() and (all_ != nothing).any()
    assert not any(isinstance(value, np.ndarray) for value in vars(found.picture).values())


def test_it_tells_what_was_found_in_a_line():
    assert repr(detections(3, "a.jpg")) == "<Detections in a.jpg: 2 cat, 1 dog>"
    assert repr(detections(0, "a.jpg")) == "<Detections in a.jpg: nothing>"
    assert detections(0, "a.jpg").to_coco() == detections(0, "a.jpg").rows() == []
    assert detections(0, "a.jpg").classes == tuple(CLASSES)
