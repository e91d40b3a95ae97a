"""Laws of the dense skeleton: which predictions become candidates."""

import math

import pytest
import torch

from p2s.model.first import heads
from p2s.model.first.dense import DenseProposer
from p2s.model.first.objective import Objective
from tests.support.tiny_dense import COUNT, GRID, STRIDES, head, predictions


def proposer():
    return DenseProposer(head(), STRIDES, Objective(), (None, None))


def test_top_candidates_are_the_best_of_each_level():
    logit, ltrb, _ = predictions()
    found = proposer().candidates(GRID, heads.Predictions(logit, ltrb), 5)
    for n in range(2):
        for level, rows in ((3, slice(0, 24)), (4, slice(24, 30))):
            best = logit[n, rows].flatten().sort(descending=True).values[:5]
            assert torch.equal(found[n].logit[found[n].level == level], best)


def test_candidates_carry_the_box_and_class_of_their_logit():
    logit, ltrb, _ = predictions()
    found = proposer().candidates(GRID, heads.Predictions(logit, ltrb), 100)[1]
    assert len(found.logit) == COUNT * 2
    for box, value, kind in zip(found.boxes, found.logit, found.classes, strict=True):
        location = (logit[1, :, kind] == value).nonzero().item()
        side = ltrb[1, location] * GRID.stride[location]
        point = GRID.points[location]
        expected = torch.cat((point - side[:2], point + side[2:]))
        torch.testing.assert_close(box, expected)


@pytest.mark.parametrize("where", ["logit", "ltrb"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_nonfinite_prediction_is_named_by_level_and_image(where, value):
    logit, ltrb, _ = predictions()
    logit[1, 25] = 99.0
    {"logit": logit, "ltrb": ltrb}[where][1, 25] = value
    with pytest.raises(FloatingPointError, match="level p4, image 1"):
        proposer().candidates(GRID, heads.Predictions(logit, ltrb), 5)
