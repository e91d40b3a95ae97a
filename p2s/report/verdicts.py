"""Verdicts: what a measured difference says of the paper's, in direction and in size.

A difference has two intervals: over seeds, each with scenes and a training of its own, and over
images, drawn again within each seed. It counts as seen if neither holds 0 and Holm's correction
(1979) over its table leaves the seeds' test below .05.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from p2s.report.intervals import CONFIDENCE, DASH, NEGLIGIBLE, Estimate, number

PUBLISHED, OTHER_SIZE = "as published", "same sign, other size"
UNSEEN, OPPOSITE, NOT_COMPARABLE = "no difference seen", "opposite sign", "not comparable"
VERDICTS = (PUBLISHED, OTHER_SIZE, UNSEEN, OPPOSITE, NOT_COMPARABLE)
UNTESTED = "untested"  # as long as a seed has no record
SIGNS = {"gain": 1, "loss": -1, "none": 0}  # of a difference, by what is expected
TAIL = (1 - CONFIDENCE) / 2  # on either side of an interval
RULE = rf"""Differences are taken seed by seed; each seed has a training of its own, and scenes of
its own where they are drawn. A difference has two {100 * CONFIDENCE:.0f} % intervals: Student's
over the seeds, and one over the validation images, of 100 draws with replacement, the same for
both rows. It is *seen* if neither holds 0 and its p-value over seeds stays below
{1 - CONFIDENCE:.2f} after Holm's correction within its table and test setting. Of released weights
there is one training: images alone decide there.

- *{PUBLISHED.capitalize()}*: seen, of the paper's sign, and the wider interval holds the paper's
  difference, if it prints one. Where the paper claims none: the whole of the wider interval is
  within ±{NEGLIGIBLE}, half of the gain that Table 5 claims for the product.
- *{OTHER_SIZE.capitalize()}*: seen and of the paper's sign; the interval does not hold its size.
- *{UNSEEN.capitalize()}*: not seen. The smallest effect that would have been seen stands beside it,
  by its spread over seeds and images and the correction for all claims of the table.
- *{OPPOSITE.capitalize()}*: seen, and of the other sign.
- *{NOT_COMPARABLE.capitalize()}*: a point of the gate that it rests on is missed, or a row has not
  learnt.

