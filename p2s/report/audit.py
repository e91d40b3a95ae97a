"""The audit of a training by the likelihood: the objectives on what it visited, from records."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D

from p2s.maths.likelihood import AUDIT, LOG_2
from p2s.report.intervals import estimate, number
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
    groups = _groups(records)
    columns = max(len(groups), 1)
    figure, drawn = panels(3 * len(groups), (1.8, 1.6), (0.2, 0.2), "x", columns)
    name_axes(drawn, "iteration", "", "xy")
    for row, (ylabel, limits) in enumerate(ROWS.items()):
        for panel in drawn[row * columns : (row + 1) * columns]:
            panel.sharey(drawn[row * columns])
            panel.set(**limits)
        for panel in drawn[row * columns :][:1]:
            panel.set_ylabel(ylabel)
    for k, (name, seeds) in enumerate(groups.items()):
        _column(drawn[k::columns], _visited(seeds))
        drawn[k].set_title(f"trained by {name}")
    legend(figure, _legend(groups), min(4, columns))
    said = "; ".join(words(records)).replace("*", "") or "no record"
    figure.alt = f"The objectives over a training: {said}."
    return figure


def table(records: Sequence[Record]) -> pd.DataFrame:
    """The last quarter of trainings in numbers: a line an objective, means over seeds.

    Columns: costs and gaps in thousandths of a nat a location, the worst gap over log 2, and the
    share of background in which B1 is the larger bound, by P(O); a dash where there was none.
    """
    lines = {}
    for name, seeds in _groups(records).items():
        last = {part: _last(seeds, part) for part in _names(seeds)}
        gap = {f"{part} - exact": last[part] - last["exact"] for part in BOUNDS}
        shares = {part: last[part] for part in _bins(seeds)}
        lines[name] = {"exact": 1e3 * estimate(last["exact"]).mean}
        lines[name] |= {part: 1e3 * estimate(values).mean for part, values in gap.items()}
        lines[name] |= {"worst gap / log 2": _worst(seeds, LAST) / LOG_2}
        lines[name] |= {part: estimate(values).mean for part, values in shares.items()}
    return pd.DataFrame(lines).T.map(lambda value: number(value, digits=2))


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
    return Products({"audit": draw(records)}, pages={"audit": markdown(results.experiment, page)})


def audited(records: Sequence[Record]) -> list[Record]:
    """The records whose training had an audit, one a training."""
    by_training = {record.training_id: record for record in records}
    return [record for record in by_training.values() if f"{AUDIT}exact" in record.curve]


def _groups(records):
    """Audited records by objective."""
    groups = {}
    for record in audited(records):
        groups.setdefault(record.spec["second_stage"]["objective"], []).append(record)
    return groups


def _names(seeds):
    return [name.removeprefix(AUDIT) for name in seeds[0].curve if name.startswith(AUDIT)]


def _visited(seeds):
    """Means over seeds of all that was audited, a line a number and iteration."""
    curves = [pd.DataFrame(record.curve, dtype=float).set_index("iteration") for record in seeds]
    means = sum(curves) / len(curves)
    means.columns = means.columns.str.removeprefix(AUDIT)
    means["max - exact"] = means["max"] - means["exact"]
    return means.melt(ignore_index=False, var_name="number").reset_index()


def _column(column, visited):
    """The panels of one objective."""
    bins = [name for name in visited["number"].unique() if name.startswith(ACTIVE)]
    shades = {name: to_rgba(COLOURS[0], tone) for name, tone in zip(bins, TONES, strict=False)}
    for panel, colours in zip(column, (VALUES, GAPS, shades), strict=True):
        lines = visited[visited["number"].isin(colours)]
        style = {"hue": "number", "palette": colours, "estimator": None, "legend": False}
        dashes = {name: (1, 1.2) if name == WORST else "" for name in colours}
        style |= {"style": "number", "dashes": dashes, "lw": 1.2}
        sns.lineplot(lines, x="iteration", y="value", ax=panel, **style)
    column[1].axhline(LOG_2, color=FAINT, lw=0.8)


def _worst(seeds, part=1.0):
    """The largest gap of the larger bound at any location, in the last part of all trainings."""
    curves = [np.array(record.curve[f"{AUDIT}{WORST}"], float) for record in seeds]
    return max(np.nanmax(curve[-max(1, int(part * len(curve))) :]) for curve in curves)


def _last(seeds, name):
    """A number's mean over the end of each seed's training, (seeds,)."""
    curves = [np.array(record.curve[f"{AUDIT}{name}"], float) for record in seeds]
    ends = [curve[-max(1, int(LAST * len(curve))) :] for curve in curves]
    return np.array(
        [end[np.isfinite(end)].mean() if np.isfinite(end).any() else np.nan for end in ends]
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
