"""Where the records of a study were made, and which of them came with the project."""

import pandas as pd
from pandas.io.formats.style import Styler

from p2s.report.intervals import DASH
from p2s.report.results import COMMITTED
from p2s.study import provenance
from p2s.study.study import Study

KEYS = ["origin", "machine", "torch", "commit"]


def came_with(study: Study) -> set[str]:
    """The ids of the scale's records that are part of the commit; without git, by their scale."""
    if provenance.git_state(study.project.root)["sha"] is None:  # a copy without git
        return set(study.records) if study.scale in COMMITTED else set()
    folder = study.project.records(study.scale)
    paths = [folder / f"{key}.json" for key in study.records]
    return {path.stem for path in provenance.committed(paths)}


def origins(study: Study) -> pd.DataFrame:
    """A line for each machine, code and commit state: how many records, and hours of training."""
    committed = came_with(study)
    lines = [
        {
            "origin": "committed" if key in committed else "here",
            "machine": f"{record.machine.get('cpu', DASH)}, "
            f"{record.machine.get('threads', DASH)} thread",
            "torch": record.versions.get("torch", DASH),
            "commit": commit(record.git),
            "training hours": (record.timings.get("train_s") or 0) / 3600,
            "training": record.training_id,
        }
        for key, record in sorted(study.records.items(), key=lambda pair: pair[0] not in committed)
    ]
    if not lines:
        return pd.DataFrame(columns=[*KEYS, "records"])
    frame = pd.DataFrame(lines)
    hours = frame.drop_duplicates("training").groupby(KEYS, sort=False)["training hours"].sum()
    counts = frame.groupby(KEYS, sort=False).agg(
        records=("training", "size"), trainings=("training", "nunique")
    )
    return counts.join(hours.round(2)).reset_index()


def shown(study: Study, origin: str) -> Styler:
    """Those of one origin, `committed` or `here`, as a page shows them."""
    made = origins(study).query("origin == @origin").drop(columns="origin")
    return made.style.hide().format({"training hours": "{:.1f}"}, escape="html", na_rep=DASH)


def commit(git: dict) -> str:
    """The commit of a record, with a + where the code had changes that were not committed."""
    return str(git.get("sha") or DASH)[:8] + ("+" if git.get("dirty") else "")
