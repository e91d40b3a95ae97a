"""What the measurements of speed say, beside the paper's runtimes; what is missing is NaN."""

from functools import partial

import numpy as np
import pandas as pd

from p2s.report.intervals import DASH, number
from p2s.report.tables import runtimes
from p2s.report.tables.benches import latest, origin
from p2s.report.tables.runtimes import BOTH, REFERENCE
from p2s.report.tables.targets import judged, value
from p2s.study import benches as record
from p2s.study import experiments

PARTS = ["pre", "first", "second", "post", "total"]
COUNTS = ["detections", "unmatched", "unmatched_inside"]
DIGITS = {"ms": 1, "GFLOP": 1} | dict.fromkeys(COUNTS, 0)  # by a column's unit or name; else 2
NOTE = """Medians over rounds; ratios within one run. A dash: not measured, or not published.
Made from results/bench by `p2s study report`; do not edit.
"""


def frames(project):
    """A table for every kind that was measured, and "targets"; none where nothing was."""
    own = {"infer": means, "allocator": means, "detectors": detectors, "precision": precisions}
    own |= dict.fromkeys(("classes", "proposals"), costs)
    benches = latest(project)
    measured = [name for name in experiments.experiment_names(project) if rows_of(name) in benches]
    own |= {
        rows_of(name): partial(rows, experiments.load_experiment(project, name))
        for name in measured
    }
    found = {kind: own.get(kind, plain)(one) for kind, one in benches.items()}
    return found | ({"targets": targets(project)} if found else {})


def means(bench):
    """What each means bought and how far it is from the limit: a line a way.

    ratio: times as fast as the reference; gain: as the row above, one change earlier; at ceiling:
    all operations at the pace of the convolution that keeps the machine busiest; share: of that.
    """
    rows = _rows(bench, [*PARTS, "ratio", "operations", "share", *COUNTS])
    total, way = rows["total"], rows["way"]
    columns = {f"{part}, ms": 1e3 * rows[part] for part in PARTS} | {"ratio": rows["ratio"]}
    columns["gain"] = total.groupby([_line(one, way[0]) for one in way]).shift() / total
    columns["operations, GFLOP"] = 1e-9 * rows["operations"]
    columns["at ceiling, ms"] = 1e3 * rows["share"] * total
    return rows[["way", "precision"]].assign(**columns).join(rows[["share", *COUNTS]])


def detectors(bench):
    """Tfirst and Ttot of every detector over CenterNet2's: measured, and as published."""
    measured = _rows(bench, PARTS).set_index("detector")[["first", "total"]]
    measured = measured / measured.reindex([REFERENCE]).iloc[0]
    printed = np.array([runtimes.first_and_total(name) for name in measured.index])
    printed = (printed / runtimes.first_and_total(REFERENCE)).T
    columns = {"Tfirst": measured["first"], "Tfirst, paper": printed[0]}
    columns |= {"Ttot": measured["total"], "Ttot, paper": printed[1]}
    return pd.DataFrame(columns).reset_index()


def rows_of(name):
    """The kind of record that holds the times of an experiment's rows."""
    return f"rows_{name}"


def rows(experiment, bench):
    """Tfirst and Ttot of an experiment's rows over those of its first: measured, and published."""
    measured = _rows(bench, PARTS).set_index("way")[["first", "total"]].set_axis(BOTH, axis=1)
    places = {row.name: row.paper for row in experiment.rows}
    printed = [runtimes.of_row(places.get(name)) for name in measured.index]
    printed = pd.DataFrame(printed, measured.index, BOTH)
    both = [measured / measured.iloc[0], (printed / printed.iloc[0]).add_suffix(", paper")]
    lines = pd.concat(both, axis=1).assign(ms=1e3 * measured["Ttot"])
    return lines.rename(columns={"ms": "Ttot, ms"}).rename_axis("row").reset_index()


def costs(bench):
    """Time against the number of classes or proposals; ratio: over that of the first number."""
    found = _rows(bench, [])["way"].str.extract(r"(.+), (\d+) \w+$")
    found = found.set_axis(["detector", bench.bench], axis=1).astype({bench.bench: int})
    printed = [runtimes.total(*line, bench.bench) for line in found.to_numpy()]
    found["total, ms"], found["paper, ms"] = 1e3 * _rows(bench, ["total"])["total"], printed
    for name, time in {"ratio": "total, ms", "ratio, paper": "paper, ms"}.items():
        found[name] = found.groupby("detector")[time].transform(lambda one: one / one.iloc[0])
    return found


def precisions(bench):
    """AP in percent of a trained model by precision, its difference from fp32's, and the time."""
    rows = _rows(bench, ["AP", "total", "ratio"]).drop(columns="detector")
    rows.insert(3, "difference", rows["AP"] - value(bench, "AP", "fp32", "precision"))
    return rows.assign(total=1e3 * rows["total"]).rename(columns={"total": "total, ms"})


def plain(bench):
    """The rows of any other kind as `record.readable` has them, and the facts that are numbers."""
    facts = {name: fact for name, fact in bench.facts.items() if isinstance(fact, float)}
    return record.readable(bench).assign(**facts)


def targets(project):
    """The targets of this work, what the records say of each, and the verdict; see `judged`."""
    return pd.DataFrame(judged(latest(project)))


def texts(project):
    """The files that the report keeps of these tables, text by name: CSV and Markdown."""
    kept = {}
    origins = {kind: ", ".join(origin(one).values()) for kind, one in latest(project).items()}
    for kind, frame in frames(project).items():
        made = [origins[kind]] if kind in origins else origins.values()
        grid = readable(frame).to_markdown(disable_numparse=True)
        options = {"float_format": "%.5g", "na_rep": DASH, "lineterminator": "\n"}
        kept[f"performance_{kind}.md"] = "\n\n".join([f"# Speed: {kind}", grid, *made, NOTE])
        kept[f"performance_{kind}.csv"] = frame.to_csv(index=False, **options)
    return kept


def readable(frame):
    """A table as text for people: rounded, the first column as its index, a dash for NaN."""
    text = {name: [_text(one, name) for one in column] for name, column in frame.items()}
    return pd.DataFrame(text).set_index(frame.columns[0]).rename_axis(None)


def _rows(bench, numbers):
    frame = pd.DataFrame(bench.rows).reindex(columns=["way", "detector", "precision", *numbers])
    return frame.astype(dict.fromkeys(numbers, float))


def _line(way, reference):
    """Ways of one line differ by one change each; another runtime begins a line of its own."""
    if "onnxruntime" in way:
        return "onnxruntime"
    return reference if way.startswith("ours") else way.removesuffix(", our means")


def _text(one, name):
    if isinstance(one, bool | str) or one is None:
        return DASH if one is None else str(one)
    if 0 < abs(one) < 0.01:  # two decimals would hide it
        return f"{one:.1e}"
    return number(one, digits=0 if isinstance(one, int) else DIGITS.get(name.split(", ")[-1], 2))
