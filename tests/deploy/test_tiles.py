"""Tiles cover a picture, small objects are whole in one, and what is found twice counts once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import p2s
from p2s.deploy import tiles
from p2s.deploy.detections import COLUMNS, Detections, Proposals
from p2s.deploy.pictures import Picture
from p2s.deploy.tiles import OVERLAP, Place, joined, places
from p2s.spec import Test
from tests.support.tiny import lively_folder

sides = st.integers(1, 3000)
edges = st.integers(tiles.LEAST, 1500)


def detections(boxes, scores, size=(300, 400), labels=None):
    """Detections of these boxes, whose proposals are the same."""
    count = len(boxes)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    scores = np.array(scores, np.float32)
    return Detections(
        picture=Picture.of(np.zeros((*size, 3), np.uint8)),
        size=size,
        classes=("cat", "dog"),
        boxes=boxes,
        score=scores,
        p_object=scores,
        p_class=scores,
        class_index=np.array(labels or [0] * count, np.int64),
        level=np.full(count, 3),
        proposals=Proposals(boxes, scores),
    )


@given(sides, sides, edges)
def test_tiles_cover_every_pixel_and_neighbours_overlap(height, width, edge):
    found = places(height, width, edge)
    if max(height, width) <= edge:
        assert found == []
        return
    for start, size, side in (("top", "height", height), ("left", "width", width)):
        starts = sorted({getattr(place, start) for place in found})
        long = {getattr(place, size) for place in found}
        assert long == {min(edge, side)} and starts[0] == 0 and starts[-1] + max(long) == side
        steps = np.diff(starts)
        assert (steps <= edge * (1 - OVERLAP) + 1).all() and (steps > 0).all()
    assert len(set(found)) == len(found)


@given(st.data(), edges)
def test_an_object_smaller_than_the_overlap_is_whole_in_a_tile(data, edge):
    height, width = (data.draw(st.integers(edge, 3000)) for _ in range(2))
    small = int(edge * OVERLAP) - 4
    left = data.draw(st.integers(0, width - small))
    top = data.draw(st.integers(0, height - small))
    for place in places(height, width, edge):
        box = np.array([[left, top, left + small, top + small]]) - [place.left, place.top] * 2
        inside = (box >= 0).all() and (box <= [place.width, place.height] * 2).all()
        if inside and tiles._is_whole(place, box, (height, width)).all():
            return
    assert max(height, width) <= edge


def test_what_a_tile_finds_is_in_the_pictures_pixels_and_counts_once():
    whole = detections([[100, 100, 200, 200]], [0.6])
    right = Place(0, 150, 300, 250)
    in_it = [[5, 50, 40, 90], [200, 100, 250, 150], [0, 100, 50, 200]]
    found = joined(whole, [(right, detections(in_it, [0.9, 0.5, 0.8], (300, 250)))], Test())
    # the second ends where the picture does; the third is the right half of the whole's object
    assert found.boxes.tolist() == [[155, 50, 190, 90], [100, 100, 200, 200], [350, 100, 400, 150]]
    assert found.score.tolist() == pytest.approx([0.9, 0.6, 0.5])
    assert found.size == (300, 400)
    assert found.proposals.p_object.tolist() == pytest.approx([0.9, 0.6, 0.5])
    assert found.proposals.boxes.tolist() == found.boxes.tolist()


def test_the_same_object_in_two_tiles_is_one_and_classes_stay_apart():
    box, nothing = [160, 50, 200, 90], detections([], [])
    parts = [
        (Place(0, 0, 300, 250), detections([box], [0.7], (300, 250))),
        (Place(0, 150, 300, 250), detections([[10, 50, 50, 90]], [0.8], (300, 250))),
        (Place(0, 0, 300, 250), detections([box], [0.3], (300, 250), labels=[1])),
    ]
    found = joined(nothing, parts, Test())
    assert found.score.tolist() == pytest.approx([0.8, 0.3])
    assert found.class_index.tolist() == [0, 1] and found.boxes.tolist() == [box, box]
    assert len(joined(nothing, parts, Test(detections=1))) == 1


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return p2s.load(lively_folder(tmp_path_factory.mktemp("model")), device="cpu")


def test_each_tile_is_detected_as_a_picture_of_its_own(detector):
    noise = np.random.default_rng(0).integers(256, size=(80, 120, 3), dtype=np.uint8)
    found = detector.predict(noise, tile=80, batch=2, test={"nms": 1.0, "detections": 1000})
    own = detector.predict(noise, test={"nms": 1.0})
    parts = places(80, 120, 80)
    alone = [
        detector.predict(noise[:, place.left : place.left + 80], test={"nms": 1.0})
        for place in parts
    ]
    test = detector.spec.changed({"test": {"nms": 1.0, "detections": 1000}}).test
    again = joined(own, list(zip(parts, alone, strict=True)), test)
    assert len(parts) == 2 and len(found) > 0
    for name in COLUMNS:
        np.testing.assert_allclose(getattr(found, name), getattr(again, name), rtol=0, atol=1e-3)


def test_a_picture_that_is_one_tile_is_as_without(detector):
    noise = np.random.default_rng(0).integers(256, size=(60, 80, 3), dtype=np.uint8)
    found, own = detector.predict(noise, tile=80), detector.predict(noise)
    assert (found.boxes == own.boxes).all() and (found.score == own.score).all()


def test_a_file_is_cut_as_its_pixels_are(detector, tmp_path):
    noise = np.random.default_rng(0).integers(256, size=(80, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "1.png")
    found, of_file = (detector.predict(x, tile=80) for x in (noise, tmp_path / "1.png"))
    assert len(found) and (found.boxes == of_file.boxes).all()


def test_a_tile_too_small_is_a_line(detector):
    with pytest.raises(ValueError, match="tile 10; valid: 64 or more"):
        detector.predict(np.zeros((80, 80, 3), np.uint8), tile=10)
