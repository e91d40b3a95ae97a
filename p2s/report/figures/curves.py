"""Training losses along the iterations, from records."""

import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from p2s.maths.likelihood import AUDIT
from p2s.report.intervals import number
from p2s.report.results import Results
from p2s.report.style import COLOURS, PALETTE, Picture, legend, name_axes, panels, styled
from p2s.spec import Spec

DASHES = {"none": (1, 1.2), "faster": (4, 1.5), "cascade": (1, 0)}  # of second stages
WATCHED = "AP"  # at each quarter of a training, see p2s.study.train_eval
FEW = 4  # trainings whose seeds are drawn one by one


@styled
def curves(results: Results) -> Picture:
    """Training losses, and AP where it was watched, a panel each: the mean over seeds, of few all.

    The legend has the first row of each training; other trainings of the same name are drawn, and
    numbered, apart.
    """
    trainings = {record.training_id: record for record in results.chosen if record.curve}.values()
    groups = _groups(trainings, results.names)
    colours, dashes = _styles(groups)
    lines, seeds = _losses(groups), {"units": "seed", "lw": 0.7, "alpha": 0.3}
    keys = ["training", "loss", "iteration"]
    means = lines.groupby(keys, sort=False, as_index=False)["value"].mean()
    style = {"x": "iteration", "y": "value", "hue": "training", "palette": colours}
    style |= {"style": "training", "dashes": dashes, "estimator": None, "legend": False}
    losses = sorted(means["loss"].unique())
    figure, drawn = panels(len(losses), (2.3, 1.5), (0.75, 0.4), "x")
    name_axes(drawn, "iteration", "loss", "x")
    for panel, loss in zip(drawn, losses, strict=True):
        sns.lineplot(means[means["loss"] == loss], lw=1.5, ax=panel, **style)
        if len(groups) <= FEW:
            sns.lineplot(lines[lines["loss"] == loss], ax=panel, **style, **seeds)
        panel.set(title=loss)
        if loss == WATCHED:
            panel.set_ylabel("of 100 images, by P(C|O)")
            panel.grid(axis="y")
        else:
            panel.set_yscale("log")
            _plain_decades(panel)
    handles = [
        Line2D([], [], color=colours[name], ls=(0, dashes[name]), label=name) for name in groups
    ]
    legend(figure, handles, max(1, min(4, len(losses))))
    figure.alt = _ends(means)
    return figure


def _plain_decades(panel):
    low, high = panel.get_ylim()
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_locator(NullLocator())
    panel.grid(axis="y")


def _groups(records, names):
    """Records that differ in their seed alone, by name; others of that name have a number."""
    alike = {}
    for record in records:
        name = names.get(record.training_id, record.detector)
        alike.setdefault((name, _settings(record)), []).append(record)
    groups, seen = {}, []
    for (name, _), same in alike.items():
        seen.append(name)
        count = seen.count(name)
        groups[name if count == 1 else f"{name} ({count})"] = same
    return groups


def _settings(record):
    """What trainings have alike that differ in their seed alone, which may draw the scenes too."""
    apart = {"test": True, "data": {"seed"}}
    return Spec.model_validate(record.spec).model_dump_json(exclude=apart)


def _losses(groups):
    """A line a training, seed, loss and iteration."""
    frames = [
        pd.DataFrame(record.curve)
        .assign(training=name, seed=seed)
        .melt(["training", "seed", "iteration"], var_name="loss")
        for name, same in groups.items()
        for seed, record in enumerate(same)
    ]
    empty = pd.DataFrame(columns=["training", "seed", "iteration", "loss", "value"])
    lines = pd.concat(frames or [empty], ignore_index=True).dropna()
    return lines[~lines["loss"].str.startswith(AUDIT)]


def _styles(groups):
    """Of each group of records: the colour of its first stage, the dashes of its second.

    Of groups that have both in common the first has that style, the others have unused ones.
    """
    stages = [(same[0].spec["first"], same[0].spec["second"]) for same in groups.values()]
    wanted = [(PALETTE[first], DASHES[second]) for first, second in stages]
    every = ((colour, dash) for dash in reversed(DASHES.values()) for colour in COLOURS)
    unused = (style for style in every if style not in wanted)
    styles = [
        next(unused, style) if style in wanted[:k] else style for k, style in enumerate(wanted)
    ]
    return [{name: style[k] for name, style in zip(groups, styles, strict=True)} for k in (0, 1)]


def _ends(means):
    """Where each loss ends, in words."""
    last = means[means["iteration"] == means.groupby("training")["iteration"].transform("max")]
    parts = []
    for loss, lines in last.groupby("loss"):
        of = lines.set_index("training")["value"]
        low, high = (f"{number(of[at], digits=3)} ({at})" for at in (of.idxmin(), of.idxmax()))
        parts.append(f"{loss} ends at {low}" + (f" to {high}" if len(of) > 1 else ""))
    said = "; ".join(parts) or "no record"
    return f"Training losses along the iterations, means over seeds: {said}."
