"""Drawing: boxes are where they are said to be."""

import numpy as np

from p2s.deploy.drawing import drawn
from tests.support.found import BOX


def test_a_box_is_drawn_where_it_is_and_nothing_changes_inside():
    image = np.full((60, 80, 3), 255, np.uint8)
    picture = np.array(drawn(image, [{"box": BOX, "class": "cat", "score": 0.9}]))
    assert (image == 255).all()  # the input is left as it was
    assert (picture[30, 8:41] != 255).any(1).all() and (picture[30:51, 8] != 255).any(1).all()
    assert (picture[33:48, 11:38] == 255).all() and (picture[52:] == 255).all()


def test_no_box_leaves_the_image_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    assert (np.array(drawn(image, [])) == image).all()
