"""Sheet: truth on the left, detections on the right."""

import numpy as np
import pytest

from p2s.deploy.sheet import sample_sheet, truth_rows
from tests.support.found import BOX, CLASSES, instances


@pytest.mark.parametrize("count", [1, 3, 9])
def test_a_sample_sheet_shows_truth_beside_detections(count):
    class Data:
        images, classes = [{}] * count, CLASSES

        def sample(self, index):
            truth = {"boxes": np.array([BOX], np.float32), "classes": np.array([1])}
            return {"image": np.full((60, 80, 3), 255, np.uint8), **truth}

    nothing, proposed = instances(0)
    sheet = np.array(sample_sheet(Data(), [nothing] * count, [proposed] * count))
    shown = min(count, 4)
    assert sheet.shape == (60 * shown + 8 * (shown - 1), 2 * 80 + 8, 3)
    assert (sheet[:, :80] != 255).any() and (sheet[:, 80:] == 255).all()
    assert truth_rows(Data().sample(0), CLASSES) == [{"box": BOX, "class": "dog"}]
    found, proposed = instances(2)
    sheet = np.array(sample_sheet(Data(), [found] * count, [proposed] * count))
    assert (sheet[:, 80:] != 255).any()
