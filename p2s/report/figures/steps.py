"""Pictures of differences: steps as a waterfall, and a gain along what it may depend on."""

from collections.abc import Sequence

import pandas as pd
import seaborn as sns

from p2s.report.figures.ablation import student
from p2s.report.intervals import number
from p2s.report.results import Results
from p2s.report.style import COLOURS, FAINT, INK, Picture, name_axes, panels, styled
from p2s.report.tables import ablation
from p2s.report.tables.estimates import every
from p2s.study.experiments import Contrast

UP, DOWN = COLOURS[2], COLOURS[1]
HIGH = 0.3  # inches of a step
FACTORS = {  # what variants "factor: setting" change, as a number
    "length": lambda spec: spec.recipe.iterations,
    "classes": lambda spec: spec.num_classes,
    "proposals": lambda spec: spec.test.proposals,
    "fragments": lambda spec: spec.data.fragments,
    "strangers": lambda spec: spec.data.strangers,
}


@styled
def waterfall(results: Results) -> Picture:
    """Roads of contrasts, a panel each, in the first variant: each step begins where the last ends.

    A bar is the mean difference, with its interval over seeds and its numbers.
    """
    roads = chains(results.contrasts)
    longest = max(map(len, roads), default=1)
    figure, drawn = panels(len(roads), (3.4, HIGH * (longest + 1)), (2.0, 0.6), "", 2)
    name_axes(drawn, "AP, difference from the first row", "step")
    said = []
    for panel, road in zip(drawn, roads, strict=True):
        frame = ablation.effects(results.main, road)
        _bars(panel, [contrast.name for contrast in road], every(frame))
        panel.set_title(f"{road[0].than} to {road[-1].row}", size=9.5)
        steps = zip(road, every(frame), strict=True)
        said.append("; ".join(f"{contrast.name} {effect.text('+')}" for contrast, effect in steps))
    figure.alt = f"Steps in AP, mean ± 95 % interval (seeds). {'. '.join(said) or 'no record'}."
    return figure


def chains(contrasts: Sequence[Contrast]) -> list[list[Contrast]]:
    """Contrasts of which each begins at the row where the one before ends, as roads of two or more.

    Contrasts of other metrics, and differences of differences, are no steps.
    """
    roads: list[list[Contrast]] = []
    for contrast in contrasts:
        if contrast.metric != "AP" or contrast.less:
            continue
        if roads and roads[-1][-1].row == contrast.than:
            roads[-1].append(contrast)
        else:
            roads.append([contrast])
    return [road for road in roads if len(road) > 1]


@styled
def dependence(results: Results) -> Picture:
    """The gain of the first contrast by factors, a panel each, see `gains`.

    Mean and interval over seeds; the line is the first variant's mean.
    """
    frame = gains(results)
    factors = list(frame["factor"].unique())
    figure, drawn = panels(len(factors), (1.9, 1.7), (0.3, 0.6), "y")
    contrast = results.contrasts[0]
    name_axes(drawn, "", f"AP, {contrast.row} less {contrast.than}", "y")
    plain = frame["plain"].mean()
    for panel, factor in zip(drawn, factors, strict=True):
        of_factor = frame[frame["factor"] == factor]
        style = {"x": "setting", "y": "gain", "color": COLOURS[0], "errorbar": student}
        sns.pointplot(of_factor, markersize=5, linewidth=1.2, ax=panel, **style)
        panel.axhline(plain, color=FAINT, lw=0.8, ls=(0, (4, 2)))
        panel.axhline(0, color=INK, lw=0.6)
        panel.set(xlabel=factor, ylabel=panel.get_ylabel())
        panel.tick_params(labelbottom=True)
    figure.alt = _settings(frame, contrast)
    return figure


def gains(results: Results) -> pd.DataFrame:
    """The first contrast's difference by FACTORS, a line a seed and setting, these ascending.

    Variants "factor: ..." change one of them; the first variant, which changes none, is in each.
    Columns factor, setting, seed, gain, and plain, the gain of the first variant.
    """
    contrast, lines = results.contrasts[0], results.of("AP")
    rows = {name: part.set_index(["variant", "seed"]) for name, part in lines.groupby("row")}
    gain = rows[contrast.row]["value"] - rows[contrast.than]["value"]
    specs = {run.variant: run.spec for run in results.runs}
    plain, *variants = specs
    parts = [
        gain.loc[variant]
        .rename("gain")
        .reset_index()
        .assign(factor=factor, number=of(specs[variant]))
        for factor, of in FACTORS.items()
        if (own := [one for one in variants if one.startswith(f"{factor}: ")])
        for variant in sorted([plain, *own], key=lambda variant: of(specs[variant]))
    ]
    frame = pd.concat(parts, ignore_index=True)
    setting = frame["number"].map("{:g}".format)
    return frame.assign(setting=setting, plain=frame["seed"].map(gain.loc[plain]))


def _bars(panel, names, effects):
    start = 0.0
    for height, effect in enumerate(effects):
        panel.barh(
            height, effect.mean, left=start, height=0.6, color=UP if effect.mean > 0 else DOWN
        )
        ends = [start + effect.low, start + effect.high]
        panel.plot(ends, [height, height], color=INK, lw=1)
        panel.annotate(
            number(effect.mean, "+"),
            (1.02, height),
            xycoords=panel.get_yaxis_transform(),
            va="center",
        )
        start += effect.mean
    panel.set_yticks(range(len(names)), names)
    panel.invert_yaxis()
    panel.axvline(0, color=FAINT, lw=0.8)
    panel.grid(axis="x")


def _settings(frame, contrast):
    """The mean gain of each setting, in words."""
    means = frame.groupby(["factor", "setting"], sort=False)["gain"].mean()
    said = "; ".join(f"{' '.join(place)} {number(value, '+')}" for place, value in means.items())
    return f"AP, {contrast.row} less {contrast.than}, means over seeds: {said}."


PICTURES = {"waterfall": waterfall, "dependence": dependence}  # Experiment.picture
