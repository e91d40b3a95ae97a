"""The two-stage likelihood: exact values, lower bounds of the background, and score fusion.

A detection is background if the first stage sees no object, or if the second stage rejects the
object it was shown: P(bg) = P(O=0) + P(O=1) P(bg|O=1). All functions work in log space and return
one value per element; their arguments broadcast.

    log_p_object       log P(O=1)     first stage
    log_p_no_object    log P(O=0)     first stage
    log_p_class        log P(C|O=1)   second stage
    log_p_background   log P(bg|O=1)  second stage

The first stage gives two values because neither can be had from the other once that one rounds to
certainty: `object_log_probs` takes both from a logit, `complement` one from the other.
A probability of exactly 0 is -inf. Where a value rests on it, the gradient is 0 instead of 0 * inf.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LOG_2 = math.log(2)
AUDIT = "audit/"  # begins the names of what is noted beside the losses and not minimised
FUSIONS = {  # named powers of P(C|O) and P(O) in the score of a detection
    "class": (1.0, 0.0),  # the second stage alone, as RPN-based detectors score
    "product": (1.0, 1.0),  # Eq. 1
    "released": (0.5, 0.25),  # the authors' released code: sqrt(P(C|O) sqrt(P(O)))
}


def object_log_probs(object_logit: Tensor) -> tuple[Tensor, Tensor]:
    """log P(O=1) and log P(O=0) of the first stage's logits."""
    return F.logsigmoid(object_logit), F.logsigmoid(-object_logit)


def class_log_probs(class_logit: Tensor) -> Tensor:
    """log P(C|O=1) of the second stage's softmax logits (..., K + 1), background last."""
    return F.log_softmax(class_logit, dim=-1)


def complement(log_p: Tensor) -> Tensor:
    """log(1 - p) from log p, to full relative precision at both ends."""
    large, certain = log_p > -LOG_2, log_p == 0  # each formula loses its digits on the other side
    half = torch.full_like(log_p, -LOG_2)
    of_large = torch.log(-torch.expm1(torch.where(large & ~certain, log_p, half)))
    of_small = torch.log1p(-torch.exp(torch.where(large, half, log_p)))
    return torch.where(large, of_large, of_small).masked_fill(certain, -math.inf)


def exact_class(log_p_object: Tensor, log_p_class: Tensor) -> Tensor:
    """log P(C) = log P(C|O=1) + log P(O=1) of a foreground class (Eq. 2)."""
    return log_p_class + log_p_object


def exact_background(
    log_p_object: Tensor, log_p_no_object: Tensor, log_p_background: Tensor
) -> Tensor:
    """log P(bg) = log(P(bg|O=1) P(O=1) + P(O=0)) (Sec. 4, below Eq. 2)."""
    deficit = torch.exp(log_p_object) * torch.expm1(log_p_background)  # P(bg) - 1
    likely = deficit > -0.5  # here a sum of logarithms would lose the digits of a small deficit
    of_likely = torch.log1p(torch.where(likely, deficit, 0))
    of_unlikely = _log_add(log_p_object + log_p_background, log_p_no_object)
    return torch.where(likely, of_likely, of_unlikely)


def monotone_bound(log_p_no_object: Tensor) -> Tensor:
    """log P(bg) >= log P(O=0), tight as P(bg|O=1) falls to 0 (Eq. 4; B1 in App. A)."""
    return log_p_no_object


def jensen_bound(log_p_object: Tensor, log_p_background: Tensor) -> Tensor:
    """log P(bg) >= P(O=1) log P(bg|O=1) (Eq. 3; B2 in App. A).

    Tight at P(O=1) = 0 and at P(bg|O=1) = 1. With P(O=1) = 0 there is nothing to reject: 0 log 0
    is 0, its limit.
    """
    impossible = log_p_background == -math.inf
    bound = torch.exp(log_p_object) * log_p_background.masked_fill(impossible, 0)
    return bound.masked_fill(impossible & (log_p_object > -math.inf), -math.inf)


def max_bound(log_p_object: Tensor, log_p_no_object: Tensor, log_p_background: Tensor) -> Tensor:
    """The larger of both bounds, less than log 2 below the exact log P(bg) (Eq. 7)."""
    jensen = jensen_bound(log_p_object, log_p_background)
    return torch.maximum(monotone_bound(log_p_no_object), jensen)


def both_bounds(log_p_object: Tensor, log_p_no_object: Tensor, log_p_background: Tensor) -> Tensor:
    """The sum of both bounds, which the paper optimises (Sec. 4): background counts twice."""
    return monotone_bound(log_p_no_object) + jensen_bound(log_p_object, log_p_background)


BACKGROUND = {  # what background is worth, of log P(O=1), log P(O=0) and log P(bg|O=1)
    "exact": exact_background,
    "exact@K": exact_background,  # of the K likeliest locations
    "B1": lambda _, log_p_no_object, __: monotone_bound(log_p_no_object),
    "B2": lambda log_p_object, _, log_p_background: jensen_bound(log_p_object, log_p_background),
    "max": max_bound,
    "both": both_bounds,
}


def fuse(p_class: Tensor, p_object: Tensor, class_power: float, object_power: float) -> Tensor:
    """The score P(C|O)^class_power P(O)^object_power; `FUSIONS` names the powers in use."""
    return p_class**class_power * p_object**object_power


def _log_add(a: Tensor, b: Tensor) -> Tensor:
    """log(exp a + exp b), with the gradient 0 where both are -inf."""
    impossible = torch.maximum(a, b) == -math.inf
    total = torch.logaddexp(torch.where(impossible, 0, a), torch.where(impossible, 0, b))
    return total.masked_fill(impossible, -math.inf)
