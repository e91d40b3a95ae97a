"""Tables: what the records of an experiment say, beside what the paper says.

Everything here is a pure function of experiment files and records. A missing record is a missing
number: it prints as a dash and is never filled with the paper's.
"""

from typing import get_args

import numpy as np
import pandas as pd

from p2s.report.intervals import DASH, STARTED, Estimate, estimate, number, verdict
from p2s.spec import data
from p2s.study import experiments, provenance, records, runs
from p2s.study import published as paper

COMMITTED = ("desk", "photographs")  # scales whose records came with the project
OF_GROUPS = ("AP", "APr", "APc", "APf")
METRICS = (
    *("AP", "AP50", "AP75", "APs", "APm", "APl", *OF_GROUPS[1:]),
    *(f"{name}_{by}" for by in ("fixed", "full") for name in OF_GROUPS),
    *(f"{name}_{part}" for name in ("AR", "p_object") for part in data.PARTS),
    *("proposal_AR", "proposal_AR100", "proposal_AR256", "proposals_per_image"),
)
COLUMNS = (  # of `measured`, before the numbers
    *("row", "variant", "detector", "scale", "seed", "training", "first", "fusion"),
    *("record", "weights"),
)
PAPER_LINE = "the paper"
RANK = {"product": 2, "class": 1}  # of a fusion among examples
CLAIMS = {"gain": "a gain", "loss": "a loss", "none": "no change"}  # of a contrast, in words
NOT_STARTED = "not started"  # in place of a verdict
WIDE = 6  # columns of a table that fit on a page
# Where a line holds the published value of a metric.
PRINTED = {
    metric: f"paper_{metric}" for part in get_args(experiments.Metric) for metric in get_args(part)
}


def measured(project, name, scale, origin="all"):
    """One line for each row, variant and seed of an experiment at a scale; NaN where no record is.

    None where no variant is of the scale's kind of data.

    Columns: row, variant, detector, first, fusion, training and weights (equal in lines that share
    them), scale, seed, record (its id), those of PRINTED (published), and METRICS.
    origin: "committed" and "here" count only records that are, and are not, part of the commit.
    """
    experiment = experiments.load_experiment(project, name)
    published = {row.name: _published(row) for row in experiment.rows}
    fixed = {variant.name for variant in experiment.variants if variant.fixed}
    found, lines = load(project, scale, origin), []
    for run in runs.asked(project, scale, [name]):
        record = found.get(run.evaluation_id)
        values = _metrics(record, run)
        if run.variant in fixed:
            values |= {name: values.get(f"{name}_fixed") for name in OF_GROUPS}
        # A training made again elsewhere may have other weights under its identity.
        weights = (record.weights if record else None) or run.training_id
        line = {"record": record.id if record else None, "weights": weights}
        line |= published[run.row] | {metric: values.get(metric) for metric in METRICS}
        lines.append(_cell(run) | line)
    frame = pd.DataFrame(lines, columns=[*COLUMNS, *PRINTED.values(), *METRICS])
    return frame.astype(dict.fromkeys((*PRINTED.values(), *METRICS), float))


def committed_scale(project, name):
    """The scale of an experiment's committed results: the first of COMMITTED that has its data."""
    experiment = experiments.load_experiment(project, name)
    scales = experiments.load_scales(project)
    having = (scale for scale in COMMITTED if experiments.cells(experiment, scales[scale]))
    return next(having, COMMITTED[0])


def load(project, scale, origin="all"):
    """Usable records of a scale by id; see `measured` for origin. A damaged record is none."""
    folder = project.records(scale)
    found, _ = records.survey(folder)
    if origin == "all":
        return found
    if provenance.git_state(project.root)["sha"] is None:  # a copy without git: what came with it
        kept = set(found) if scale in COMMITTED else set()
    else:
        kept = {
            path.stem for path in provenance.committed([folder / f"{key}.json" for key in found])
        }
    return {key: one for key, one in found.items() if (key in kept) == (origin == "committed")}


def main_variant(lines):
    """The lines of the experiment's first variant: the one that its claim is about."""
    return lines[lines["variant"].isin(lines["variant"].head(1))]


