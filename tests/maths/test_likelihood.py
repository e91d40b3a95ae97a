"""Laws, closed forms and brute-force sums for the two-stage likelihood."""

import math
from typing import get_args

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from p2s.maths.likelihood import (
    BACKGROUND,
    FUSIONS,
    both_bounds,
    class_log_probs,
    complement,
    exact_background,
    exact_class,
    fuse,
    jensen_bound,
    max_bound,
    monotone_bound,
    object_log_probs,
)
from p2s.maths.optimum import OBJECTIVES
from p2s.spec import SecondStage

INF = math.inf
NAMES = ["class", "exact", "monotone", "jensen", "max", "both"]
DTYPES = [torch.float32, torch.float64]
LOGITS = [-1e4, -745.0, -104.0, -30.0, -3.0, -1e-30, 0.0, 1e-3, 2.0, 17.0, 88.0, 745.0, 1e4]
logits = st.floats(-1e4, 1e4) | st.floats(-40, 40)
tiny = st.floats(-320, 0).map(lambda exponent: -(10**exponent))
log_probs = st.floats(-1e4, 0) | tiny
law = settings(deadline=None, max_examples=200)


def double(*values):
    return [torch.tensor(v, dtype=torch.float64) for v in values]


def every_value(both, conditional):
    """All functions on log P(O=1), log P(O=0) and log P(C|O=1) of the shape (..., K + 1)."""
    background = conditional[..., -1]
    return {
        "class": exact_class(both[0], conditional[..., 0]),
        "exact": exact_background(*both, background),
        "monotone": monotone_bound(both[1]),
        "jensen": jensen_bound(both[0], background),
        "max": max_bound(*both, background),
        "both": both_bounds(*both, background),
    }


def from_logits(object_logit, class_logit):
    return every_value(object_log_probs(object_logit), class_log_probs(class_logit))


def gradients(value, *inputs):
    found = torch.autograd.grad(value.sum(), inputs, retain_graph=True, allow_unused=True)
    return [g for g in found if g is not None]


def true_background(log_p_object, log_p_background):
    """log of the sum over o of P(bg|O=o) P(O=o), in 800 digits."""
    with mpmath.workdps(800):
        p_object = mpmath.exp(log_p_object)
        return float(mpmath.log(mpmath.exp(log_p_background) * p_object + 1 - p_object))


@law
@given(logits, logits)
def test_bounds_never_exceed_the_exact_likelihood(object_logit, background_logit):
    values = from_logits(*double(object_logit, [0.0, background_logit]))
    rounding = 1e-15 * (1 + values["exact"].abs())
    assert values["monotone"] <= values["exact"] + rounding
    assert values["jensen"] <= values["exact"] + rounding


@law
@given(log_probs, log_probs)
def test_larger_bound_is_within_log_2(log_p_object, log_p_background):
    first, second = double(log_p_object, log_p_background)
    exact = exact_background(first, complement(first), second)
    gap = exact - max_bound(first, complement(first), second)
    assert gap <= math.log(2) + 1e-15 * (1 + exact.abs())


def of_background(object_logit, class_logit):
    """What background is worth by every objective."""
    both, background = object_log_probs(object_logit), class_log_probs(class_logit)[..., -1]
    return {name: worth(*both, background) for name, worth in BACKGROUND.items()}


@law
@given(logits, logits)
def test_objectives_of_background_are_ordered(object_logit, background_logit):
    worth = of_background(*double(object_logit, [0.0, background_logit]))
    rounding = 1e-15 * (1 + worth["exact"].abs())
    assert worth["max"] == max(worth["B1"], worth["B2"]) <= worth["exact"] + rounding
    assert worth["both"] == worth["B1"] + worth["B2"] <= min(worth["B1"], worth["B2"])
    assert worth["exact@K"] == worth["exact"]


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [("exact", True, True), ("B1", True, False), ("B2", True, True), ("both", True, True)],
)
def test_background_moves_the_stages_that_its_objective_sees(name, first, second):
    object_logit, class_logit = (each.requires_grad_() for each in double(0.3, [0.2, -0.4]))
    worth = of_background(object_logit, class_logit)[name]
    grads = torch.autograd.grad(worth, (object_logit, class_logit), allow_unused=True)
    assert [grad is not None and bool(grad.any()) for grad in grads] == [first, second]


