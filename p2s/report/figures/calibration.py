"""Reliability diagrams: what was claimed against what came true, from records."""

import itertools

import matplotlib
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from p2s.report.figures.curves import DASHES
from p2s.report.intervals import estimate
from p2s.report.products import Products
from p2s.report.results import Results
from p2s.report.style import COLOURS, FAINT, STYLE, Picture
from p2s.report.tables.calibration import (
    PROBABILITIES,
    SAMPLES,
    errors,
    finding,
    readable,
    table,
    tide,
    told,
)
from p2s.study.study import Study

QUANTITIES = {"d_ece": "D-ECE", "la_ece": "LaECE"}
SIDE = 1.9  # inches of a panel
SECONDS = {"none": "one-stage", "faster": "Faster", "cascade": "Cascade"}  # second stages in words


def products(results: Results, study: Study) -> Products:
    """Pictures, frames and a page of calibration errors of the first variant."""
    main = results.main
    frames, texts = {}, {"In words": told(main)}
    for quantity, words in QUANTITIES.items():
        for sample, shown in SAMPLES.items():
            frame = table(main, errors(quantity, sample))
            frames[_named(quantity, sample)] = frame
            texts[f"{words} {shown}, percent"] = readable(frame)
    texts["TIDE: what each error costs in AP50"] = tide(main)
    pictures = {_named("reliability", one): reliability(main, one) for one in SAMPLES}
    return Products(pictures, frames, {"words": texts})


def reliability(results: Results, sample: str = "all") -> Picture:
    """Reliability diagrams, a row a first stage, a column a probability, a line a second stage.

    Lines are means over seeds, each bin with its 95 % interval; bars are the share of all claims
    in a bin. Dotted is what LaECE asks for: the share of hits times their IoU.
    """
    records = results.chosen
    groups = _groups(records)
    shown = [name for name in PROBABILITIES if any(finding(r, name, sample) for r in records)]
    with matplotlib.rc_context(STYLE):
        size = 0.7 + SIDE * max(len(shown), 1), 1.1 + SIDE * max(len(groups), 1)
        figure = Picture(figsize=size, layout="constrained")
        shape = max(len(groups), 1), max(len(shown), 1)
        axes = figure.subplots(*shape, squeeze=False, sharex=True, sharey=True)
        for row, colour, (first, seconds) in zip(axes, itertools.cycle(COLOURS), groups.items()):  # noqa: B905
            row[0].set_ylabel(f"{first}\nshare that is right", color=colour)
            for panel, name in zip(row, shown, strict=True):
                for second, same in seconds.items():
                    bins = [finding(one, name, sample).get("bins") for one in same]
                    _lines(panel, [one for one in bins if one], colour, DASHES[second])
        _frame(axes, [PROBABILITIES[name] for name in shown])
        seen = dict.fromkeys(second for seconds in groups.values() for second in seconds)
        figure.legend(handles=_legend(seen), loc="outside upper left", ncols=4, frameon=False)
    return figure


def _named(what, sample):
    """The name of a file on a sample: without a dot."""
    return f"{what}_{sample}".replace(".", "")


def _groups(records):
    """Records by first stage, then by second; of one training the first alone."""
    groups, first = {}, {}
    for one in records:
        first.setdefault(one.training_id, one)
    for one in first.values():
        of_first = groups.setdefault(one.spec["first"], {})
        of_first.setdefault(one.spec["second"], []).append(one)
    return groups


def _lines(panel, seeds, colour, dashes):
    """The diagram of some seeds: a list of `calibration_errors.reliability`."""
    if not seeds:
        return
    count, claimed, share, iou = (
        np.array([one[name] for one in seeds], float)  # (seeds, bins); None becomes NaN
        for name in ("count", "claimed", "share", "iou")
    )
    filled = count.sum(0) > 0
    at = np.array([estimate(each).mean for each in claimed.T[filled]])
    mean, low, high, _ = np.array([estimate(each) for each in share.T[filled]]).T
    asked = np.array([estimate(each).mean for each in (share * np.nan_to_num(iou)).T[filled]])
    middles = (np.arange(count.shape[1]) + 0.5) / count.shape[1]
    weight = count.sum(0) / count.sum()
    panel.bar(middles, weight, 1 / len(middles), color=colour, alpha=0.12, zorder=0)
    panel.fill_between(at, low, high, color=colour, alpha=0.2, lw=0)
    panel.plot(at, mean, color=colour, ls=dashes, lw=1.4)
    panel.plot(at, asked, color=colour, ls=":", lw=0.9)


def _frame(axes, titles):
    for panel, title in zip(axes[0], titles, strict=False):
        panel.set_title(title)
    for panel in axes.ravel():
        panel.plot([0, 1], [0, 1], color=FAINT, lw=0.7)
        panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        panel.grid()
    for panel in axes[-1]:
        panel.set_xlabel("claimed")


def _legend(seconds):
    return [
        *(Line2D([], [], color=FAINT, ls=DASHES[one], label=SECONDS[one]) for one in seconds),
        Line2D([], [], color=FAINT, lw=0.7, label="calibrated"),
        Line2D([], [], color=FAINT, ls=":", lw=0.9, label="share × IoU of hits"),
        Patch(color=FAINT, alpha=0.3, lw=0, label="95 % interval over seeds"),
        Patch(color=FAINT, alpha=0.15, lw=0, label="share of all claims in a bin"),
    ]
