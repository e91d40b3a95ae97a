"""Means over seeds with their intervals, and the verdict that an interval allows on a claim."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

CONFIDENCE = 0.95
STARTED = 10  # AP below which a detector of so short a training has not learnt to detect
NEGLIGIBLE = 0.4  # AP: half of the gain that Table 5 claims for the product of probabilities
DASH = "–"
RULE = rf"""Differences are taken seed by seed. With $\bar d$ their mean over $n$ seeds and $s$
their standard deviation, the
{100 * CONFIDENCE:.0f} % interval is $\bar d \pm t_{{n-1}}\, s / \sqrt{{n}}$.

- *A gain* (or a loss) holds if the whole interval is above (below) 0, and does not hold if none of
  it is.
- *No change* holds if the whole interval is within ±{NEGLIGIBLE}, half of the gain that Table 5
  claims for the product, and does not hold if none of it is.
- A row whose mean AP in the first variant is below {STARTED} has *not started*: in so short a
  training it has not learnt to detect, and a difference from it decides nothing.
- All else is undecided. Verdicts are not corrected for how many of them a table has: of twenty
  claims without any effect behind them, about one would be wrongly decided by chance.

The rule of gains and the negligible size were fixed before the records were made. *No change* then
asked for no gain only, which any loss would have fulfilled; it is two-sided since. That a row has
not started was no verdict then: it follows records in which it was the larger part of a gain."""


class Estimate(NamedTuple):
    """A mean over seeds and its Student interval; NaN where too few seeds define it."""

    mean: float
    low: float
    high: float
    seeds: int

    @classmethod
    def of(cls, line: Any) -> "Estimate":
        """That of a line of a table, which has these fields."""
        return cls(*(getattr(line, name) for name in cls._fields))

    def text(self, sign: str = "") -> str:
        """`mean ± half of the interval (seeds)`; sign "+" for differences."""
        half = number((self.high - self.low) / 2)
        return f"{number(self.mean, sign)} ± {half} ({self.seeds:g})" if self.seeds else DASH


def estimate(values: ArrayLike) -> Estimate:
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


def verdict(effect: Estimate, expects: str | None) -> str:
    """What an Estimate of a difference says of the expected one, by RULE.

    expects: "gain", "loss", "none", or None where nothing is claimed. "holds", "does not hold" or
    "undecided"; a dash without a claim or a value.
    """
    if not effect.seeds or expects is None:
        return DASH
    if effect.seeds == 1:
        return "undecided"
    low, high = (-effect.high, -effect.low) if expects == "loss" else (effect.low, effect.high)
    if expects == "none":
        holds, fails = max(-low, high) <= NEGLIGIBLE, low > NEGLIGIBLE or high < -NEGLIGIBLE
    else:
        holds, fails = low > 0, high <= 0
    if fails:
        return "does not hold"
    return "holds" if holds else "undecided"


def sentence(claim: str, effect: Estimate, said: str, sign: str = "", unit: str = "") -> str:
    """A claim, the estimate of what it is about, and its verdict: the one form of all of them."""
    return f"{claim} {effect.text(sign)}{unit}: **{said}**"


def number(value: float | None, sign: str = "", digits: int = 1) -> str:
    """A number for people, with a typographic minus; what is missing is a dash."""
    if value is None or not np.isfinite(value):
        return DASH
    return f"{value:{sign}.{digits}f}".replace("-", "−")
