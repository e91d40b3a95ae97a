"""Laws of the one check of finiteness."""

import math

import pytest
import torch

from p2s.maths.finite import all_finite, finite_rows, refuse_nonfinite


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_row_is_finite_if_all_its_numbers_are(value):
    boxes, logits = torch.zeros(2, 3, 4), torch.zeros(2, 3, 1)
    boxes[0, 1, 2], logits[1, 2] = value, value
    wanted = torch.tensor([[True, False, True], [True, True, False]])
    assert torch.equal(finite_rows(boxes, logits), wanted)
    assert not all_finite(boxes) and all_finite(boxes[1]) and all_finite(None)


def test_rows_that_are_not_finite_are_described_in_the_error():
    finite = torch.tensor([True, False, False])
    with pytest.raises(FloatingPointError, match="^non-finite rows 1 and 2$"):
        refuse_nonfinite(finite, lambda bad: "rows {} and {}".format(*bad.nonzero()[:, 0].tolist()))
    refuse_nonfinite(torch.ones(3, dtype=torch.bool), lambda bad: pytest.fail("all are finite"))
    refuse_nonfinite(torch.ones(0, dtype=torch.bool), lambda bad: pytest.fail("there are none"))
