"""Drawing: boxes are where they are said to be, and numbers beside them."""

import numpy as np
import pytest

from p2s.deploy.drawing import MUCH, TAG, drawn, numbered
from p2s.deploy.fonts import CJK, LATIN, font_of, readable
from tests.support.found import BOX


def test_a_box_is_drawn_where_it_is_and_nothing_changes_inside():
    image = np.full((60, 80, 3), 255, np.uint8)
    picture = np.array(drawn(image, [{"box": BOX, "class": "cat", "score": 0.9}], ["cat"]))
    assert (image == 255).all()  # the input is left as it was
    assert (picture[30, 8:41] != 255).any(1).all() and (picture[30:51, 8] != 255).any(1).all()
    assert (picture[33:48, 11:38] == 255).all() and (picture[52:] == 255).all()


def test_no_box_leaves_the_image_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    assert (np.array(drawn(image, [], [])) == image).all()


def label(name, classes):
    """The pixels of the label of a box of a class."""
    row = {"box": [10, 60, 400, 90], "class": name}
    picture = np.array(drawn(np.full((100, 500, 3), 255, np.uint8), [row], classes))
    return picture[:60]


@pytest.mark.parametrize(
    "name",
    [*("é", "ß", "Кошка", "γάτα", "قطة", "חתול", "猫", "ねこ", "고양이"), "a\u00a0b", "猫\u3000b"],
)
def test_a_name_in_any_script_has_its_own_glyphs_and_no_boxes(name):
    assert readable(name, "class 0")[0] == name
    shapes = [font_of(readable(one, "")[1], 40).getmask(one) for one in name]
    missing = [font_of(path, 40).getmask("\U0010fffe") for path in (LATIN, CJK)]
    assert not {bytes(shape) for shape in shapes} & {bytes(mask) for mask in missing}
    assert (label(name, [name]) != 255).any()


@pytest.mark.parametrize(
    "name", ["\U0001f408 cat", "", "  ", "a\nb", "\x07", "\U0010fffe", "猫 قطة"]
)
def test_a_name_without_glyphs_is_told_by_its_number(name):
    assert readable(name, "class 1") == ("class 1", LATIN)
    ends = [
        np.flatnonzero((label(*given) != 255).any(-1).any(0))[-1]
        for given in ((name, ["cat", name]), ("class 1", ["class 1"]))
    ]
    assert ends[0] == ends[1]


PLACES = {
    "within": [20, 20, 40, 40],
    "in a corner": [0, 0, 30, 30],
    "the whole": [0, 0, 80, 60],
    "a line": [10, 59, 70, 60],
}


def grounds(picture, boxes, times):
    """Where pixels are of neither the white picture nor of the frames of boxes."""
    changed = (np.array(picture) != 255).any(-1)
    for box in boxes:
        left, top, right, bottom = (TAG[1] + round(times * side) for side in box)
        frame = np.zeros_like(changed)
        frame[max(top, 0) : bottom + 1, max(left, 0) : right + 1] = True
        frame[top + 2 : bottom - 1, left + 2 : right - 1] = False
        changed &= ~frame
    return changed


@pytest.mark.parametrize("box", PLACES.values(), ids=PLACES)
def test_a_number_stands_outside_of_its_box_wherever_that_is(box):
    picture = numbered(np.full((60, 80, 3), 255, np.uint8), [box])
    assert picture.size == (8 * 80 + 2 * TAG[1], 8 * 60 + 2 * TAG[1])
    ground = grounds(picture, [box], 8)
    left, top, right, bottom = (TAG[1] + 8 * side for side in box)
    assert ground.sum() > 0.5 * TAG[0] * TAG[1] and not ground[top:bottom, left:right].any()


def test_numbers_cover_neither_other_boxes_nor_each_other_where_there_is_room():
    boxes = [[10, 20, 30, 30], [10, 5, 30, 19], [32, 20, 60, 40], [10, 32, 30, 50]]
    picture = numbered(np.full((60, 80, 3), 255, np.uint8), boxes)
    ground, insides = grounds(picture, boxes, 8), np.zeros(picture.size[::-1], bool)
    for left, top, right, bottom in TAG[1] + 8 * np.array(boxes):
        insides[top:bottom, left:right] = True
    assert not (ground & insides).any()
    one = grounds(numbered(np.full((60, 80, 3), 255, np.uint8), boxes[:1]), boxes[:1], 8)
    assert ground.sum() >= 0.95 * len(boxes) * one.sum()


def test_a_large_picture_is_shrunk_and_its_boxes_with_it():
    boxes = [[1000, 500, 2000, 1500]]
    picture = numbered(np.full((2560, 1280, 3), 255, np.uint8), boxes)
    assert max(picture.size) == MUCH + 2 * TAG[1]
    framed = (np.array(picture) != 255).any(-1)
    assert framed[TAG[1] + 250 : TAG[1] + 750, TAG[1] + 500].all()


def test_no_box_leaves_nothing_but_room_around():
    image = np.random.default_rng(0).integers(0, 256, (700, 800, 3), np.uint8)
    picture = np.array(numbered(image, []))
    assert (picture[TAG[1] : -TAG[1], TAG[1] : -TAG[1]] == image).all()
