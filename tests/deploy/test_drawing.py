"""Drawing: boxes are where they are said to be."""

import numpy as np
import pytest

from p2s.deploy.drawing import drawn
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


@pytest.mark.parametrize("name", ["é", "ß", "Кошка", "γάτα", "قطة", "חתול", "猫", "ねこ", "고양이"])
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