No verdict refutes the paper's numbers on COCO: scenes and networks are another scale. The rule was
fixed before a probabilistic detector was trained at this scale."""


class Difference(NamedTuple):
    """A difference in a metric, as measured and as published."""

    seeds: Estimate  # over seeds
    images: tuple[float, float]  # the interval over images; NaN where nothing was drawn
    paper: float  # NaN where the paper prints none
    expects: str | None  # gain, loss, none: what the paper claims in words, or nothing
    missed: tuple[str, ...] = ()  # what is missed of all that a verdict needs
    released: bool = False  # of released weights: one training, so that images alone decide
    asked: int = 1  # seeds that the scale has of the rows

    @property
    def is_whole(self) -> bool:
        """Whether every seed that was asked for is there."""
        return self.seeds.seeds >= max(self.asked, 1)

    @property
    def interval(self) -> tuple[float, float]:
        """The hull of both intervals."""
        lows, highs = zip(self.seeds[1:3], self.images, strict=True)
        low = min(filter(np.isfinite, lows), default=np.nan)
        return low, max(filter(np.isfinite, highs), default=np.nan)

    @property
    def p_value(self) -> float:
        """Of Student's test that the mean over seeds is 0; 1 of a single seed.

        Of released weights that of a normal test with the deviation over images.
        """
        if self.released and np.isfinite(self.images).all():
            return _normal_p(self.seeds.mean, self.images)
        if self.seeds.seeds < 2:
            return 1.0
        half = (self.seeds.high - self.seeds.low) / 2
        if half == 0:
            return float(self.seeds.mean == 0)
        freedom = self.seeds.seeds - 1
        t = abs(self.seeds.mean) / half * stdtrit(freedom, 1 - TAIL)
        return float(2 * stdtr(freedom, -t))

    def smallest(self, claims: int) -> float:
        """The smallest effect of this spread that is seen whatever the other claims of a table are.

        `claims` counts all; NaN where nothing can be seen: of one seed.
        """
        low, high = self.interval
        if self.released:
            return (high - low) / 2 * ndtri(1 - TAIL / claims) / ndtri(1 - TAIL)
        freedom = self.seeds.seeds - 1
        if not freedom:
            return np.nan
        widened = stdtrit(freedom, 1 - TAIL / claims) / stdtrit(freedom, 1 - TAIL)
        return max((high - low) / 2, (self.seeds.high - self.seeds.low) / 2 * widened)


class Verdict(NamedTuple):
    """One of VERDICTS, or a dash, and what to say beside it."""

    kind: str
    note: str = ""

    def __str__(self):
        return f"{self.kind} ({self.note})" if self.note else self.kind


def verdicts(differences: Sequence[Difference]) -> list[Verdict]:
    """The verdict on each difference of a table, by RULE; a dash where nothing is claimed.

    One that lacks some of its seeds is UNTESTED, and none of the table's claims yet.
    """
    claimed = [k for k, one in enumerate(differences) if one.expects and one.is_whole]
    corrected = holm([differences[k].p_value for k in claimed])
    p_values = dict(zip(claimed, corrected, strict=True))
    return [
        _verdict(one, p_values[k], len(claimed)) if k in p_values else _none(one)
        for k, one in enumerate(differences)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of one family after Holm's step-down correction (Holm, 1979)."""
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, float)[order] * (len(p_values) - np.arange(len(p_values)))
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(steps) else steps
    return corrected.tolist()


def over_images(replicates: np.ndarray) -> tuple[float, float]:
    """The interval of a mean over seeds from its replicates by seed, (S, B)."""
    if not np.size(replicates):
        return np.nan, np.nan
    low, high = np.nanpercentile(np.mean(replicates, 0), (100 * TAIL, 100 * (1 - TAIL)))
    return float(low), float(high)


def _normal_p(mean, interval):
    """Of the two-sided normal test whose interval is of this width."""
    deviation = (interval[1] - interval[0]) / (2 * ndtri(1 - TAIL))
    return float(2 * ndtr(-abs(mean) / deviation)) if deviation else float(mean == 0)


def _none(difference):
    """Of what claims nothing, or has not all of its seeds yet."""
    if difference.expects and difference.seeds.seeds:
        return Verdict(UNTESTED, f"{difference.seeds.seeds} of {difference.asked} seeds")
    return Verdict(DASH)


def _verdict(difference, p_value, claims):
    if difference.missed:
        return Verdict(NOT_COMPARABLE, "; ".join(difference.missed))
    if difference.seeds.seeds < 2 and not difference.released:
        return _unseen(difference, claims)
    low, high = difference.interval
    sign = SIGNS[difference.expects]
    if sign == 0:
        if max(-low, high) <= NEGLIGIBLE:
            return Verdict(PUBLISHED)
        seen = _is_seen(difference, p_value)
        return Verdict(OTHER_SIZE, "the paper has none") if seen else _unseen(difference, claims)
    if not _is_seen(difference, p_value):
        return _unseen(difference, claims)
    if sign * difference.seeds.mean < 0:
        return Verdict(OPPOSITE)
    holds = low <= difference.paper <= high or np.isnan(difference.paper)
    return Verdict(PUBLISHED if holds else OTHER_SIZE)


def _is_seen(difference, p_value):
    low, high = difference.interval
    return p_value < 1 - CONFIDENCE and (low > 0 or high < 0)


def _unseen(difference, claims):
    least = difference.smallest(claims)
    return Verdict(UNSEEN, f"of {number(least)} or more" if np.isfinite(least) else "one seed")
