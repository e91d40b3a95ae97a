import numpy as np
import pytest
from scipy import stats

from p2s.report.intervals import DASH, NEGLIGIBLE, RULE, Estimate, estimate, number, verdict
from p2s.study import published


def test_interval_equals_scipys_student_interval():
    values = np.random.default_rng(0).normal(40, 1, 5)
    low, high = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    assert estimate(values) == pytest.approx((values.mean(), low, high, 5))


def test_one_seed_has_a_mean_and_no_interval():
    one = estimate([41.25])
    assert one.mean == 41.25 and one.seeds == 1 and np.isnan([one.low, one.high]).all()
    assert one.text() == f"41.2 ± {DASH} (1)"


@pytest.mark.parametrize("values", [[], [None], [np.nan, np.nan], [np.inf]])
def test_no_seed_is_a_dash(values):
    assert estimate(values).seeds == 0
    assert estimate(values).text() == DASH


def test_missing_seeds_change_nothing_but_the_count():
    assert estimate([1, np.nan, 3, None]) == estimate([3, 1])


def test_equal_seeds_have_an_interval_of_no_width():
    assert estimate([2.0, 2.0, 2.0]) == (2, 2, 2, 3)


@pytest.mark.parametrize(
    ("low", "high", "expects", "said"),
    [
        (0.1, 2.0, "gain", "holds"),
        (-0.1, 2.0, "gain", "undecided"),
        (-2.0, 0.0, "gain", "does not hold"),
        (-NEGLIGIBLE, NEGLIGIBLE, "none", "holds"),
        (0.1, NEGLIGIBLE, "none", "holds"),
        (-2.0, NEGLIGIBLE, "none", "undecided"),
        (NEGLIGIBLE, 2.0, "none", "undecided"),
        (NEGLIGIBLE + 0.1, 2.0, "none", "does not hold"),
    ],
)
def test_verdict_follows_from_where_the_interval_lies(low, high, expects, said):
    effect = Estimate((low + high) / 2, low, high, 3)
    mirrored = Estimate(-effect.mean, -high, -low, 3)
    other = {"gain": "loss"}.get(expects, expects)
    assert verdict(effect, expects) == verdict(mirrored, other) == said


def test_one_seed_decides_nothing_and_no_seed_or_claim_says_nothing():
    assert verdict(estimate([5.0]), "gain") == "undecided"
    assert verdict(estimate([]), "gain") == verdict(estimate([1, 2]), None) == DASH


def test_the_rule_in_words_has_the_numbers_in_use():
    assert "95 % interval is" in RULE and f"within ±{NEGLIGIBLE}, half" in RULE
    names = ("CascadeRCNN-CenterNet w. prob.", "CascadeRCNN-CenterNet")
    gained, without = [published.published(5, name, "mAP") for name in names]
    assert gained - without == pytest.approx(2 * NEGLIGIBLE)


def test_numbers_for_people_have_signs_and_dashes():
    assert (number(-1.25, "+", 2), number(0.8, "+"), number(None)) == ("−1.25", "+0.8", DASH)
