"""Losses: plain functions that return one value per element; the caller normalises.

A locations, P positives, K classes; any leading dimensions will do.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, smooth_l1_loss

from p2s.maths.geometry import EPSILON, paired_giou

ALPHA, GAMMA = 0.25, 2.0  # Lin et al. (2017b), Sec. 5; C2
BETA = 4.0  # how fast the cost of a negative falls towards a centre; Law & Deng (2018), Eq. 1; C2


def peak_focal(logit: Tensor, heat: Tensor, peaks: Tensor, ignore_above: float = 1.0) -> Tensor:
    """Focal loss of a heat map (Law & Deng, 2018, Eq. 1; alpha as in Lin et al., 2017b), (A, K).

    `heat` in [0, 1] takes (1 - heat)^4 off a negative's cost and is 1 at every centre; `peaks`
    counts the objects that an element is the positive of, since Eq. 2 has a term for each object.
    Negatives more probable than `ignore_above` cost nothing (C2: IGNORE_HIGH_FP).
    """
    far = (1 - ALPHA) * (1 - heat) ** BETA
    if ignore_above < 1:
        far = far * (logit.detach().sigmoid() <= ignore_above)
    at = peaks.nonzero(as_tuple=True)  # few: the cost of a peak is taken there alone
    positive = ALPHA * peaks[at] * _focal(logit[at])
    return (far * _focal(-logit)).index_put(at, positive, accumulate=True)


def plain_likelihood(logit: Tensor, heat: Tensor, peaks: Tensor) -> Tensor:
    """Cross entropy, every location alike: targets as in `peak_focal`, (A, K).

    A positive is to predict its heat, which is 1 but for GFL's; a location with a heat of 1 that is
    nobody's positive is ignored.
    """
    positive = heat * logsigmoid(logit) + (1 - heat) * logsigmoid(-logit)
    negative = (peaks == 0) * (heat < 1) * logsigmoid(-logit)
    return -(peaks * positive + negative)


def quality_focal(logit: Tensor, quality: Tensor, beta: float = GAMMA) -> Tensor:
    """Focal loss of a logit against a quality in [0, 1] (Li et al., 2020b, Eq. 4)."""
    distance = (quality - logit.sigmoid()).abs() ** beta
    return distance * binary_cross_entropy_with_logits(logit, quality, reduction="none")


def distribution_focal(bin_logit: Tensor, side: Tensor) -> Tensor:
    """Cross entropy of a side's length with the two bins that enclose it (Li et al., Eq. 6).

    `bin_logit` (..., B) of lengths 0 to B - 1, `side` (...,) in the same unit and range.
    """
    lower = side.floor().clamp(max=bin_logit.shape[-1] - 2).long()
    share = side - lower  # of the upper bin
    log_p = bin_logit.log_softmax(-1)
    both = log_p.gather(-1, torch.stack((lower, lower + 1), -1))
    return -((1 - share) * both[..., 0] + share * both[..., 1])


def bounded_iou_loss(sides: Tensor, wanted: Tensor) -> Tensor:
    """How far width and height (P, 2) are from those wanted, as (P,): 0 where equal.

    Smooth L1 of one minus the smaller side over the larger (Wang et al., 2019, Eq. 5).
    """
    ratio = torch.minimum(sides / wanted, wanted / sides.clamp(min=EPSILON))
    return smooth_l1_loss(1 - ratio, torch.zeros_like(ratio), beta=0.2, reduction="none").sum(-1)


def giou_loss(pred: Tensor, target: Tensor) -> Tensor:
    """One minus the generalised IoU of paired boxes (P, 4), in [0, 2), as (P,)."""
    return 1 - paired_giou(pred, target)


def _focal(logit):
    """-(1 - p)^gamma log p with p = sigmoid(logit): finite for every finite logit."""
    return -((-logit).sigmoid() ** GAMMA) * logsigmoid(logit)
