"""The rule of verdicts, on differences whose verdict is known, and its laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, ttest_1samp

from p2s.report.intervals import DASH, estimate
from p2s.report.verdicts import (
    NOT_COMPARABLE,
    OPPOSITE,
    OTHER_SIZE,
    PUBLISHED,
    UNSEEN,
    UNTESTED,
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
        (UNSEEN, difference([0.0], 0.0, "none", (-0.1, 0.1))),  # its images alone decide nothing
        (NOT_COMPARABLE, difference([0.9, 1.0, 1.1], missed=("GFL has not learnt",))),
        (DASH, difference([0.9, 1.0, 1.1], expects=None)),
        (DASH, difference([])),
    ],
)
def test_a_verdict_is_that_of_the_rule(kind, made):
    [verdict] = verdicts([made])
    assert verdict.kind == kind
    assert (kind == UNSEEN) == ("or more" in str(verdict) or "one seed" in str(verdict))


def test_a_difference_that_lacks_a_seed_is_untested_and_in_no_family():
    whole = difference([0.9, 1.0, 1.1])._replace(asked=3)
    partly = difference([0.9, 1.0])._replace(asked=3)
    alone, [_, beside, told] = verdicts([whole]), verdicts([partly, whole, partly])
    assert beside == alone[0] and beside.kind == PUBLISHED
    assert str(told) == f"{UNTESTED} (2 of 3 seeds)"
    [none] = verdicts([difference([])._replace(asked=3)])
    assert str(none) == DASH


def test_of_released_weights_the_images_alone_decide():
    one = difference([1.0])
    [trained], [released] = verdicts([one]), verdicts([one._replace(released=True)])
    assert (trained.kind, released.kind) == (UNSEEN, PUBLISHED)
    unseen = one._replace(released=True, images=(-0.1, 2.1))
    assert verdicts([unseen])[0].kind == UNSEEN
    assert verdicts([one._replace(released=True, images=(np.nan, np.nan))])[0].kind == UNSEEN


@given(st.floats(-5, 5), st.floats(0.01, 5))
def test_the_images_p_value_is_small_where_their_interval_holds_no_0(mean, half):
    images = (mean - half, mean + half)
    p_value = difference([mean], images=images)._replace(released=True).p_value
    assert (p_value < 0.05) == (abs(mean) > half) or abs(mean) == pytest.approx(half)
    exact = 2 * norm.sf(abs(mean), scale=half / norm.isf(0.025))
    assert p_value == pytest.approx(exact, abs=1e-9)


def test_released_weights_that_do_not_differ_at_all_show_nothing():
    same = difference([0.0], images=(0.0, 0.0))._replace(released=True)
    assert same.p_value == 1 and same._replace(images=(1.0, 1.0)).p_value == 1


def test_what_one_claim_could_have_seen_is_half_of_the_wider_interval():
    [verdict] = verdicts([difference([0.9, 1.0, 1.1], images=(-1.0, 5.0))])
    assert verdict.note == "of 3.0 or more"


@given(SEEDS, st.integers(1, 24), st.booleans())
def test_the_smallest_effect_among_many_claims_is_just_seen(values, claims, released):
    values = np.array(values) - np.mean(values)
    if np.std(values) < 1e-3:
        return
    half = (estimate(values).high - estimate(values).low) / 2
    spread = difference(values, np.nan, images=(-half, half))._replace(released=released)
    for share, kind in ((0.999, UNSEEN), (1.001, PUBLISHED)):
        mean = share * spread.smallest(claims)
        made = difference(values + mean, np.nan, images=(mean - half, mean + half))
        others = [difference([-1.0, 0.0, 1.0])] * (claims - 1)
        found, *_ = verdicts([made._replace(released=released), *others])
        assert found.kind == kind


def test_one_seed_sees_nothing_of_any_size():
    assert verdicts([difference([1.0])])[0].note == "one seed"


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
