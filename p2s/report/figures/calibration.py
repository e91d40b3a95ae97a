"""Reliability diagrams: what was claimed against what came true, from records."""

from itertools import product

import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from p2s.report.figures.ablation import student
from p2s.report.figures.curves import DASHES
from p2s.report.intervals import number
from p2s.report.products import Products, markdown
from p2s.report.results import Results, finding
from p2s.report.style import FAINT, FIRSTS, PALETTE, Picture, legend, name_axes, panels, styled
from p2s.report.tables import calibration as tables
from p2s.report.tables.calibration import PROBABILITIES, SAMPLES
from p2s.report.tables.estimates import csv
from p2s.study.study import Study

QUANTITIES = {"d_ece": "D-ECE", "la_ece": "LaECE"}
SIDE = 1.7  # inches of a panel
CURVE = ["first", "second", "probability"]  # what makes a line of a diagram
SECONDS = {"none": "one-stage", "faster": "Faster", "cascade": "Cascade"}  # second stages in words


def products(results: Results, study: Study) -> Products:
    """Pictures, frames and a page of calibration errors of the first variant."""
    main = results.main
    frames, texts = {}, {"In words": tables.told(main)}
    for (quantity, words), (sample, shown) in product(QUANTITIES.items(), SAMPLES.items()):
        frame = tables.table(main, tables.errors(quantity, sample))
        frames[_named(quantity, sample)] = csv(frame)
        texts[f"{words} {shown}, percent"] = tables.readable(frame)
    texts["TIDE: what each error costs in AP50"] = tables.tide(main)
    pictures = {_named("reliability", sample): reliability(main, sample) for sample in SAMPLES}
    return Products(pictures, frames, {"words": markdown(results.experiment, texts)})


@styled
def reliability(results: Results, sample: str = "all") -> Picture:
    """Reliability diagrams, a row a first stage, a column a probability, a line a second stage.

    Lines are means over seeds, each bin with its 95 % interval; bars are the share of all claims
    in a bin. Dotted is what LaECE asks for: the share of hits times their IoU.
    """
    claims = _claims(results.chosen, sample)
    firsts, names = claims["first"].unique(), [*dict.fromkeys(claims["probability"])]
    names = [name for name in PROBABILITIES if name in names]
    cells = [(first, name) for first in firsts for name in names]
    figure, drawn = panels(len(cells), (SIDE, SIDE), (0.2, 0.2), "xy", max(1, len(names)))
    name_axes(drawn, "claimed", "share that is right", "xy")
    for panel, (first, name) in zip(drawn, cells, strict=True):
        of_cell = (claims["first"] == first) & (claims["probability"] == name)
        _diagram(panel, claims[of_cell], PALETTE[first])
    for panel, name in zip(drawn, names, strict=False):
        panel.set_title(PROBABILITIES[name])
    legend(figure, _marks(claims), max(2, min(4, len(names))))
    figure.alt = _beyond(claims)
    return figure


def _named(what, sample):
    """The name of a file on a sample: without a dot."""
    return f"{what}_{sample}".replace(".", "")


def _claims(records, sample):
    """A line a training, probability and bin: who claimed what, and what came of it.

    `at` and `asked` are means over seeds; of one training the first record counts.
    """
    trainings = {record.training_id: record for record in reversed(records)}
    frames = [
        pd.DataFrame(bins).assign(
            first=record.spec["first"], second=record.spec["second"], probability=name
        )
        for record in reversed(trainings.values())
        for name in PROBABILITIES
        if (bins := tables.sampled(finding(record, "calibration"), name, sample).get("bins"))
    ]
    columns = ["count", "claimed", "share", "iou", *CURVE]
    claims = pd.concat([*frames, pd.DataFrame(columns=columns)]).rename_axis("bin").reset_index()
    claims[columns[:4]] = claims[columns[:4]].astype(float)
    claims["asked"] = claims["share"] * claims["iou"].fillna(0)
    means = claims.groupby([*CURVE, "bin"])[["claimed", "asked"]].transform("mean")
    middle = (claims["bin"] + 0.5) / (claims["bin"].max() + 1)
    return claims.assign(at=means["claimed"], asked=means["asked"], middle=middle)


def _diagram(panel, claims, colour):
    """The lines of one first stage and probability, over the share of claims in each bin."""
    bars = {"bins": claims["bin"].max() + 1, "binrange": (0, 1), "stat": "proportion"}
    style = {"hue": "second", "palette": dict.fromkeys(claims["second"], colour)}
    style |= {"legend": False, "ax": panel}
    bars |= {"weights": "count", "common_norm": False, "alpha": 0.12, "lw": 0, "element": "step"}
    sns.histplot(claims, x="middle", **bars, **style)
    lines = {"style": "second", "dashes": DASHES, "errorbar": student, "err_kws": {"lw": 0}}
    sns.lineplot(claims, x="at", y="share", **lines, **style)
    once = claims.drop_duplicates(["second", "bin"])
    sns.lineplot(once, x="at", y="asked", estimator=None, ls=":", lw=0.9, **style)
    panel.plot([0, 1], [0, 1], color=FAINT, lw=0.7)
    panel.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    panel.xaxis.set_major_formatter("{x:g}")
    panel.grid()


def _marks(claims):
    """What colours and lines mean."""
    return [
        *(Patch(color=PALETTE[first], label=FIRSTS[first]) for first in claims["first"].unique()),
        *(
            Line2D([], [], color=FAINT, ls=(0, DASHES[second]), label=SECONDS[second])
            for second in claims["second"].unique()
        ),
        Line2D([], [], color=FAINT, lw=0.7, label="calibrated"),
        Line2D([], [], color=FAINT, ls=":", lw=0.9, label="share × IoU of hits"),
        Patch(color=FAINT, alpha=0.3, lw=0, label="95 % interval over seeds"),
        Patch(color=FAINT, alpha=0.15, lw=0, label="share of all claims in a bin"),
    ]


def _beyond(claims):
    """What each first stage claims on average and what comes true, in words."""
    weights = claims["count"]
    sums = claims.assign(claimed=claims["claimed"] * weights, share=claims["share"] * weights)
    sums = sums.groupby(["probability", "first"], sort=False)[["claimed", "share", "count"]].sum()
    means = sums[["claimed", "share"]].div(sums["count"], axis=0).map(lambda m: number(m, digits=2))
    said = [
        f"{PROBABILITIES[name]} of {FIRSTS[first]} claims {line.claimed}, {line.share} comes true"
        for (name, first), line in zip(means.index, means.itertuples(), strict=True)
    ]
    return f"Reliability diagrams; on average {'; '.join(said) or 'no record'}."
