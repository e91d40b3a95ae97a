"""What a loss makes of a known truth: the probabilities that minimise its expectation.

A glyph is annotated with probability q, and then of class A with probability r, else of class B; no
pixel tells. So the truth is P(O) = q, P(A|O) = r and P(A) = q r. A loss learns what its population
optimum says instead, which is derived here for every objective and every score loss.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar

from p2s.maths.losses import ALPHA, GAMMA

NUMBERS = ("p_object", "p_class", "product")  # what is told of a known truth
CERTAIN = 1e-9  # how near to 0 and 1 a numerical optimum is looked for


class Learnt(NamedTuple):
    """P(O), and of what the first stage takes for an object: P(A|O) and P(bg|O)."""

    p_object: float
    p_class: float
    p_background: float

    @property
    def product(self) -> float:
        """P(A), the score of Eq. 1."""
        return self.p_object * self.p_class


def sampled(q: float, r: float, negatives: float = 1.0) -> Learnt:
    """The authors' practice: the second stage sees an unannotated glyph as background.

    It counts the annotation that P(O) has counted: the product is q^2 r. Where its sampler draws
    all positives and a share `negatives` of the other regions, their odds are higher by that.
    """
    annotated = sampling(q, negatives)
    return Learnt(q, annotated * r, 1 - annotated)


def monotone(q: float, r: float) -> Learnt:
    """B1 (Eq. 4): the second stage never sees background; each factor is the truth."""
    return Learnt(q, r, 0.0)


def jensen(q: float, r: float) -> Learnt:
    """B2 (Eq. 3): everything is an object, and the second stage alone decides.

    With the second stage at its best for P(O) = o, the derivative of the expected bound along o is
    q/o - (1 - q) log(1 + q / ((1 - q) o)), which is never negative, as log(1 + z) <= z: so o = 1.
    """
    return Learnt(1.0, q * r, 1 - q)


def exact(q: float, r: float, p_object: float | None = None) -> Learnt:
    """The exact likelihood (Eq. 2 and below) sees the product alone: P(A) = q r.

    Any P(O) in [q, 1] is an optimum; B1 has the one end of that range, B2 the other, and the
    larger of both bounds has both ends. `p_object` chooses one, q if None.
    """
    p_object = q if p_object is None else p_object
    if not q <= p_object <= 1:
        raise ValueError(f"p_object {p_object}: an optimum of the exact likelihood is in [{q}, 1]")
    return Learnt(p_object, q * r / p_object, 1 - q / p_object)


def both(q: float, r: float) -> Learnt:
    """The sum of B1 and B2, as the paper optimises them: background counts twice."""
    if q == 1:
        return Learnt(1.0, r, 0.0)

    def slope(o):
        return q / o - (1 - q) / (1 - o) - (1 - q) * np.log1p(q / ((1 - q) * o))

    o = brentq(slope, CERTAIN, 1 - CERTAIN)
    annotated = q / (q + (1 - q) * o)  # of what the second stage counts: background weighs o
    return Learnt(o, annotated * r, 1 - annotated)


def likelihood(q: float) -> float:
    """P(O) by cross entropy, the plain maximum likelihood: q."""
    return q


def focal(q: float, alpha: float = ALPHA, gamma: float = GAMMA) -> float:
    """P(O) that minimises the expected focal loss (Lin et al., 2017b, Eq. 5)."""

    def expected(p):
        positive = -alpha * (1 - p) ** gamma * np.log(p)
        return q * positive - (1 - q) * (1 - alpha) * p**gamma * np.log1p(-p)

    return _least(expected)


def quality(q: float, ious: ArrayLike, beta: float = GAMMA) -> float:
    """P(O) that minimises the expected quality focal loss (Li et al., 2020b, Eq. 4).

    `ious` are those of the predicted boxes with annotated objects; with beta 0 it is q mean(ious).
    """
    ious = np.asarray(ious, dtype=float)

    def expected(p):
        of_each = np.expand_dims(p, -1)
        entropy = -(ious * np.log(of_each) + (1 - ious) * np.log1p(-of_each))
        positive = (np.abs(ious - of_each) ** beta * entropy).mean(-1)
        return q * positive - (1 - q) * p**beta * np.log1p(-p)

    return _least(expected)


def centered(p_score: float, centernesses: ArrayLike) -> float:
    """ATSS: an optimal score times the mean centerness of annotated objects' locations."""
    return p_score * float(np.asarray(centernesses, dtype=float).mean())


def sampling(q: float, negatives: float) -> float:
    """RPN: P(O) where all positives and a share `negatives` of the others are sampled."""
    return q / (q + (1 - q) * negatives)


def undone(p: float, negatives: float) -> float:
    """The inverse of `sampling`: the probability behind an RPN's P(O)."""
    return p * negatives / (p * negatives + 1 - p)


OBJECTIVES = {
    "sampled": sampled,
    "exact": exact,  # its end of least P(O); of exact@K and max too
    "exact@K": exact,
    "B1": monotone,
    "B2": jensen,
    "max": exact,
    "both": both,
}


def _least(expected):
    """The probability of the least expected loss, elementwise; the losses here have one minimum."""
    grid = np.linspace(0, 1, 1001)[1:-1]
    best = grid[np.argmin(expected(grid))]
    near = (max(best - 1e-3, CERTAIN), min(best + 1e-3, 1 - CERTAIN))
    return float(minimize_scalar(expected, bounds=near, method="bounded").x)
