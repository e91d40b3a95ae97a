"""AP by parts: against detections cut by hand, and pycocotools on objects of a size."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from p2s.measure.coco import coco_numbers, truth_of
from p2s.measure.parts import ABOVE, parts
from p2s.measure.rows import Rows
from tests.measure.test_coco import guesses, perfect, truths


@pytest.mark.parametrize("seed", range(2))
def test_ap_above_a_threshold_is_ap_of_the_detections_that_are_left(seed):
    data = truths(seed)
    found = guesses(data, seed, noise=5)
    said = parts(data, found)["threshold"]
    cut = [[boxes[boxes.scores > score] for boxes in found] for score in ABOVE]
    wanted = [coco_numbers(data, some)["AP"] for some in cut]
    assert said == {"above": [*ABOVE], "AP": pytest.approx(wanted, abs=0.005)}
    assert said["AP"][0] > said["AP"][-1]


@pytest.mark.parametrize("seed", range(2))
def test_ap_of_a_size_is_pycocotools(seed):
    data = truths(seed)
    found = guesses(data, seed, noise=5)
    said = parts(data, found)["size"]
    ends = [*np.square(said["from"]), 1e10]
    areas = [one["area"] for one in truth_of(data)["annotations"] if not one["iscrowd"]]
    counts = np.histogram(areas, ends)[0]
    assert max(counts) - min(counts) <= 2  # of some fifty, whatever the rounding of a side
    assert said["AP"] == pytest.approx(_oracle(data, found, _exact(areas)), abs=0.005)


def _exact(areas):
    return [0.0, *np.quantile(areas, [1 / 3, 2 / 3]), 1e10]


def _oracle(data, found, ends):
    """AP of each range of areas by pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = truth_of(data)
        truth.createIndex()
        scorer = COCOeval(truth, truth.loadRes(_results(data, found)), "bbox")
        scorer.params.areaRng = [[low, high] for low, high in zip(ends, ends[1:], strict=False)]
        scorer.evaluate()
        scorer.accumulate()
    precision = scorer.eval["precision"][..., -1]
    of_areas = [precision[..., k] for k in range(len(ends) - 1)]
    return [100 * part[part > -1].mean() for part in of_areas]


def _results(data, found):
    numbered = Rows.of_detections(found).results(data)
    image = {one["id"]: position for position, one in enumerate(data.images)}
    label = {one: position for position, one in enumerate(data.category_ids)}
    return [
        one | {"image_id": image[one["image_id"]], "category_id": label[one["category_id"]]}
        for one in numbered
    ]


def test_perfect_detections_are_perfect_in_every_part_and_nothing_is_none():
    data = truths(1)
    assert parts(data, perfect(data))["size"]["AP"] == [100.0] * 3
    nothing = parts(data, guesses(truths(1, images=12), 1, noise=5)[-1:] * 12)
    assert nothing["size"]["AP"] == [0.0] * 3
    empty = truths(1)
    empty.annotations = [[] for _ in empty.images]
    said = parts(empty, guesses(data, 1, noise=5))
    assert said["size"]["AP"] == [None] * 3 and said["threshold"]["AP"] == [None] * len(ABOVE)
    assert len(json.dumps(said)) < 1000
