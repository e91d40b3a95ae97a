"""Tables: what the records of an experiment say, beside what the paper says.

Everything here is a pure function of experiment files and records. A missing record is a missing
number: it prints as a dash and is never filled with the paper's.
"""

import numpy as np
import pandas as pd

from p2s import experiments, paper, provenance, records, runs
from p2s.statistics import DASH, Estimate, estimate, number, verdict

COMMITTED = "desk"  # the scale whose records, tables and figures are part of the project
METRICS = (
    *("AP", "AP50", "AP75", "APs", "APm", "APl"),
    *("proposal_AR", "proposal_AR100", "proposal_AR256", "proposals_per_image"),
)
PAPER_LINE = "the paper, COCO val"
PLAIN = "class"  # the fusion that others are compared with
INTERACTION = "difference of the gains"


def measured(project, name, scale, origin="all"):
    """One line for each row, variant and seed of an experiment at a scale; NaN where no record is.

    Columns: row, variant, detector, fusion, weights (equal in lines that share them), scale, seed,
    record (its id), paper and METRICS.
    origin: "committed" and "here" count only records that are, and are not, part of the commit.
    """
    published = {
        row.name: _published(row) for row in experiments.load_experiment(project, name).rows
    }
    found, lines = load(project, scale, origin), []
    for run in runs.asked(project, scale, [name]):
        record = found.get(run.evaluation_id)
        values = record.metrics if record else {}
        # A training made again elsewhere may have other weights under its identity.
        weights = (record.weights if record else None) or run.training_id
        line = {"record": record.id if record else None, "paper": published[run.row]}
        line |= {"weights": weights}
        lines.append(_cell(run) | line | {metric: values.get(metric) for metric in METRICS})
    return pd.DataFrame(lines).astype(dict.fromkeys(("paper", *METRICS), float))


def load(project, scale, origin="all"):
    """Usable records of a scale by id; see `measured` for origin. A damaged record is none."""
    folder = project.records(scale)
    found, _ = records.survey(folder)
    if origin == "all":
        return found
    if provenance.git_state(project.root)["sha"] is None:  # a copy without git: what came with it
        kept = set(found) if scale == COMMITTED else set()
    else:
        kept = {
            path.stem for path in provenance.committed([folder / f"{key}.json" for key in found])
        }
    return {key: one for key, one in found.items() if (key in kept) == (origin == "committed")}


def main_variant(lines):
    """The lines of the experiment's first variant: the one that its claim is about."""
    return lines[lines["variant"] == lines["variant"].iloc[0]]


def examples(lines):
    """A line a detector to draw scenes of: the first seed's, with the product if there is one."""
    first = lines[lines["seed"] == lines["seed"].min()]
    ranked = first.sort_values("fusion", key=lambda fusion: fusion != "product", kind="stable")
    return ranked.drop_duplicates("detector").sort_index()


def chosen(found, lines):
    """The records, by id in `found`, of those lines that have one."""
    return [found[key] for key in lines["record"] if key in found]


def table(lines, metric="AP"):
    """Mean, interval (low, high) and seeds of a metric for each row and variant of `measured`."""
    keys = ["row", "variant", "scale", "paper"]
    lines = lines if metric == "AP" else lines.assign(paper=np.nan)
    groups = lines.groupby(keys, sort=False, dropna=False)
    found = [(*key, *estimate(group[metric])) for key, group in groups]
    return pd.DataFrame(found, columns=[*keys, *Estimate._fields])


def effects(lines):
    """What another fusion than P(C|O) alone changes in AP, seed by seed; empty without a pair.

    Rows that share their weights and differ in fusion are paired; with two detectors, the second
    one's gain of the product less the first's follows. The verdict is computed, see
    `statistics.verdict`; a contrast of which the paper says nothing has none.
    """
    found = []
    for (variant, scale), group in lines.groupby(["variant", "scale"], sort=False):
        for name, gain in _gains(group).items():
            effect, published = estimate(gain["AP"]), round(float(gain["paper"].mean()), 2)
            said = verdict(effect, published)
            found.append((name, variant, scale, published, *effect, said))
    columns = ["contrast", "variant", "scale", "paper", *Estimate._fields, "verdict"]
    return pd.DataFrame(found, columns=columns)


def readable(frame):
    """A table or effects for people: a line for each variant, and the paper's values as the last.

    A cell is mean ± half the interval (seeds), with the verdict on an effect; a dash where no
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
    return grid.rename_axis(index=None, columns=None)


def cells(frame):
    """Each estimate of a table or effects as text; effects with their sign."""
    sign = "+" if "verdict" in frame else ""
    numbers = frame[[*Estimate._fields]].itertuples(index=False)
    return [Estimate(*line).text(sign) for line in numbers]


def csv(frame):
    """A table or effects as CSV text with two decimals; a dash where no record is."""
    return frame.to_csv(index=False, float_format="%.2f", na_rep=DASH, lineterminator="\n")


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


def contrast(detector, fusion):
    """The name of a detector's gain by a fusion in `effects`."""
    return f"{detector}: {fusion} − {PLAIN}"


def _cell(run):
    names = {name: getattr(run, name) for name in ("row", "variant", "detector", "scale", "seed")}
    return names | {"fusion": run.spec.test.fusion}


def _gains(lines):
    """Each fusion less the plain one by `contrast`, a line a seed with columns AP and paper."""
    gains, products = {}, []
    for detector, rows in lines.groupby("detector", sort=False):
        fusions = dict(tuple(rows.set_index(["weights", "seed"]).groupby("fusion", sort=False)))
        plain = fusions.pop(PLAIN, None)
        for fusion, one in fusions.items() if plain is not None else ():
            gain = (one[["AP", "paper"]] - plain[["AP", "paper"]]).droplevel("weights")
            gains[contrast(detector, fusion)] = gain
            products += [gain] if fusion == "product" else []
    return gains | ({INTERACTION: products[1] - products[0]} if len(products) == 2 else {})


def _published(row):
    return (
        paper.published(row.paper.table, row.paper.row, row.paper.column) if row.paper else np.nan
    )
