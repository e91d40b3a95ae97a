"""The bootstrap against data sets that hold an image as often as it was drawn."""

import numpy as np
import pytest

from p2s.measure import bootstrap
from p2s.measure.coco import coco_numbers, evaluated
from p2s.measure.rows import Rows
from tests.measure.test_coco import guesses, perfect, truths


def repeated(data, found, counts):
    """The data and what was found, each image as often as counted."""
    places = np.repeat(np.arange(len(counts)), counts)
    data.images = [{**data.images[i], "id": k} for k, i in enumerate(places)]
    data.annotations = [data.annotations[i] for i in places]
    return data, [found[i] for i in places]


@pytest.mark.parametrize("seed", range(4))
def test_a_replicate_is_ap_of_the_images_that_were_drawn(seed):
    data = truths(seed)
    found = guesses(data, seed, noise=5)
    counts = bootstrap.draws(len(data.images), 5)
    values = bootstrap.resampled_ap(evaluated(data, Rows.of_detections(found)), counts)
    wanted = [coco_numbers(*repeated(truths(seed), found, row))["AP"] for row in counts]
    assert values == pytest.approx(wanted, abs=1e-6, nan_ok=True)


def test_every_image_once_is_ap_and_perfect_detections_are_always_100():
    data = truths(1)
    for found in (guesses(data, 1, noise=5), perfect(data)):
        scorer = evaluated(data, Rows.of_detections(found))
        once = bootstrap.resampled_ap(scorer, np.ones((1, len(data.images)), int))
        assert once == pytest.approx([coco_numbers(data, found)["AP"]], abs=1e-6)
    assert bootstrap.resampled_ap(scorer, bootstrap.draws(12)) == pytest.approx(np.full(100, 100))


def test_so_many_images_always_have_the_same_draws():
    assert (bootstrap.draws(7) == bootstrap.draws(7)).all()
    assert (bootstrap.draws(7).sum(1) == 7).all() and len(bootstrap.draws(7)) == 100
    assert np.isnan(
        bootstrap.resampled_ap(evaluated(truths(1), Rows.of_detections([])), np.zeros((2, 12), int))
    ).all()
