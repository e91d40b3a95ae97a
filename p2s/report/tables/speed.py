"""What the measurements of speed say, beside the paper's runtimes; what is missing is NaN."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd

from p2s.report.intervals import DASH, number
from p2s.report.products import grid
from p2s.report.tables import runtimes
from p2s.report.tables.benches import latest, origin
from p2s.report.tables.runtimes import BOTH, REFERENCE
from p2s.report.tables.targets import judged, value
from p2s.study import benches
from p2s.study.benches import Bench, Row, rows_of
from p2s.study.experiments import Experiment, experiment_names, load_experiment
from p2s.study.project import Project

PARTS = ["pre", "first", "second", "post", "total"]
COUNTS = ["detections", "unmatched", "unmatched_inside"]
DIGITS = {"ms": 1, "GFLOP": 1} | dict.fromkeys(COUNTS, 0)  # by a column's unit or name; else 2
NOTE = """Medians over rounds; ratios within one run. A dash: not measured, or not published.
Made from results/bench by `p2s study report`; do not edit.
"""


def frames(project: Project) -> dict[str, pd.DataFrame]:
    """A table for every kind that was measured, and "targets"; none where nothing was."""
    own = {"infer": means, "allocator": means, "detectors": detectors, "precision": precisions}
    own |= dict.fromkeys(("classes", "proposals"), costs)
    measured = latest(project)
    for name in experiment_names(project):
        if rows_of(name) in measured:
            own[rows_of(name)] = partial(rows, load_experiment(project, name))
    tables = {kind: own.get(kind, plain)(bench) for kind, bench in measured.items()}
    return tables | ({"targets": targets(project)} if tables else {})


def means(bench: Bench) -> pd.DataFrame:
    """What each means bought and how far it is from the limit: a line a way.

    ratio: times as fast as the reference; gain: as the row above, one change earlier; at ceiling:
    all operations at the pace of the convolution that keeps the machine busiest; share: of that.
    """
    rows = _rows(bench, [*PARTS, "ratio", "operations", "share", *COUNTS])
    total, ours = rows["total"], {rows["runtime"].iloc[0]: "ours"}  # where the reference begins
    line = [rows["detector"], rows["runtime"].replace(ours)]  # whose ways differ by a change each
    columns = {f"{part}, ms": 1e3 * rows[part] for part in PARTS} | {"ratio": rows["ratio"]}
    columns["gain"] = total.groupby(line, dropna=False).shift() / total
    columns["operations, GFLOP"] = 1e-9 * rows["operations"]
    columns["at ceiling, ms"] = 1e3 * rows["share"] * total
    return rows[["way", "precision"]].assign(**columns).join(rows[["share", *COUNTS]])


def detectors(bench: Bench) -> pd.DataFrame:
    """Tfirst and Ttot of every detector over CenterNet2's: measured, and as published."""
    measured = _rows(bench, PARTS).set_index("detector")[["first", "total"]]
    printed = [runtimes.first_and_total(name) for name in measured.index]
    printed = np.array(printed) / runtimes.first_and_total(REFERENCE)
    return _beside(measured / measured.reindex([REFERENCE]).iloc[0], printed).reset_index()


def rows(experiment: Experiment, bench: Bench) -> pd.DataFrame:
    """Tfirst and Ttot of an experiment's rows over those of its first: measured, and published."""
    measured = _rows(bench, PARTS).set_index("way")[["first", "total"]].rename_axis("row")
    places = {row.name: row.paper for row in experiment.rows}
    printed = np.array([runtimes.of_row(places.get(name)) for name in measured.index])
    lines = _beside(measured / measured.iloc[0], printed / printed[0])
    lines = lines[[*BOTH, *(f"{time}, paper" for time in BOTH)]]
    return lines.assign(**{"Ttot, ms": 1e3 * measured["total"]}).reset_index()


def costs(bench: Bench) -> pd.DataFrame:
    """Time against the number of classes or proposals; ratio: over that of the first number."""
    rows, what = _rows(bench, ["total"]), bench.bench
    lines = rows[["detector", "count"]].rename(columns={"count": what}).astype({what: int})
    lines["total, ms"] = 1e3 * rows["total"]
    keys = zip(lines["detector"], lines[what], strict=True)
    lines["paper, ms"] = [runtimes.total(*key, what) for key in keys]
    for name, time in {"ratio": "total, ms", "ratio, paper": "paper, ms"}.items():
        lines[name] = lines.groupby("detector")[time].transform(lambda times: times / times.iloc[0])
    return lines


def precisions(bench: Bench) -> pd.DataFrame:
    """AP in percent of a trained model by precision, its difference from fp32's, and the time."""
    rows = _rows(bench, ["AP", "total", "ratio"])
    difference = rows["AP"] - value(bench, "AP", precision="fp32")
    lines = rows.assign(difference=difference, **{"total, ms": 1e3 * rows["total"]})
    return lines[["way", "precision", "AP", "difference", "total, ms", "ratio"]]


def plain(bench: Bench) -> pd.DataFrame:
    """The rows of any other kind as `benches.readable` has them, and the facts that are numbers."""
    facts = {name: fact for name, fact in bench.facts.items() if isinstance(fact, float)}
    return benches.readable(bench).assign(**facts)


def targets(project: Project) -> pd.DataFrame:
    """The targets of this work, what the records say of each, and the verdict; see `judged`."""
    return pd.DataFrame(judged(latest(project)))


def pages(project: Project, frames: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """These tables by kind as Markdown, with where their records were made."""
    origins = {kind: ", ".join(origin(bench).values()) for kind, bench in latest(project).items()}
    kept = {}
    for kind, frame in frames.items():
        made = [origins[kind]] if kind in origins else origins.values()
        kept[kind] = "\n\n".join([f"# Speed: {kind}", grid(readable(frame)), *made, NOTE])
    return kept


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """A table as text for people: rounded, the first column as its index, a dash for NaN."""
    text = {name: [_text(cell, name) for cell in column] for name, column in frame.items()}
    return pd.DataFrame(text).set_index(frame.columns[0]).rename_axis(None)


def _rows(bench, numbers):
    """The columns of all rows, and these numbers of them; NaN where a row has none."""
    frame = pd.DataFrame(bench.rows).reindex(columns=[*Row.__annotations__, *numbers])
    return frame.astype(dict.fromkeys(numbers, float))


def _beside(measured, printed):
    """Ratios of the first stage and in all, each with the paper's, (R, 2), at its right."""
    lines = measured.set_axis(BOTH, axis=1)
    for k, time in enumerate(BOTH):
        lines.insert(2 * k + 1, f"{time}, paper", printed[:, k])
    return lines


def _text(cell, name):
    if isinstance(cell, bool | str) or cell is None:
        return DASH if cell is None else str(cell)
    if 0 < abs(cell) < 0.01:  # two decimals would hide it
        return f"{cell:.1e}"
    return number(cell, digits=0 if isinstance(cell, int) else DIGITS.get(name.split(", ")[-1], 2))
