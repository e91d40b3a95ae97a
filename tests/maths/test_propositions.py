"""Propositions hold, are found by another way too, and fall where the mathematics is wrong."""

import math

import mpmath
import numpy as np
import pytest
import torch

from p2s.maths import likelihood, optimum, propositions
from p2s.maths.propositions import CHANCES, P_CLASS, PROPOSITIONS, Shown

WRONG = {  # what of the mathematics is wrong, and which propositions fall with it
    "max_bound": (
        lambda *logs: likelihood.both_bounds(*logs),
        {"larger is within log 2", "log 2 is a limit"},
    ),
    "monotone_bound": (
        lambda log_p: log_p / 2,
        {"both are lower bounds", "first stage is a binary detector", "monotone is tight"},
    ),
    "jensen_bound": (
        lambda log_p_object, log_p_background: log_p_background,
        {"jensen is tight"},
    ),
    "exact_class": (lambda o, c: o * c, {"positives factorise", "joint sums to one"}),
    "exact_background": (
        lambda o, no, b: no + b,
        {"background couples", "joint sums to one", "exact sees the product alone"},
    ),
}


def brute_gaps(log_odds):
    """Exact less each bound at pairs of log-odds of P(O=1) and P(bg|O=1), in 60 digits."""
    with mpmath.workdps(60):
        for a in log_odds:
            for b in log_odds:
                o, bg = (1 / (1 + mpmath.exp(-x)) for x in (a, b))
                exact = mpmath.log(bg * o + 1 - o)
                yield o, bg, exact - mpmath.log(1 - o), exact - o * mpmath.log(bg)


@pytest.mark.parametrize("name", PROPOSITIONS)
def test_every_proposition_holds_by_finite_numbers(name):
    shown = PROPOSITIONS[name]()
    assert isinstance(shown, Shown) and shown.holds is True
    assert shown.numbers and all(math.isfinite(value) for value in shown.numbers.values())


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_mathematics_is_found(wrong, monkeypatch):
    replacement, fallen = WRONG[wrong]
    monkeypatch.setattr(propositions.likelihood, wrong, replacement)
    assert fallen <= {name for name, prove in PROPOSITIONS.items() if not prove().holds}


def test_gaps_agree_with_sums_in_many_digits():
    gaps = list(brute_gaps(np.linspace(-12, 12, 13)))
    line = torch.linspace(-12, 12, 13, dtype=torch.float64)
    here = propositions.stages(line[:, None], line[None, :])
    for k, ours in enumerate((here.monotone_gap, here.jensen_gap), 2):
        exact = [float(gap[k]) for gap in gaps]
        assert ours.flatten().tolist() == pytest.approx(exact, rel=1e-9, abs=1e-13)
        assert min(exact) >= 0
    larger = [float(min(gap[2:])) for gap in gaps]
    assert here.larger_gap.max().item() == pytest.approx(max(larger)) and max(larger) < math.log(2)


def test_cases_of_the_appendix_agree_with_sums_in_many_digits():
    for o, bg, monotone, jensen in brute_gaps(np.linspace(-12, 12, 13)):
        assert (monotone if 1 - o >= bg else jensen) <= math.log(2)


@pytest.mark.parametrize("q", CHANCES[::6])
def test_no_second_stage_is_better_than_the_optimum_of_the_exact_likelihood(q):
    best = propositions._expected(q, optimum.exact(q, P_CLASS))
    for o in np.linspace(0.02, 0.98, 25):
        for background in np.linspace(0.02, 0.98, 25):
            learnt = optimum.Learnt(o, (1 - background) * P_CLASS, background)
            assert propositions._expected(q, learnt) <= best + 1e-12


def test_optima_that_are_wrong_are_found(monkeypatch):
    monkeypatch.setattr(propositions.optimum, "both", optimum.monotone)
    monkeypatch.setattr(propositions.optimum, "sampled", optimum.monotone)
    monkeypatch.setattr(propositions.optimum, "focal", lambda q, alpha: q)
    fallen = {name for name, prove in PROPOSITIONS.items() if not prove().holds}
    assert fallen == {
        *("sum counts background twice", "sampling counts an annotation twice"),
        "focal loss draws to the middle",
    }
