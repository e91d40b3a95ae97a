"""Means over seeds with their intervals, and the verdict that an interval allows on a claim."""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95
NEGLIGIBLE = 0.4  # AP: half of the gain that Table 5 claims for the product of probabilities
DASH = "–"


class Estimate(NamedTuple):
    """A mean over seeds and its Student interval; NaN where too few seeds define it."""

    mean: float
    low: float
    high: float
    seeds: int

    def text(self, sign=""):
        """`mean ± half of the interval (seeds)`; sign "+" for differences."""
        half = number((self.high - self.low) / 2)
        return f"{number(self.mean, sign)} ± {half} ({self.seeds:g})" if self.seeds else DASH


def estimate(values):
    """The Estimate of a mean from one value a seed; NaN and None are seeds without a value.

    Its interval is mean ± t(n-1) s / sqrt(n), which one seed does not have.
    """
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    count = len(values)
    mean = values.mean() if count else np.nan
    if count < 2:
        return Estimate(float(mean), np.nan, np.nan, count)
    half = stdtrit(count - 1, (1 + CONFIDENCE) / 2) * values.std(ddof=1) / count**0.5
    return Estimate(float(mean), float(mean - half), float(mean + half), count)


def verdict(effect, published):
    """What an Estimate of a difference says of the published one: holds, does not hold, undecided.

    A published gain is refuted by an interval without any gain. A published absence of a gain is
    refuted by an interval of gains only, and holds if no gain above NEGLIGIBLE is left in it.
    """
    if not effect.seeds or not np.isfinite(published):
        return DASH
    if effect.seeds == 1:
        return "undecided"
    if published > 0:
        holds, fails = effect.low > 0, effect.high <= 0
    else:
        holds, fails = effect.high <= NEGLIGIBLE, effect.low > 0
    if fails:
        return "does not hold"
    return "holds" if holds else "undecided"


def number(value, sign="", digits=1):
    """A number for people, with a typographic minus; what is missing is a dash."""
    if value is None or not np.isfinite(value):
        return DASH
    return f"{value:{sign}.{digits}f}".replace("-", "−")
