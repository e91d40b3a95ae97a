"""The audit of a training by the likelihood: the objectives on what it visited, from records."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from p2s.maths.likelihood import AUDIT, LOG_2
from p2s.report.intervals import estimate, number
from p2s.report.products import Products
from p2s.report.results import Results
from p2s.report.style import COLOURS, FAINT, STYLE, Picture
from p2s.study.records import Record

VALUES = {"exact": FAINT, "B1": COLOURS[0], "B2": COLOURS[1], "max": COLOURS[2]}
BOUNDS = ("exact@K", "B1", "B2", "max")
ACTIVE = "B1 active"  # how names of shares begin
TONES = (0.25, 0.45, 0.7, 1.0)  # of the shares, by P(O)
LAST = 0.25  # of the iterations: what a table shows the mean of


def draw(records: Sequence[Record]) -> Picture:
    """What background costs by each objective over a training, a column an objective trained by.

    Above, means over seeds in nats a background location; below, how far the larger bound is from
    the exact value: on average, and where it is worst, which stays below log 2; last, the share of
    background in which B1 is the larger bound, by P(O).
    """
    groups = _groups(records)
    with matplotlib.rc_context(STYLE):
        figure = Picture(figsize=(0.7 + 2.1 * max(len(groups), 1), 6.4), layout="constrained")
        panels = figure.subplots(3, max(len(groups), 1), squeeze=False, sharex=True, sharey="row")
        for (name, seeds), (above, below, last) in zip(groups.items(), panels.T, strict=False):
            curves = {one: _mean(seeds, one) for one in (*VALUES, "worst gap")}
            at = seeds[0].curve["iteration"]
            for one, colour in VALUES.items():
                above.plot(at, curves[one], color=colour, lw=1.2)
            below.plot(at, curves["max"] - curves["exact"], color=COLOURS[2], lw=1.2)
            below.plot(at, curves["worst gap"], color=COLOURS[2], lw=1.2, ls=":")
            below.axhline(LOG_2, color=FAINT, lw=0.8)
            for one, tone in zip(_bins(seeds), TONES, strict=False):
                last.plot(at, _mean(seeds, one), color=COLOURS[0], alpha=tone, lw=1.2)
            above.set(title=f"trained by {name}", yscale="log")
            below.set(yscale="log")
            last.set(xlabel="iteration", ylim=(-0.03, 1.03))
        panels[0, 0].set_ylabel("cost of background,\nnats a location")
        panels[1, 0].set_ylabel("gap of the larger bound")
        panels[2, 0].set_ylabel("share in which\nB1 is the larger bound")
        figure.legend(handles=_legend(groups), loc="outside upper left", ncols=4, frameon=False)
    return figure


def table(records: Sequence[Record]) -> pd.DataFrame:
    """The last quarter of trainings in numbers: a line an objective, means over seeds.

    Columns: costs and gaps in thousandths of a nat a location, the worst gap over log 2, and the
    share of background in which B1 is the larger bound, by P(O); a dash where there was none.
    """
    lines = {}
    for name, seeds in _groups(records).items():
        last = {one: _last(seeds, one) for one in _names(seeds)}
        gap = {f"{one} - exact": last[one] - last["exact"] for one in BOUNDS}
        shares = {one: last[one] for one in _bins(seeds)}
        lines[name] = {"exact": 1e3 * estimate(last["exact"]).mean}
        lines[name] |= {one: 1e3 * estimate(each).mean for one, each in gap.items()}
        lines[name] |= {"worst gap / log 2": _worst(seeds, LAST) / LOG_2}
        lines[name] |= {one: estimate(each).mean for one, each in shares.items()}
    return pd.DataFrame(lines).T.map(lambda one: number(one, digits=2))


def words(records: Sequence[Record]) -> list[str]:
    """Whether the larger bound stayed within log 2 of the exact value, by objective trained by."""
    said = []
    for name, seeds in _groups(records).items():
        worst = _worst(seeds)
        verdict = "holds" if worst < LOG_2 else "does not hold"
        gap = 1e3 * estimate(_last(seeds, "max") - _last(seeds, "exact")).mean
        said.append(
            f"trained by {name}: the larger bound was at most {number(worst, digits=3)} nats "
            f"from the exact value at any location (within log 2: **{verdict}**), and "
            f"{number(gap, digits=2)} thousandths of a nat on average at the end"
        )
    return said


def products(results: Results) -> Products:
    """The picture and the page of the audited trainings of the first variant; nothing of none."""
    records = audited(results.main.chosen)
    if not records:
        return Products()
    page = {"In words": words(records), "The last quarter": table(records)}
    return Products({"audit": draw(records)}, pages={"audit": page})


def audited(records: Sequence[Record]) -> list[Record]:
    """The records whose training had an audit, one a training."""
    by_training = {one.training_id: one for one in records}
    return [one for one in by_training.values() if f"{AUDIT}exact" in one.curve]


def _groups(records):
    """Audited records by objective."""
    groups = {}
    for one in audited(records):
        groups.setdefault(one.spec["second_stage"]["objective"], []).append(one)
    return groups


def _names(seeds):
    return [name.removeprefix(AUDIT) for name in seeds[0].curve if name.startswith(AUDIT)]


def _mean(seeds, name):
    """The mean over seeds of a number along the iterations."""
    return np.mean([np.array(one.curve[f"{AUDIT}{name}"], float) for one in seeds], axis=0)


def _worst(seeds, part=1.0):
    """The largest gap of the larger bound at any location, in the last part of all trainings."""
    curves = [np.array(one.curve[f"{AUDIT}worst gap"], float) for one in seeds]
    return max(np.nanmax(one[-max(1, int(part * len(one))) :]) for one in curves)


def _last(seeds, name):
    """A number's mean over the end of each seed's training, (seeds,)."""
    curves = [np.array(one.curve[f"{AUDIT}{name}"], float) for one in seeds]
    ends = [one[-max(1, int(LAST * len(one))) :] for one in curves]
    return np.array(
        [one[np.isfinite(one)].mean() if np.isfinite(one).any() else np.nan for one in ends]
    )


def _bins(seeds):
    """Names of the shares in which B1 is active, by P(O), ascending."""
    return [name for name in _names(seeds) if name.startswith(ACTIVE)]


def _legend(groups):
    lines = [Line2D([], [], color=colour, label=name) for name, colour in VALUES.items()]
    worst = Line2D([], [], color=COLOURS[2], ls=":", label="the worst location's gap")
    lines += [worst, Line2D([], [], color=FAINT, lw=0.8, label="log 2")]
    bins = _bins(next(iter(groups.values()))) if groups else []
    style = {"color": COLOURS[0], "lw": 3}
    shades = zip(bins, TONES, strict=False)
    return lines + [Line2D([], [], alpha=tone, label=name, **style) for name, tone in shades]
