"""The audit of a training by the likelihood: the objectives on what it visited, from records."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D

from p2s.maths.likelihood import AUDIT, LOG_2
from p2s.report.intervals import number
from p2s.report.products import Products, markdown
from p2s.report.results import Results
from p2s.report.style import COLOURS, FAINT, Picture, legend, name_axes, panels, styled
from p2s.study.records import Record

VALUES = {"exact": FAINT, "B1": COLOURS[0], "B2": COLOURS[1], "max": COLOURS[2]}
WORST = "worst gap"
GAPS = {"max - exact": COLOURS[2], WORST: COLOURS[2]}
BOUNDS = ("exact@K", "B1", "B2", "max")
ACTIVE = "B1 active"  # how names of shares begin
TONES = (0.25, 0.45, 0.7, 1.0)  # of the shares, by P(O)
ROWS = {  # of the picture: what is along an axis, and how it is scaled
    "cost of background,\nnats a location": {"yscale": "log"},
    "gap of the\nlarger bound": {"yscale": "log"},
    "share in which B1 is\nthe larger bound": {"ylim": (-0.03, 1.03)},
}
LAST = 0.25  # of the iterations: what a table shows the mean of


@styled
def draw(records: Sequence[Record]) -> Picture:
    """What background costs by each objective over a training, a column an objective trained by.

    Above, means over seeds in nats a background location; below, how far the larger bound is from
    the exact value: on average, and where it is worst, which stays below log 2; last, the share of
    background in which B1 is the larger bound, by P(O).
    """
    frame = visited(records)
    groups, bins = dict(tuple(frame.groupby("objective", sort=False))), _bins(frame)
    figure, drawn = panels(3 * len(groups), (1.8, 1.6), (0.2, 0.2), "x", max(len(groups), 1))
    name_axes(drawn, "iteration", "", "xy")
    grid = np.reshape(drawn, (len(ROWS), len(groups)))
    for row, (ylabel, limits) in zip(grid, ROWS.items(), strict=True):
        for panel in row:
            panel.sharey(row[0])
            panel.set(**limits, ylabel=ylabel if panel is row[0] else "")
    for column, (name, lines) in zip(grid.T, groups.items(), strict=True):
        _column(column, lines, bins)
        column[0].set_title(f"trained by {name}")
    legend(figure, _legend(bins), min(4, max(len(groups), 1)))
    said = "; ".join(words(records)).replace("*", "") or "no record"
    figure.alt = f"The objectives over a training: {said}."
    return figure


def table(records: Sequence[Record]) -> pd.DataFrame:
    """The last quarter of trainings in numbers: a line an objective, means over seeds.

    Columns: costs and gaps in thousandths of a nat a location, the worst gap over log 2, and the
    share of background in which B1 is the larger bound, by P(O); a dash where there was none.
    """
    frame = visited(records)
    means, worst = _last(frame), frame[frame["last"]].groupby("objective")[WORST].max()
    lines = 1e3 * means[["exact"]]
    lines = lines.assign(**{f"{bound} - exact": 1e3 * _gap(means, bound) for bound in BOUNDS})
    lines["worst gap / log 2"] = worst / LOG_2
    return lines.join(means[_bins(frame)]).map(lambda value: number(value, digits=2))


def words(records: Sequence[Record]) -> list[str]:
    """Whether the larger bound stayed within log 2 of the exact value, by objective trained by."""
    frame, said = visited(records), []
    worst, gap = frame.groupby("objective")[WORST].max(), 1e3 * _gap(_last(frame), "max")
    for name in gap.index:
        verdict = "holds" if worst[name] < LOG_2 else "does not hold"
        said.append(
            f"trained by {name}: the larger bound was at most {number(worst[name], digits=3)} nats "
            f"from the exact value at any location (within log 2: **{verdict}**), and "
            f"{number(gap[name], digits=2)} thousandths of a nat on average at the end"
        )
    return said


def products(results: Results) -> Products:
    """The picture and the page of the audited trainings of the first variant; nothing of none."""
    records = audited(results.main.chosen)
    if not records:
        return Products()
    page = {"In words": words(records), "The last quarter": table(records)}
    return Products({"audit": draw(records)}, pages={"audit": markdown(results.experiment, page)})


def audited(records: Sequence[Record]) -> list[Record]:
    """The records whose training had an audit, one a training."""
    by_training = {record.training_id: record for record in records}
    return [record for record in by_training.values() if f"{AUDIT}exact" in record.curve]


def visited(records: Sequence[Record]) -> pd.DataFrame:
    """What was audited: a line an objective, training and iteration, a column a number.

    `last` says whether a line is of the last quarter of its training.
    """
    columns = ["objective", "training", "last", "iteration", "exact", *BOUNDS, WORST]
    frames = [pd.DataFrame(columns=columns)]  # without a record
    for record in audited(records):
        curve = pd.DataFrame(record.curve, dtype=float)
        about = {"objective": record.spec["second_stage"]["objective"]}
        about |= {"training": record.training_id, "iteration": curve["iteration"]}
        about["last"] = np.arange(len(curve), 0, -1) <= max(1, int(LAST * len(curve)))
        numbers = curve.filter(like=AUDIT)
        frames.append(numbers.rename(columns=lambda name: name.removeprefix(AUDIT)).assign(**about))
    return pd.concat(frames[1:] or frames).astype({"last": bool})


def _last(frame):
    """Every number's mean over the end of trainings and over seeds, a line an objective."""
    ends = frame[frame["last"]].drop(columns=["last", "iteration"])
    of_seeds = ends.groupby(["objective", "training"], sort=False).mean()
    return of_seeds.groupby("objective", sort=False).mean().rename_axis(None)


def _gap(means, bound):
    return means[bound] - means["exact"]


def _column(column, lines, bins):
    """The panels of one objective."""
    means = lines.drop(columns=["objective", "training", "last"]).groupby("iteration")
    means = means.mean(skipna=False)
    means["max - exact"] = _gap(means, "max")
    means = means.melt(ignore_index=False, var_name="number").reset_index()
    shades = {name: to_rgba(COLOURS[0], tone) for name, tone in zip(bins, TONES, strict=False)}
    for panel, colours in zip(column, (VALUES, GAPS, shades), strict=True):
        style = {"hue": "number", "palette": colours, "estimator": None, "legend": False}
        dashes = {name: (1, 1.2) if name == WORST else "" for name in colours}
        style |= {"style": "number", "dashes": dashes, "lw": 1.2}
        shown = means[means["number"].isin(colours)]
        sns.lineplot(shown, x="iteration", y="value", ax=panel, **style)
    column[1].axhline(LOG_2, color=FAINT, lw=0.8)


def _bins(frame):
    """Names of the shares in which B1 is active, by P(O), ascending."""
    return [name for name in frame.columns if name.startswith(ACTIVE)]


def _legend(bins):
    lines = [Line2D([], [], color=colour, label=name) for name, colour in VALUES.items()]
    worst = Line2D([], [], color=COLOURS[2], ls=":", label="the worst location's gap")
    lines += [worst, Line2D([], [], color=FAINT, lw=0.8, label="log 2")]
    style = {"color": COLOURS[0], "lw": 3}
    shades = zip(bins, TONES, strict=False)
    return lines + [Line2D([], [], alpha=tone, label=name, **style) for name, tone in shades]