def examples(lines):
    """A line a first stage to draw scenes of: the first seed's last, with the product if any."""
    first = lines[lines["seed"] == lines["seed"].min()]
    ranked = first.sort_values("fusion", key=lambda one: one.map(RANK).fillna(0), kind="stable")
    return ranked.drop_duplicates("first", keep="last").sort_index()


def chosen(found, lines):
    """The records, by id in `found`, of those lines that have one."""
    return [found[key] for key in lines["record"] if key in found]


def row_names(lines):
    """The first row of each training, by training id: what figures call it."""
    return lines.drop_duplicates("training").set_index("training")["row"].to_dict()


def of_scenes(found):
    """The records among them whose pictures can be drawn again: git has no photographs."""
    return [one for one in found if one.spec["data"]["kind"] == "glyphs"]


def finding(record, measure):
    """What a record, or None, says of a measure of its experiment; empty where it says nothing."""
    return record.findings.get(measure, {}) if record else {}


def table(lines, metric="AP"):
    """Mean, interval (low, high) and seeds of a metric for each row and variant of `measured`."""
    keys = ["row", "variant", "scale", "paper"]
    printed = PRINTED.get(metric)
    lines = lines.assign(paper=lines[printed] if printed else np.nan)
    groups = lines.groupby(keys, sort=False, dropna=False)
    found = [(*key, *estimate(group[metric])) for key, group in groups]
    return pd.DataFrame(found, columns=[*keys, *Estimate._fields])


def seen(lines):
    """The METRICS of which some line has a number."""
    return [metric for metric in METRICS if lines[metric].notna().any()]


def beside(lines):
    """Cells of every metric but AP that some record has, a line for each row."""
    columns = {metric: cells(table(lines, metric)) for metric in seen(lines) if metric != "AP"}
    return pd.DataFrame(columns, index=lines["row"].unique())


def effects(contrasts, lines):
    """The differences that an experiment is about, of the lines that hold its rows.

    Rows are paired seed by seed; those of one training only where they have the same weights. The
    verdict on what the paper `expects` is computed, see `statistics.RULE`.
    """
    found, late = [], not_started(lines)
    for (variant, scale), group in lines.groupby(["variant", "scale"], sort=False):
        rows = dict(tuple(group.set_index("seed").groupby("row", sort=False)))
        for one in held(contrasts, lines):
            gain = _difference(rows, one.row, one.than, one.metric)
            if one.less:
                gain = gain - _difference(rows, *one.less, one.metric)
            effect, published = estimate(gain["here"]), round(float(gain["paper"].mean()), 2)
            said = verdict(effect, one.expects)
            if said != DASH and not late.isdisjoint(one.rows):
                said = NOT_STARTED
            names = (contrast(one), variant, scale, one.expects or DASH)
            found.append((*names, published, *effect, said))
    columns = ["contrast", "variant", "scale", "expects", "paper", *Estimate._fields, "verdict"]
    return pd.DataFrame(found, columns=columns)


def held(contrasts, lines):
    """The contrasts whose rows the lines hold: at a scale of real files rows of scenes are none."""
    return [one for one in contrasts if {*one.rows} <= {*lines["row"]}]


def not_started(lines):
    """The rows whose mean AP in the first variant is below STARTED."""
    mean = main_variant(lines).groupby("row")["AP"].mean()
    return {*mean.index[mean < STARTED]}


def words(frame):
    """Each effect of which the paper claims something, as a sentence with its verdict."""
    said = frame.assign(text=cells(frame))[frame["expects"] != DASH]
    return [
        f"{one.contrast}: {_claimed(one)}, here {one.text}: **{one.verdict}**"
        for one in said.itertuples()
    ]


def _claimed(effect):
    claim, printed = CLAIMS[effect.expects], number(effect.paper, "+")
    return f"claimed {claim}" if printed == DASH else f"published {printed} ({claim})"


