"""The rule of verdicts, on differences whose verdict is known, and its laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from p2s.report.intervals import DASH, estimate
from p2s.report.verdicts import (
    NOT_COMPARABLE,
    OPPOSITE,
    OTHER_SIZE,
    PUBLISHED,
    UNSEEN,
    Difference,
    holm,
    over_images,
    verdicts,
)

NARROW = (0.9, 1.1)
SEEDS = st.lists(st.floats(-5, 5), min_size=2, max_size=5)


def difference(values, paper=1.0, expects="gain", images=NARROW, missed=()):
    return Difference(estimate(values), images, paper, expects, missed)


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        (PUBLISHED, difference([0.9, 1.0, 1.1])),
        (PUBLISHED, difference([0.9, 1.0, 1.1], paper=np.nan)),
        (PUBLISHED, difference([-1.1, -1.0, -0.9], -1.0, "loss", (-1.1, -0.9))),
        (PUBLISHED, difference([-0.01, 0, 0.01], 0.0, "none", (-0.1, 0.1))),
        (OTHER_SIZE, difference([0.9, 1.0, 1.1], paper=3.0)),
        (OTHER_SIZE, difference([0.9, 1.0, 1.1], 0.0, "none")),
        (OPPOSITE, difference([0.9, 1.0, 1.1], -1.0, "loss")),
        (UNSEEN, difference([-1.0, 1.0, 2.0])),
        (UNSEEN, difference([0.9, 1.0, 1.1], images=(-0.1, 2.0))),  # the images do not see it
        (UNSEEN, difference([-1.0, 1.0, 0.0], 0.0, "none")),
        (UNSEEN, difference([1.0])),
        (NOT_COMPARABLE, difference([0.9, 1.0, 1.1], missed=("GFL has not learnt",))),
        (DASH, difference([0.9, 1.0, 1.1], expects=None)),
        (DASH, difference([])),
    ],
)
def test_a_verdict_is_that_of_the_rule(kind, made):
    [verdict] = verdicts([made])
    assert verdict.kind == kind
    assert (kind == UNSEEN) == ("or more" in str(verdict) or "one seed" in str(verdict))


def test_what_could_have_been_seen_is_half_of_the_wider_interval():
    [verdict] = verdicts([difference([0.9, 1.0, 1.1], images=(-1.0, 5.0))])
    assert verdict.note == "of 3.0 or more"


def test_many_claims_ask_for_more_than_one():
    made = difference([0.7, 1.0, 1.3])
    assert made.p_value < 0.05 / 1 and verdicts([made])[0].kind == PUBLISHED
    assert {verdict.kind for verdict in verdicts([made] * 10)} == {UNSEEN}


@given(SEEDS)
def test_the_p_value_is_that_of_students_test(values):
    wanted = ttest_1samp(values, 0).pvalue
    if np.std(values) > 1e-6:
        assert difference(values).p_value == pytest.approx(wanted, abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_as_its_steps_do(p_values):
    """Step down (Holm, 1979): reject the smallest while it is below .05 / (those that are left)."""
    rejected, order = set(), np.argsort(p_values, kind="stable")
    for step, k in enumerate(order):
        if p_values[k] * (len(p_values) - step) >= 0.05:
            break
        rejected.add(int(k))
    assert {k for k, p in enumerate(holm(p_values)) if p < 0.05} == rejected


def test_the_interval_over_images_is_of_the_mean_over_seeds():
    replicates = np.array([np.arange(101.0), 2 + np.arange(101.0)])
    assert over_images(replicates) == pytest.approx((3.5, 98.5))
    assert np.isnan(over_images(np.zeros((0, 5)))).all()