@pytest.mark.parametrize(("p_object", "p_background"), [(0.7, 0.2), (0.05, 0.1), (0.9, 0.99)])
def test_objectives_of_background_have_their_closed_forms(p_object, p_background):
    object_logit, background_logit = (p.logit() for p in double(p_object, p_background))
    class_logit = torch.stack((torch.zeros_like(background_logit), background_logit))
    found = of_background(object_logit, class_logit)
    missed, rejected = math.log(1 - p_object), p_object * math.log(p_background)
    exact = math.log(p_object * p_background + 1 - p_object)
    expected = {"exact": exact, "exact@K": exact, "B1": missed, "B2": rejected}
    expected |= {"max": max(missed, rejected), "both": missed + rejected}
    assert {name: worth.item() for name, worth in found.items()} == pytest.approx(expected)


def test_every_objective_of_a_spec_says_what_background_is_worth_and_has_an_optimum():
    named = list(get_args(SecondStage.model_fields["objective"].annotation))
    assert named == ["sampled", *BACKGROUND] == [*OBJECTIVES]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BACKGROUND)
def test_objectives_of_background_are_finite_at_extreme_logits(name, dtype):
    pairs = torch.cartesian_prod(*[torch.tensor([-1e4, -100.0, 0.0, 100.0, 1e4], dtype=dtype)] * 2)
    object_logit, class_logit = (each.requires_grad_() for each in pairs.T.clone())
    worth = of_background(object_logit, torch.stack((-class_logit, class_logit), 1))[name]
    assert worth.dtype == dtype and worth.shape == (25,) and worth.isfinite().all()
    assert all(g.isfinite().all() for g in gradients(worth, object_logit, class_logit))


@law
@given(st.floats(-300, 0) | tiny, st.floats(-300, 0) | tiny)
def test_exact_background_is_the_brute_force_sum_over_o(log_p_object, log_p_background):
    first, second = double(log_p_object, log_p_background)
    found = exact_background(first, complement(first), second).item()
    true = true_background(log_p_object, log_p_background)
    assert found == pytest.approx(true, rel=2e-15, abs=1e-300)


POINTS = [(0.5, 0.5), (0.25, 0.1), (0.9, 0.99), (1.0, 0.3), (0.7, 1.0)]


@pytest.mark.parametrize(("p_object", "p_background"), POINTS)
def test_values_have_their_closed_forms(p_object, p_background):
    first, second = (p.log() for p in double(p_object, p_background))
    rejected, missed = p_background * p_object, 1 - p_object
    exact = exact_background(first, complement(first), second)
    assert exact.exp().item() == pytest.approx(rejected + missed)
    assert monotone_bound(complement(first)).exp().item() == pytest.approx(missed)
    assert jensen_bound(first, second).item() == pytest.approx(p_object * math.log(p_background))
    assert exact_class(first, second).exp().item() == pytest.approx(rejected)


@law
@given(logits, st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=6))
def test_class_distribution_sums_to_one(object_logit, class_logit):
    both = object_log_probs(*double(object_logit))
    conditional = class_log_probs(*double(class_logit))
    foreground = exact_class(both[0], conditional[:-1])
    background = exact_background(*both, conditional[-1:])
    assert torch.cat([foreground, background]).exp().sum().item() == pytest.approx(1, rel=1e-12)


@law
@given(st.floats(-700, 0) | tiny)
def test_complement_is_exact_at_both_ends(log_p):
    with mpmath.workdps(800):
        true = float(mpmath.log(-mpmath.expm1(mpmath.mpf(log_p)))) if log_p else -INF
    assert complement(*double(log_p)).item() == pytest.approx(true, rel=1e-15, abs=1e-300)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_log_probability_of_1e_30_is_exact(dtype):
    nearly_one, rare = torch.tensor([-1e-30, math.log(1e-30)], dtype=dtype)
    half = torch.tensor(0.5, dtype=dtype).log()
    assert complement(nearly_one).item() == pytest.approx(math.log(1e-30), rel=1e-5)
    assert complement(rare).item() == pytest.approx(-1e-30, rel=1e-5)
    assert exact_background(half, half, nearly_one).item() == pytest.approx(-0.5e-30, rel=1e-5)
    assert exact_background(rare, -rare.exp(), half).item() == pytest.approx(-0.5e-30, rel=1e-5)
    assert jensen_bound(half, nearly_one).item() == pytest.approx(-0.5e-30, rel=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_extreme_logits_give_finite_values_and_gradients(name, dtype):
    pairs = torch.cartesian_prod(*[torch.tensor(LOGITS, dtype=dtype)] * 3)
    object_logit, class_logit = pairs[:, 0].requires_grad_(), pairs[:, 1:].detach().requires_grad_()
    value = from_logits(object_logit, class_logit)[name]
    assert value.dtype == dtype and value.isfinite().all()
    assert all(g.isfinite().all() for g in gradients(value, object_logit, class_logit))


@pytest.mark.parametrize("name", ["class", "exact", "monotone", "jensen", "both"])
def test_gradients_equal_finite_differences(name):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 5, dtype=torch.float64, generator=generator).mul(3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: from_logits(x[:, 0], x[:, 1:])[name], logits)