def readable(frame):
    """A table or effects for people: a line for each variant, and the paper's values as the last.

    Where that is wider than long, the paper's values and the variants are columns. A cell is mean
    ± half the interval (seeds), with the verdict on an effect; a dash where no
    record is. What a line was measured at stands before it: scale, variant.
    """
    name, sign = frame.columns[0], "+" if "verdict" in frame else ""
    text = cells(frame)
    if "verdict" in frame:
        both = zip(text, frame["verdict"], strict=True)
        text = [cell if said == DASH else f"{cell}: {said}" for cell, said in both]
    lines = [
        ", ".join(filter(None, pair)) for pair in zip(frame["scale"], frame["variant"], strict=True)
    ]
    frame = frame.assign(cell=text, line=lines)
    grid = frame.pivot(index="line", columns=name, values="cell")
    grid = grid.loc[frame["line"].unique(), frame[name].unique()]
    published = frame.drop_duplicates(name).set_index(name)["paper"]
    grid.loc[PAPER_LINE] = [number(value, sign) for value in published]
    grid = grid.rename_axis(index=None, columns=None)
    return grid.T if grid.shape[1] > max(len(grid), WIDE) else grid


def cells(frame):
    """Each estimate of a table or effects as text; effects with their sign."""
    sign = "+" if "verdict" in frame else ""
    numbers = frame[[*Estimate._fields]].itertuples(index=False)
    return [Estimate(*line).text(sign) for line in numbers]


def csv(frame):
    """A table or effects as CSV text; a dash where no record is.

    Numbers have two decimals, probabilities and others below 1 four digits.
    """

    def shown(value):
        return f"{value:.2f}" if abs(value) >= 1 else f"{value:.4g}"

    return frame.to_csv(index=False, float_format=shown, na_rep=DASH, lineterminator="\n")


def origins(project, scale):
    """Where the records of a scale were made: a line for each machine, code and commit state."""
    lines = [
        {
            "origin": origin,
            "machine": f"{one.machine.get('cpu', DASH)}, {one.machine.get('threads', DASH)} thread",
            "torch": one.versions.get("torch", DASH),
            "commit": str(one.git.get("sha") or DASH)[:8] + ("+" if one.git.get("dirty") else ""),
            "training hours": (one.timings.get("train_s") or 0) / 3600,
            "training": one.training_id,
        }
        for origin in ("committed", "here")
        for one in load(project, scale, origin).values()
    ]
    if not lines:
        return pd.DataFrame(columns=["origin", "machine", "torch", "commit", "records"])
    keys = ["origin", "machine", "torch", "commit"]
    frame = pd.DataFrame(lines)
    hours = frame.drop_duplicates("training").groupby(keys, sort=False)["training hours"].sum()
    counts = frame.groupby(keys, sort=False).agg(
        records=("training", "size"), trainings=("training", "nunique")
    )
    return counts.join(hours.round(2)).reset_index()


def contrast(one):
    """The name of an `experiments.Contrast` in a table of all."""
    return f"{one.row}: {one.name}"


def _metrics(record, run):
    """The record's, with the recall of all proposals, which the first records call AR256."""
    values = record.metrics if record else {}
    few = run.spec.test.proposals <= 256
    return ({"proposal_AR": values.get("proposal_AR256")} if few else {}) | values


def _cell(run):
    names = {name: getattr(run, name) for name in ("row", "variant", "detector", "scale", "seed")}
    names |= {"training": run.training_id, "first": run.spec.first}
    return names | {"fusion": run.spec.test.fusion if run.spec.second != "none" else "none"}


def _difference(rows, row, than, metric):
    """Of one row and another, a line a seed, here and in the paper."""
    this, other = rows[row], rows[than]
    apart = (this["training"] == other["training"]) & (this["weights"] != other["weights"])
    here = (this[metric] - other[metric]).mask(apart)
    return pd.DataFrame({"here": here, "paper": this[PRINTED[metric]] - other[PRINTED[metric]]})


def _published(row):
    place, columns = row.paper, row.paper.columns if row.paper else {}
    found = {
        PRINTED[metric]: paper.published(place.table, place.row, one)
        for metric, one in columns.items()
    }
    return dict.fromkeys(PRINTED.values(), np.nan) | found
