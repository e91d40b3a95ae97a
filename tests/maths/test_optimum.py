"""Population optima: each derivation against a numerical optimiser of the expected loss."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from p2s.maths import losses, optimum
from p2s.maths.likelihood import BACKGROUND, class_log_probs, object_log_probs

CHANCES = [(0.1, 0.3), (0.25, 0.8), (0.5, 0.5), (0.75, 0.3), (0.9, 0.8)]
EVERY_Q = [0.1, 0.25, 0.5, 0.75, 0.9]


def learnt(name, q, r):
    """P(O), P(A|O), P(bg|O) that minimise the expected objective, and its least value."""

    def expected(x):
        x = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        log_object, log_no_object = object_log_probs(x[0])
        log_class = class_log_probs(torch.cat((x[1:], x.new_zeros(1))))
        named = log_object + r * log_class[0] + (1 - r) * log_class[1]
        loss = -q * named - (1 - q) * BACKGROUND[name](log_object, log_no_object, log_class[2])
        [gradient] = torch.autograd.grad(loss, x)
        return loss.item(), gradient.numpy()

    found = minimize(expected, [0.3, 0.1, -0.2], jac=True, tol=1e-12, options={"maxiter": 5000})
    p = np.exp([*found.x[1:], 0.0])
    return 1 / (1 + np.exp(-found.x[0])), p[0] / p.sum(), p[2] / p.sum(), found.fun


@pytest.mark.parametrize("q, r", CHANCES)
@pytest.mark.parametrize("name", ["B1", "B2", "both"])
def test_an_objectives_optimum_is_that_of_a_numerical_optimiser(name, q, r):
    assert learnt(name, q, r)[:3] == pytest.approx(optimum.OBJECTIVES[name](q, r), abs=2e-3)


@pytest.mark.parametrize("q, r", CHANCES)
def test_the_exact_likelihood_identifies_the_product_alone(q, r):
    p_object, p_class, _, least = learnt("exact", q, r)
    assert p_object * p_class == pytest.approx(q * r, abs=1e-4)
    chances = np.array([q * r, q * (1 - r), 1 - q])
    assert least == pytest.approx(-(chances * np.log(chances)).sum(), abs=1e-8)  # the entropy
    assert optimum.exact(q, r) == optimum.monotone(q, r)
    assert optimum.exact(q, r, 1.0) == pytest.approx(optimum.jensen(q, r))


@pytest.mark.parametrize("q, r", CHANCES)
def test_either_bound_and_their_maximum_reach_the_exact_likelihoods_optimum(q, r):
    least = {name: learnt(name, q, r)[3] for name in ("exact", "B1", "B2", "max")}
    assert list(least.values()) == pytest.approx([least["exact"]] * 4, abs=1e-4)


def test_an_optimum_outside_of_the_range_is_refused():
    with pytest.raises(ValueError, match="in .0.5, 1"):
        optimum.exact(0.5, 0.3, 0.4)


@pytest.mark.parametrize("q", EVERY_Q)
def test_score_losses_have_their_least_expectation_there(q):
    ious = np.array([0.5, 0.8, 0.9])
    plain = losses.plain_likelihood
    soft = lambda logit, heat, _: losses.quality_focal(logit, heat)  # noqa: E731
    for loss, heats, found in (
        (losses.peak_focal, [1.0], optimum.focal(q)),
        (plain, [1.0], optimum.likelihood(q)),
        (plain, ious, q * ious.mean()),
        (soft, ious, optimum.quality(q, ious)),
    ):
        p = torch.linspace(0.0005, 0.9995, 1999, dtype=torch.float64)
        logit, one, zero = p.logit(), torch.ones_like(p), torch.zeros_like(p)
        positive = sum(loss(logit, one * heat, one) for heat in heats) / len(heats)
        expected = q * positive + (1 - q) * loss(logit, zero, zero)
        assert p[expected.argmin()].item() == pytest.approx(found, abs=1e-3)


def test_quality_without_focus_is_the_mean_iou_of_the_annotated():
    assert optimum.quality(0.4, [0.5, 0.9], beta=0) == pytest.approx(0.4 * 0.7, abs=1e-5)


@pytest.mark.parametrize("q", EVERY_Q)
def test_sampling_multiplies_the_odds_and_can_be_undone(q):
    p = optimum.sampling(q, 0.2)
    assert p / (1 - p) == pytest.approx(q / (1 - q) / 0.2)
    assert optimum.undone(p, 0.2) == pytest.approx(q)
    assert optimum.sampling(q, 1) == pytest.approx(q)


def test_the_authors_practice_counts_an_annotation_twice():
    assert optimum.sampled(0.5, 0.8).product == pytest.approx(0.5**2 * 0.8)


@pytest.mark.parametrize("name", optimum.OBJECTIVES)
def test_what_is_always_annotated_is_learnt_by_every_objective(name):
    assert optimum.OBJECTIVES[name](1.0, 0.8) == pytest.approx((1.0, 0.8, 0.0))


@pytest.mark.parametrize("q, r", CHANCES)
@pytest.mark.parametrize("negatives", [1.0, 0.25])
def test_a_sampled_second_stage_minimises_the_cross_entropy_of_what_is_drawn(q, r, negatives):
    weights = np.array([q * r, q * (1 - r), (1 - q) * negatives])

    def expected(x):
        logits = np.append(x, 0.0)
        return -(weights * (logits - np.logaddexp.reduce(logits))).sum() / weights.sum()

    p = np.exp(np.append(minimize(expected, [0.0, 0.0], tol=1e-12).x, 0.0))
    best = optimum.sampled(q, r, negatives)
    assert (p / p.sum())[[0, 2]] == pytest.approx(best[1:], abs=1e-4)
    both = weights[0] + weights[1]  # and an RPN the same, of one class
    assert optimum.sampling(q, negatives) == pytest.approx(both / weights.sum())


def test_centerness_multiplies():
    assert optimum.centered(0.5, [0.2, 0.6]) == pytest.approx(0.2)
