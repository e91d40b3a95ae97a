"""Geometry on boxes whose numbers are known."""

import numpy as np
import pytest

from p2s.measure.geometry import geometry_numbers
from p2s.model.zoo import build
from p2s.spec import Spec

SIDES = (16.0, 40.0, 100.0)  # pixels of an image of 128, which the detector sees at 256


class Squares:
    """A data set of one square an image."""

    images = [{"height": 128, "width": 128}] * len(SIDES)

    def __len__(self):
        return len(SIDES)

    def boxes(self, index):
        return np.array([[4, 4, 4 + SIDES[index], 4 + SIDES[index]]], np.float32), None, None

    def sample(self, index):
        empty = {"boxes": np.zeros((0, 4)), "classes": np.zeros(0, int)}
        image = np.zeros((128, 128, 3), np.uint8)
        return {**empty, "image": image, "image_id": index, **self.images[index]}


def numbers(name):
    test = {"short_edge": 256, "long_edge": 256, "proposals": 9}
    spec = Spec.named(name).changed({"zoom": 0.32, "test": test})
    return geometry_numbers(build(spec), Squares(), spec)


def test_sizes_are_in_cells_as_the_detector_sees_them():
    seen = numbers("FasterRCNN-RPN (P3-P7)")
    assert seen["cells"] == pytest.approx(np.quantile([4, 10, 25], (0.25, 0.5, 0.75)))
    # The canonical size is 224 * .32 pixels at stride 16: pooled from strides 8, 16 and 32.
    pooled = np.quantile([4, 5, 6.25], (0.25, 0.5, 0.75)) / 7
    assert seen["bins"] == pytest.approx(pooled, abs=1e-3)
    assert numbers("FasterRCNN-RPN")["cells"][1] == 20  # P2 has twice as many cells


def test_levels_share_the_objects_and_neighbours_overlap():
    seen = numbers("CenterNet*")
    # Half diagonals of 22.6, 56.6 and 141.4 pixels; the ranges end at 25.6, 51.2, 102.4, 204.8.
    assert seen["levels"] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1 / 3, 0])
    assert seen["above"] == pytest.approx(2 / 3)
    assert seen["proposals_an_object"] == 9 and seen["bins"] is None
