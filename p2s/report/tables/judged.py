"""Judged differences: the effects of an experiment with the verdicts of p2s.report.verdicts.

They are of the scale that passed the gate; those of other scales keep the rule they were made with.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from p2s.report.intervals import Estimate
from p2s.report.results import NEWEST, Results, results
from p2s.report.tables import ablation, gate
from p2s.report.verdicts import Difference, over_images, verdicts
from p2s.spec import Spec
from p2s.study.experiments import Contrast
from p2s.study.study import Study

ONE_STAGE = dict(zip(("retinanet", "gfl", "atss", "centernet"), gate.ONE_STAGE, strict=True))


def effects(of_experiment: Results, study: Study) -> pd.DataFrame:
    """As `ablation.effects`; at NEWEST with new verdicts, the interval over images and p-values.

    p_value is that of the seeds before Holm's correction within a variant.
    """
    frame = ablation.effects(of_experiment)
    if of_experiment.scale != NEWEST or frame.empty:
        return frame
    missed = gate.missed(results(study.at(NEWEST), "gate"))
    variants = frame.groupby("variant", sort=False)
    return pd.concat([_judged(of_experiment, lines, missed) for _, lines in variants])


def precursor(spec: Spec) -> str:
    """The row of the gate that speaks for a detector: of its first stage, or of RPNs of its own."""
    if spec.first in ONE_STAGE:
        return ONE_STAGE[spec.first]
    if spec.second != "cascade":
        return gate.REFERENCE
    return "CascadeRCNN-RPN (P3-P7)" if spec.levels == (3, 7) else "CascadeRCNN-RPN"


def _judged(of_experiment, lines, missed):
    """The effects of one variant, which are the experiment's contrasts in their order."""
    made = [
        _difference(of_experiment.only(line.variant), contrast, line, missed)
        for contrast, line in zip(of_experiment.contrasts, lines.itertuples(), strict=True)
    ]
    intervals = pd.DataFrame([one.images for one in made], lines.index, ["image_low", "image_high"])
    said = [str(verdict) for verdict in verdicts(made)]
    return lines.assign(verdict=said, p_value=[one.p_value for one in made]).join(intervals)


def _difference(of_variant, contrast, line, missed):
    seeds = Estimate(*(getattr(line, name) for name in Estimate._fields))
    replicates = _replicates(of_variant, contrast)
    notes = dict.fromkeys(_rests_on(of_variant, contrast, missed))
    return Difference(seeds, over_images(replicates), line.paper, contrast.expects, (*notes,))


def _rests_on(of_variant: Results, contrast: Contrast, missed: Mapping) -> Iterator[str]:
    """What is missed of the gate for the rows of a contrast, and which of them have not learnt."""
    yield from missed.get("", ())
    specs = {run.row: run.spec for run in of_variant.runs}
    if len({specs[row].levels for row in contrast.rows}) > 1:
        yield from missed.get(gate.ACROSS, ())
    for row in contrast.rows:
        yield from missed.get(precursor(specs[row]), ())
        if row in of_variant.not_started:
            yield f"{row} has not learnt"


def _replicates(of_variant, contrast):
    """The replicates of a difference in AP, a line a seed in which all rows have them, (S, B)."""
    if contrast.metric != "AP":
        return np.empty((0, 0))
    by_row: dict[str, dict[int, np.ndarray]] = {row: {} for row in contrast.rows}
    for run, record in of_variant.pairs:
        if run.row in by_row and record and (values := record.replicates.get("AP")):
            by_row[run.row][run.seed] = np.array(values, float)
    first, second, *rest = (by_row[row] for row in contrast.rows)
    seeds = [seed for seed in first if all(seed in of_row for of_row in by_row.values())]
    less = [rest[0][seed] - rest[1][seed] if rest else 0.0 for seed in seeds]
    return np.array([first[s] - second[s] - k for s, k in zip(seeds, less, strict=True)])
