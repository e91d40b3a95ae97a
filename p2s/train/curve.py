"""Curve: losses, and AP where it is asked for, along a training; as numbers and as a picture.

A dict of lists of one length: "iteration", and a list a name, NaN where a name has no value.
"""

import io
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from p2s.files import write_atomic
from p2s.maths.likelihood import AUDIT

Curve = dict[str, list[float]]
AP, ITERATION = "AP", "iteration"
RENEWED = 30.0  # seconds between two pictures at least
TOLD = 60.0  # seconds between two lines
SHARE = 50  # a picture may take so small a share of the time
POINTS = 200  # of a thinned curve


def add(curve: Curve, iteration: int, values: Mapping[str, float]) -> None:
    """Add what was seen at an iteration; a name may begin or end in the midst of a training."""
    past = len(curve.setdefault(ITERATION, []))
    curve[ITERATION].append(iteration)
    for name in dict.fromkeys((*curve, *values)):
        if name != ITERATION:
            value = float(f"{values.get(name, math.nan):.6g}")
            curve.setdefault(name, [math.nan] * past).append(value)


def ap_of(curve: Curve) -> list[float]:
    """The values of AP so far, those alone."""
    return [value for value in curve.get(AP, ()) if not math.isnan(value)]


def thinned(curve: Curve, points: int = POINTS) -> Curve:
    """A curve as means over at most `points` stretches of equal length, 4 digits each.

    Of what is named the worst in an audit it is the largest.
    """
    stretch = max(1, -(-len(curve[ITERATION]) // points))
    of = {name: np.max if name.startswith(f"{AUDIT}worst") else _mean for name in curve}
    return {
        name: [float(f"{of[name](part):.4g}") for part in _parts(values, stretch)]
        for name, values in curve.items()
    }


def drawn(curve: Curve) -> bytes:
    """A PNG: every loss by iteration, averaged a little, and AP below, if there is any."""
    from matplotlib.figure import Figure

    iterations = np.array(curve[ITERATION])
    window = max(1, len(iterations) // 100)
    figure = Figure(figsize=(8, 5), layout="constrained")
    panels = figure.subplots(2 if ap_of(curve) else 1, sharex=True, squeeze=False)[:, 0]
    for name in _losses(curve):
        smooth = np.convolve(curve[name], np.ones(window) / window, "valid")
        panels[0].plot(iterations[window - 1 :], smooth, label=name, linewidth=1)
    panels[0].set(ylabel=f"loss, mean of {window}", yscale="log")
    panels[0].legend(fontsize=8)
    if ap_of(curve):
        ap = np.array(curve[AP])
        panels[1].plot(iterations[~np.isnan(ap)] + 1, ap_of(curve), marker=".")
        panels[1].set(ylabel="AP, percent", ylim=(0, max(1, 1.1 * max(ap_of(curve)))))
    panels[-1].set(xlabel=ITERATION)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


class LivePicture:
    """A picture of a curve that is renewed as it grows, rarely enough to cost next to nothing."""

    def __init__(self, path: Path, every: float = RENEWED):
        self.path, self.every = path, every
        self.due = time.monotonic() + every

    def __call__(self, curve: Curve) -> None:
        """Draw it, if it is time."""
        begun = time.monotonic()
        if begun >= self.due:
            write_atomic(self.path, drawn(curve))
            now = time.monotonic()
            self.due = now + max(self.every, SHARE * (now - begun))


class LiveLines:
    """Lines that say where a training of so many steps is: what a log has in place of a bar."""

    def __init__(self, steps: int, tell: Callable[[str], None], every: float = TOLD):
        self.steps, self.tell, self.every = steps, tell, every
        self.first: tuple[int, float] | None = None  # steps that were done, and when
        self.due = time.monotonic() + every

    def __call__(self, curve: Curve) -> None:
        """Tell a line, if it is time."""
        done, now = int(curve[ITERATION][-1]) + 1, time.monotonic()
        self.first = self.first or (done, now)
        if now >= self.due and done > self.first[0]:
            self.due = now + self.every
            of_a_step = (now - self.first[1]) / (done - self.first[0])
            minutes = of_a_step * (self.steps - done) / 60
            told = f"{done} of {self.steps} steps, loss {loss(curve):.3f}"
            self.tell(f"{told}, about {minutes:.0f} min left")


def loss(curve: Curve) -> float:
    """The last loss: the sum of all that have a value there, without audits."""
    last = [curve[name][-1] for name in _losses(curve)]
    return sum(value for value in last if not math.isnan(value))


def _losses(curve):
    return [name for name in curve if not name.startswith((ITERATION, AP, AUDIT))]


def _mean(values):
    """The mean of what is a number; NaN of none."""
    values = np.asarray(values)
    values = values[~np.isnan(values)]
    return values.mean() if len(values) else np.nan


def _parts(values, stretch):
    return [values[start : start + stretch] for start in range(0, len(values), stretch)]
