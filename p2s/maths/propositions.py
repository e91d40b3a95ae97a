"""Propositions: what is said of the equations, computed on grids, and whether it holds.

A grid holds pairs of P(O=1) and P(bg|O=1), evenly spaced in their logits. Each function returns the
numbers that it decides by; a test holds all of them against sums in many digits.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from p2s.maths import likelihood, optimum
from p2s.maths.likelihood import LOG_2

POINTS = 121  # along a side of a grid
FAR = 30.0  # logits of a grid lie between plus and minus this
ROUNDING = 1e-12  # nats: up to it two values count as equal
CHANCES = tuple(k / 20 for k in range(1, 20))  # probabilities that an object is annotated
P_CLASS = 0.7  # of the annotated ones, that it is of the class


class Shown(NamedTuple):
    """What a proposition comes to, and whether that is what it says."""

    numbers: dict[str, float]
    holds: bool


class Stages(NamedTuple):
    """log P(O=1), log P(O=0) and log P(bg|O=1) at every pair of a grid."""

    log_p_object: Tensor
    log_p_no_object: Tensor
    log_p_background: Tensor

    @property
    def exact(self) -> Tensor:
        """log P(bg)."""
        return likelihood.exact_background(*self)

    @property
    def monotone_gap(self) -> Tensor:
        """How far Eq. 4 is below."""
        return self.exact - likelihood.monotone_bound(self.log_p_no_object)

    @property
    def jensen_gap(self) -> Tensor:
        """How far Eq. 3 is below."""
        return self.exact - likelihood.jensen_bound(self.log_p_object, self.log_p_background)

    @property
    def larger_gap(self) -> Tensor:
        """How far the larger of both is below (Eq. 7)."""
        return self.exact - likelihood.max_bound(*self)


def stages(objects: Tensor, backgrounds: Tensor) -> Stages:
    """The Stages of two logits, which broadcast."""
    log_p_background = likelihood.object_log_probs(backgrounds)[0]
    return Stages(*torch.broadcast_tensors(*likelihood.object_log_probs(objects), log_p_background))


def grid() -> Stages:
    """The Stages of all pairs of logits between plus and minus FAR."""
    line = torch.linspace(-FAR, FAR, POINTS, dtype=torch.float64)
    return stages(line[:, None], line[None, :])


def both_are_lower_bounds() -> Shown:
    """Neither bound of the background is above its exact log-likelihood (Eq. 3, 4)."""
    here = grid()
    least = {"Eq. 3": here.jensen_gap.min().item(), "Eq. 4": here.monotone_gap.min().item()}
    return Shown(
        {f"least gap of {name}": gap for name, gap in least.items()},
        min(least.values()) >= -ROUNDING,
    )


def larger_is_within_log_2() -> Shown:
    """The larger bound is less than log 2 below the exact value (Sec. 4, Eq. 7)."""
    worst = grid().larger_gap.max().item()
    return Shown({"largest gap": worst, "log 2": LOG_2}, worst < LOG_2)


def each_bound_is_within_log_2_in_its_case() -> Shown:
    """Eq. 4 where P(O=0) is at least P(bg|O=1), and Eq. 3 elsewhere, stay within log 2 (App. A)."""
    here = grid()
    first = here.log_p_no_object >= here.log_p_background
    monotone, jensen = here.monotone_gap[first].max(), here.jensen_gap[~first].max()
    worst = {"largest gap of Eq. 4": monotone.item(), "largest gap of Eq. 3": jensen.item()}
    return Shown(worst, max(worst.values()) <= LOG_2 + ROUNDING)


def log_2_is_a_limit() -> Shown:
    """Where P(O=0) and P(bg|O=1) fall to 0 alike the gap rises to log 2, which it never attains."""
    far = torch.tensor([4.0, 8.0, 16.0, 30.0], dtype=torch.float64)
    gaps = stages(far, -far).larger_gap
    rises = bool((gaps.diff() > 0).all()) and bool((gaps < LOG_2).all())
    missing = (LOG_2 - gaps[-1]).item()
    return Shown({"missing to log 2 at the last": missing}, rises and missing < 1e-9)


def jensen_is_tight() -> Shown:
    """Eq. 3 becomes exact where P(O=1) falls to 0, and where P(bg|O=1) rises to 1 (Sec. 4)."""
    line = torch.linspace(-5, 5, POINTS, dtype=torch.float64)
    far = torch.tensor(FAR, dtype=torch.float64)
    gaps = {
        "gap without objects": stages(-far, line).jensen_gap.abs().max().item(),
        "gap where all is rejected": stages(line, far).jensen_gap.abs().max().item(),
    }
    return Shown(gaps, max(gaps.values()) < 1e-9)


def jensen_is_loose() -> Shown:
    """Eq. 3 is arbitrarily loose where P(bg|O=1) falls to 0 and P(O=1) does not (Sec. 4)."""
    far = torch.tensor([-10.0, -100.0, -1000.0], dtype=torch.float64)
    gaps = stages(torch.zeros_like(far), far).jensen_gap
    steady = bool((gaps.diff() > 0).all()) and bool((gaps[1:] > 9 * gaps[:-1]).all())
    return Shown({"gap at the last": gaps[-1].item()}, steady)


def monotone_is_tight() -> Shown:
    """Eq. 4 becomes exact where P(bg|O=1) falls to 0 (Sec. 4)."""
    line = torch.linspace(-5, 5, POINTS, dtype=torch.float64)
    worst = stages(line, torch.tensor(-FAR, dtype=torch.float64)).monotone_gap.abs().max().item()
    return Shown({"largest gap": worst}, worst < 1e-9)


def joint_sums_to_one() -> Shown:
    """P(C), summed over classes and background, is 1 (Eq. 1)."""
    objects = torch.linspace(-FAR, FAR, POINTS, dtype=torch.float64)
    classes = torch.stack([objects.flip(0), objects / 2, torch.zeros_like(objects)], -1)
    both, conditional = likelihood.object_log_probs(objects), likelihood.class_log_probs(classes)
    positive = likelihood.exact_class(both[0][:, None], conditional[:, :-1]).exp().sum(-1)
    total = positive + likelihood.exact_background(*both, conditional[:, -1]).exp()
    worst = (total - 1).abs().max().item()
    return Shown({"largest distance from 1": worst}, worst < ROUNDING)


def positives_factorise() -> Shown:
    """What a positive asks of one stage does not depend on the other (Eq. 2)."""
    mixed = _mixed(lambda o, c: likelihood.exact_class(F.logsigmoid(o), F.logsigmoid(c)))
    return Shown({"mixed second derivative": mixed}, mixed < ROUNDING)


def background_couples() -> Shown:
    """What background asks of one stage depends on the other (Sec. 4)."""

    def exact(o, b):
        return likelihood.exact_background(*likelihood.object_log_probs(o), F.logsigmoid(b))

    mixed = _mixed(exact)
    return Shown({"mixed second derivative": mixed}, mixed > 1e-3)


def first_stage_is_a_binary_detector() -> Shown:
    """Eq. 2 at objects and Eq. 4 elsewhere are a binary cross entropy of P(O) (Sec. 4)."""
    logits = torch.linspace(-FAR, FAR, POINTS, dtype=torch.float64)
    log_p_object, log_p_no_object = likelihood.object_log_probs(logits)
    worst = 0.0
    for label, ours in (1.0, log_p_object), (0.0, likelihood.monotone_bound(log_p_no_object)):
        target = torch.full_like(logits, label)
        entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        worst = max(worst, (entropy + ours).abs().max().item())
    return Shown({"largest difference": worst}, worst < ROUNDING)


def exact_sees_the_product_alone() -> Shown:
    """Any P(O) from the truth up to 1 is an optimum of the exact likelihood; P(C) is the truth."""
    spread = 0.0
    for q in CHANCES:
        shares = (q + (1 - q) * k / 10 for k in range(11))
        learnt = [optimum.exact(q, P_CLASS, o) for o in shares]
        spread = max([spread, *(abs(one.product - q * P_CLASS) for one in learnt)])
        values = [_expected(q, one) for one in learnt]
        spread = max(spread, max(values) - min(values))
    return Shown({"largest difference": spread}, spread < 1e-9)


def bounds_take_both_ends() -> Shown:
    """Of these optima Eq. 4 alone learns the lowest P(O), the truth, and Eq. 3 the highest, 1."""
    p_object = np.arange(1, 1001) / 1000
    learnt = [_best_for_each_bound(q, p_object) for q in CHANCES]
    low = max(abs(monotone - q) for q, (monotone, _) in zip(CHANCES, learnt, strict=True))
    high = max(1 - jensen for _, jensen in learnt)
    ends = {"distance of Eq. 4 from the truth": low, "distance of Eq. 3 from 1": high}
    return Shown(ends, max(ends.values()) < ROUNDING)


def sum_counts_background_twice() -> Shown:
    """The optimum of both bounds together has a P(C) below the truth, unless all is certain."""
    below = [q * P_CLASS - optimum.both(q, P_CLASS).product for q in CHANCES]
    return Shown({"least below": min(below), "largest below": max(below)}, min(below) > 0)


def sampling_counts_an_annotation_twice() -> Shown:
    """A second stage that sees sampled proposals learns P(O) again: the product has its square."""
    apart = [abs(optimum.sampled(q, P_CLASS).product - q**2 * P_CLASS) for q in CHANCES]
    below = [q * P_CLASS - optimum.sampled(q, P_CLASS).product for q in CHANCES]
    return Shown({"largest below": max(below)}, max(apart) < ROUNDING and min(below) > 0)


def focal_loss_draws_to_the_middle() -> Shown:
    """The focal loss without class weights is nearer to one half than the truth, on both sides."""
    learnt = {q: optimum.focal(q, alpha=0.5) for q in CHANCES if q != 0.5}
    nearer = all(abs(p - 0.5) < abs(q - 0.5) for q, p in learnt.items())
    return Shown({"largest distance": max(abs(p - q) for q, p in learnt.items())}, nearer)


PROPOSITIONS: dict[str, Callable[[], Shown]] = {
    prove.__name__.replace("_", " "): prove
    for prove in (
        *(joint_sums_to_one, positives_factorise, background_couples, both_are_lower_bounds),
        *(jensen_is_tight, jensen_is_loose, monotone_is_tight, larger_is_within_log_2),
        *(each_bound_is_within_log_2_in_its_case, log_2_is_a_limit),
        *(first_stage_is_a_binary_detector, exact_sees_the_product_alone, bounds_take_both_ends),
        *(sum_counts_background_twice, sampling_counts_an_annotation_twice),
        focal_loss_draws_to_the_middle,
    )
}


def _mixed(value):
    """The largest mixed second derivative of a function of two logits, in absolute terms."""
    line = torch.linspace(-3, 3, 13, dtype=torch.float64)
    first, second = (
        each.clone().requires_grad_() for each in torch.meshgrid(line, line, indexing="ij")
    )
    [slope] = torch.autograd.grad(value(first, second).sum(), first, create_graph=True)
    [mixed] = torch.autograd.grad(slope.sum(), second, allow_unused=True, materialize_grads=True)
    return mixed.abs().max().item()


def _best_for_each_bound(q, p_object):
    """The P(O) of the largest expected bound: Eq. 4, and Eq. 3 with its best second stage."""
    background = (1 - q) * p_object / (q + (1 - q) * p_object)
    with np.errstate(divide="ignore"):  # at P(O) = 1 Eq. 4 is minus infinity
        monotone = q * np.log(p_object) + (1 - q) * np.log1p(-p_object)
    jensen = q * np.log(p_object * (1 - background)) + (1 - q) * p_object * np.log(background)
    return tuple(float(p_object[np.argmax(values)]) for values in (monotone, jensen))


def _expected(q, learnt):
    """The exact log-likelihood that is expected of an object annotated with probability q."""
    logs = torch.tensor([learnt.p_object, learnt.p_class, learnt.p_background], dtype=torch.float64)
    log_p_object, log_p_class, log_p_background = logs.log()
    no_object = likelihood.complement(log_p_object)
    background = likelihood.exact_background(log_p_object, no_object, log_p_background)
    rest = torch.tensor(1 - learnt.p_class - learnt.p_background, dtype=torch.float64)
    positive = P_CLASS * log_p_class + (1 - P_CLASS) * rest.clamp(min=1e-300).log() + log_p_object
    return (q * positive + (1 - q) * background).item()
