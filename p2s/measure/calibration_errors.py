"""Calibration errors: how far a claimed probability is from how often its event happens.

R proposals or detections of which each claims a probability; all errors are in percent.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from hotcoco import metrics
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize_scalar
from scipy.special import expit, log_expit, logit

BINS = 20  # of D-ECE and of reliability diagrams: a score threshold of .05 falls on an edge
LA_BINS = 25  # Oksuz et al., 2023
COLDEST, HOTTEST = 0.01, 100.0  # temperatures that are tried


class Judged(NamedTuple):
    """R claims, each with what became of it."""

    prob: NDArray  # (R,) claimed
    hit: NDArray  # (R,) whether the event happened
    iou: NDArray  # (R,) of the box with its object; 0 without a hit
    label: NDArray  # (R,) class number
    score: NDArray  # (R,) what a score threshold acts on
    image: NDArray  # (R,) index

    def where(self, rows: NDArray) -> "Judged":
        """The claims of so many rows."""
        return Judged(*(field[rows] for field in self))


def d_ece(prob: NDArray, hit: NDArray) -> float:
    """Detection expected calibration error: the mean over claims of |mean claim - share of hits|.

    Both means are of the claim's bin, one of 20 of equal width, all classes together (Kueppers et
    al., 2020, of the confidence alone), by hotcoco. NaN without a claim.
    """
    return 100 * metrics.calibration_error(prob, hit, BINS)[0] if len(prob) else np.nan


def la_ece(judged: Judged) -> float:
    """Localisation-aware error: |mean claim - share of hits x their mean IoU|, the mean of classes.

    25 bins a class, weighted by their claims; the mean is over classes with a claim (Oksuz et al.,
    2023). NaN without a claim. A box that fits by IoU .7 must claim .7, not 1.
    """
    errors = []
    for label in np.unique(judged.label):
        count, claimed, _, overlap = _sums(judged.where(judged.label == label), LA_BINS)
        errors.append(np.abs(claimed - overlap).sum() / count.sum())
    return 100 * float(np.mean(errors)) if errors else np.nan


def reliability(judged: Judged) -> dict[str, list]:
    """What a reliability diagram shows, a value a bin: number, mean claim, share, IoU of hits.

    A dict of lists "count", "claimed", "share" and "iou"; None where a bin has no claim or no hit.
    """
    count, claimed, hits, overlap = _sums(judged, BINS)
    return {
        "count": count.astype(int).tolist(),
        "claimed": _ratios(claimed, count),
        "share": _ratios(hits, count),
        "iou": _ratios(overlap, hits),
    }


def temperature(prob: NDArray, hit: NDArray) -> float:
    """The T of highest likelihood of sigmoid(logit(p) / T), in .01 to 100 (Guo et al., 2017)."""
    sign = np.where(hit, 1, -1) * _logit(prob)

    def loss(log_t):
        return -log_expit(sign / np.exp(log_t)).sum()

    return float(np.exp(minimize_scalar(loss, bounds=np.log([COLDEST, HOTTEST])).x))


def heated(prob: NDArray, t: float) -> NDArray:
    """Probabilities at temperature T: sigmoid(logit(p) / T), which leaves .5 where it is."""
    return expit(_logit(prob) / t)


def isotonic(prob: NDArray, hit: NDArray) -> Callable[[NDArray], NDArray]:
    """The rising steps of highest likelihood, as a function of probabilities.

    Between the claims it was fitted to it is linear (Zadrozny and Elkan, 2002).
    """
    claims, place, counts = np.unique(prob, return_inverse=True, return_counts=True)
    shares = np.bincount(place, hit, len(claims)) / counts
    steps = isotonic_regression(shares, weights=counts).x
    return lambda new: np.interp(new, claims, steps)


def held_out(judged: Judged) -> dict[str, float]:
    """D-ECE of the odd images: as claimed, and recalibrated on the even ones, with T; NaN of none.

    A dict "as_claimed", "temperature", "isotonic" and "T": what recalibration alone would reach.
    """
    even = judged.image % 2 == 0
    fit, rest = judged.where(even), judged.where(~even)
    if not len(fit.prob):
        return dict.fromkeys(("as_claimed", "temperature", "isotonic", "T"), np.nan)
    t = temperature(fit.prob, fit.hit)
    return {
        "as_claimed": d_ece(rest.prob, rest.hit),
        "temperature": d_ece(heated(rest.prob, t), rest.hit),
        "isotonic": d_ece(isotonic(fit.prob, fit.hit)(rest.prob), rest.hit),
        "T": t,
    }


def _sums(judged, bins):
    """Number, claims, hits and IoU of hits, each summed in bins of equal width, (4, bins)."""
    place = np.minimum((judged.prob * bins).astype(int), bins - 1)
    summed = (None, judged.prob, judged.hit, judged.iou)
    return np.array([np.bincount(place, values, bins) for values in summed])


def _ratios(parts, counts):
    """Their quotients to four digits; None where nothing was counted."""
    return [round(p / n, 4) if n else None for p, n in zip(parts, counts, strict=True)]


def _logit(prob):
    tiny = np.finfo(float).eps
    return logit(np.clip(prob, tiny, 1 - tiny))