@law
@given(st.floats(-1e4, 1e4), log_probs)
def test_exact_gradient_moves_the_prior_to_the_posterior(object_logit, log_p_background):
    logit, background = (x.requires_grad_() for x in double(object_logit, log_p_background))
    both = object_log_probs(logit)
    value = exact_background(*both, background)
    posterior = (both[0] + background - value).exp().item()  # P(O=1|bg)
    of_logit, of_background = gradients(value, logit, background)
    assert of_background.item() == pytest.approx(posterior, abs=1e-12)
    assert of_logit.item() == pytest.approx(posterior - both[0].exp().item(), abs=1e-12)


@pytest.mark.parametrize(("object_logit", "active"), [(-5.0, "monotone"), (5.0, "jensen")])
def test_gradient_of_the_maximum_is_that_of_the_larger_bound(object_logit, active):
    logit = torch.tensor(object_logit, requires_grad=True)
    values = from_logits(logit, torch.tensor([5.0, 0.0]))
    assert values["max"] == values[active]
    assert gradients(values["max"], logit) == gradients(values[active], logit)


CERTAIN = [  # P(O=1), P(bg|O=1), then log P(bg), B1, B2
    (1.0, 0.0, -INF, -INF, -INF),
    (1.0, 1.0, 0.0, -INF, 0.0),
    (0.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 1.0, 0.0, 0.0, 0.0),
    (0.5, 0.0, -math.log(2), -math.log(2), -INF),
    (1.0, 0.5, -math.log(2), -INF, -math.log(2)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("p_object", "p_background", "exact", "monotone", "jensen"), CERTAIN)
def test_certainty_is_never_nan(dtype, p_object, p_background, exact, monotone, jensen):
    inputs = torch.tensor([p_object, p_background], dtype=dtype).log().requires_grad_()
    values = every_value((inputs[0], complement(inputs[0])), inputs[1:])
    expected = {"exact": exact, "monotone": monotone, "jensen": jensen}
    expected |= {"max": max(monotone, jensen), "both": monotone + jensen}
    for name, value in expected.items():
        assert values[name].item() == pytest.approx(value)
        assert not any(g.isnan().any() for g in gradients(values[name], inputs))


def test_infinite_logits_are_certainty():
    logit = torch.tensor([-INF, INF], requires_grad=True)
    both = object_log_probs(logit)
    assert torch.stack(both).tolist() == [[-INF, 0], [0, -INF]]
    value = exact_background(*both, torch.tensor([-INF, -1.0]))
    assert value.tolist() == [0, -1] and gradients(value, logit)[0].tolist() == [0, 0]


def test_an_invalid_log_probability_is_not_hidden():
    assert complement(torch.tensor([0.5, math.nan])).isnan().all()
    assert exact_background(*torch.tensor([math.nan, -1.0, -1.0])).isnan()
    assert jensen_bound(*torch.tensor([-1.0, math.nan])).isnan()


@pytest.mark.parametrize("name", NAMES)
def test_permuted_elements_give_permuted_values(name):
    generator = torch.Generator().manual_seed(0)
    logits, order = torch.randn(50, 5, generator=generator), torch.randperm(50, generator=generator)
    value = from_logits(logits[:, 0], logits[:, 1:])[name]
    assert from_logits(logits[order, 0], logits[order, 1:])[name].equal(value[order])


@pytest.mark.parametrize("locations", [0, 1, 3])
def test_stages_broadcast_and_may_be_empty(locations):
    values = from_logits(torch.zeros(locations, 1), torch.zeros(1, 5, 4))
    assert values.pop("monotone").shape == (locations, 1)
    assert all(value.shape == (locations, 5) for value in values.values())


def test_named_fusions_are_the_powers_of_paper_and_code():
    p_class, p_object = torch.tensor([0.64, 1.0, 0.0]), torch.tensor([0.0625, 0.0, 1.0])
    rooted = (p_class * p_object.sqrt()).sqrt()
    assert fuse(p_class, p_object, *FUSIONS["class"]).equal(p_class)
    assert fuse(p_class, p_object, *FUSIONS["product"]).equal(p_class * p_object)
    assert fuse(p_class, p_object, *FUSIONS["released"]).allclose(rooted)


@law
@given(st.floats(0, 1), st.floats(0, 1))
def test_the_product_is_the_exact_class_likelihood(p_class, p_object):
    log_p = exact_class(*(p.log() for p in double(p_object, p_class)))
    product = fuse(p_class, p_object, *FUSIONS["product"])
    assert product == pytest.approx(log_p.exp().item(), rel=1e-9, abs=1e-300)
