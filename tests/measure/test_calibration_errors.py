"""Calibration errors against netcal, a brute-force count and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2s.measure.calibration_errors import (
    BINS,
    LA_BINS,
    Judged,
    d_ece,
    heated,
    held_out,
    isotonic,
    la_ece,
    reliability,
    temperature,
)

SEEDS = st.integers(0, 2**32 - 1)


def claims(seed, count=400, classes=3, images=20, power=2.0):
    """Judged claims p that come true with probability p^power, some of them equal."""
    rng = np.random.default_rng(seed)
    prob = rng.beta(0.5, 1, count).round(3)
    hit = rng.random(count) < prob**power
    iou = np.where(hit, rng.uniform(0.5, 1, count), 0)
    return Judged(
        prob, hit, iou, rng.integers(classes, size=count), prob, rng.integers(images, size=count)
    )


def la_ece_by_hand(judged):
    """The definition, class by class and bin by bin."""
    of_classes = []
    for label in sorted(set(judged.label)):
        mine, total = judged.where(judged.label == label), 0
        for b in range(LA_BINS):
            inside = mine.where(
                (mine.prob * LA_BINS >= b) & (mine.prob * LA_BINS < b + 1 + (b == LA_BINS - 1))
            )
            if n := len(inside.prob):
                precision, found = inside.hit.mean(), inside.iou[inside.hit]
                asked = precision * found.mean() if len(found) else 0
                total += n / len(mine.prob) * abs(inside.prob.mean() - asked)
        of_classes.append(total)
    return 100 * sum(of_classes) / len(of_classes)


@given(SEEDS)
def test_la_ece_is_a_brute_force_count(seed):
    judged = claims(seed, count=120)
    assert la_ece(judged) == pytest.approx(la_ece_by_hand(judged))


@pytest.mark.parametrize("power", [0.3, 1, 3])
def test_d_ece_is_netcals(power):
    metrics = pytest.importorskip("netcal.metrics", reason="netcal is missing: make setup")
    judged = claims(0, power=power)
    prob = 0.99 * judged.prob + 0.0004  # on the edge of a bin the two may round apart
    wanted = metrics.ECE(BINS, detection=True).measure(prob, judged.hit.astype(int))
    assert d_ece(prob, judged.hit) == pytest.approx(100 * wanted)


def test_calibrated_claims_have_an_error_of_sampling_only():
    prob = np.random.default_rng(0).beta(0.5, 1, 100_000)
    hit, half = (np.random.default_rng(1).random(len(prob)) < each for each in (prob, prob / 2))
    floor = 100 * np.sqrt(BINS / 4 / len(prob))  # of bins with n claims: sqrt(p (1 - p) / n)
    assert d_ece(prob, hit) < floor
    assert d_ece(prob, half) == pytest.approx(100 * prob.mean() / 2, abs=floor)


@pytest.mark.parametrize(("claim", "share"), [(0.9, 0.5), (0.0, 0.25), (1.0, 1.0), (0.3, 0.0)])
def test_one_claim_is_wrong_by_its_distance_from_the_share(claim, share):
    hit = np.arange(100) < 100 * share
    assert d_ece(np.full(100, claim), hit) == pytest.approx(100 * abs(claim - share))


@pytest.mark.parametrize("overlap", [0.5, 0.75, 1.0])
def test_a_claim_of_the_overlap_is_right_for_la_ece_alone(overlap):
    prob, hit, zero = np.full(50, overlap), np.ones(50, bool), np.zeros(50)
    assert la_ece(Judged(prob, hit, prob, zero, prob, zero)) == pytest.approx(0)
    assert d_ece(prob, hit) == pytest.approx(100 * (1 - overlap))


def test_with_perfect_boxes_and_the_same_bins_la_ece_of_one_class_is_d_ece():
    judged = claims(3, classes=1)
    steps = (judged.prob * 5).round() / 5 * 0.98 + 0.01  # claims that no edge of a bin divides
    perfect = judged._replace(prob=steps, iou=judged.hit * 1.0)
    assert la_ece(perfect) == pytest.approx(d_ece(perfect.prob, perfect.hit))


def test_rare_classes_weigh_as_much_as_frequent_ones_in_la_ece():
    prob, hit = np.full(100, 0.8), np.zeros(100, bool)
    hit[:90] = True
    label = (~hit).astype(int)
    judged = Judged(prob, hit, hit * 0.8, label, prob, label)
    assert la_ece(judged) == pytest.approx(100 * (0 + 0.8) / 2)


@given(SEEDS)
def test_the_order_of_claims_does_not_matter(seed):
    judged = claims(seed)
    other = judged.where(np.random.default_rng(seed).permutation(len(judged.prob)))
    assert d_ece(*other[:2]) == pytest.approx(d_ece(*judged[:2]))
    assert la_ece(other) == pytest.approx(la_ece(judged))
    assert held_out(other) == pytest.approx(held_out(judged), rel=1e-4)


def test_without_a_claim_there_is_no_error():
    none = claims(0).where([])
    assert np.isnan([d_ece(none.prob, none.hit), la_ece(none), *held_out(none).values()]).all()
    assert sum(reliability(none)["count"]) == 0 and set(reliability(none)["share"]) == {None}


def test_a_reliability_diagram_holds_all_claims_and_its_gaps_are_d_ece():
    judged = claims(4)
    count, claimed, share, iou = (np.array(v, float) for v in reliability(judged).values())
    assert count.sum() == len(judged.prob)
    assert np.nansum(count * share) == pytest.approx(judged.hit.sum(), rel=1e-3)
    assert np.nansum(count * share * iou) == pytest.approx(judged.iou.sum(), rel=1e-3)
    gaps = np.nansum(count * np.abs(claimed - share)) / count.sum()
    assert 100 * gaps == pytest.approx(d_ece(judged.prob, judged.hit), abs=0.02)


def test_calibrated_claims_have_temperature_1():
    prob = np.random.default_rng(0).beta(1, 1, 200_000)
    hit = np.random.default_rng(1).random(len(prob)) < prob
    assert temperature(prob, hit) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("t", [0.4, 1.0, 3.0])
def test_heating_divides_the_temperature_that_is_left(t):
    judged = claims(5, count=2000)
    prob = judged.prob.clip(0.01, 0.99)
    left = temperature(heated(prob, t), judged.hit)
    assert left == pytest.approx(temperature(prob, judged.hit) / t, rel=1e-3)
    assert heated(heated(prob, t), 1 / t) == pytest.approx(prob)


def test_certain_claims_stay_finite_at_any_temperature():
    prob = np.array([0.0, 1.0, 0.5])
    for hit in np.array([[0, 0, 0], [1, 1, 1], [1, 0, 1]], bool):
        t = temperature(prob, hit)
        assert 0 < t <= 100 and np.isfinite(heated(prob, t)).all()
    assert heated(prob, 2.0) == pytest.approx(prob, abs=1e-7)


@given(SEEDS)
def test_isotonic_regression_rises_and_is_never_worse_on_its_own_fit(seed):
    judged = claims(seed, power=0.5)
    fitted = isotonic(judged.prob, judged.hit)(judged.prob)
    assert (np.diff(fitted[judged.prob.argsort()]) >= 0).all()
    for other in (judged.prob, heated(judged.prob, temperature(judged.prob, judged.hit))):
        assert ((fitted - judged.hit) ** 2).sum() <= ((other - judged.hit) ** 2).sum() + 1e-9
    assert d_ece(fitted.clip(0, 1), judged.hit) == pytest.approx(0, abs=1e-9)


def test_what_is_fitted_depends_on_even_images_and_measured_on_odd_ones():
    judged = claims(6)
    odd = judged.image % 2 == 1
    flipped, other = judged._replace(hit=judged.hit ^ odd), judged._replace(hit=judged.hit ^ ~odd)
    assert held_out(flipped)["T"] == held_out(judged)["T"] != held_out(other)["T"]
    rest = judged.where(odd)
    wanted = d_ece(rest.prob, rest.hit)
    assert held_out(judged)["as_claimed"] == held_out(other)["as_claimed"] == wanted


def test_recalibration_mends_overconfidence_and_temperature_that_of_heated_logits():
    prob = np.random.default_rng(7).beta(1, 1, 20_000)
    hit, image = np.random.default_rng(8).random(len(prob)) < prob, np.arange(len(prob))
    found = held_out(Judged(heated(prob, 0.4), hit, hit, image, prob, image))
    assert found["T"] == pytest.approx(2.5, rel=0.05)
    assert found["as_claimed"] > 5 and max(found["temperature"], found["isotonic"]) < 2
