"""Judged differences: the effects of an experiment with the verdicts of p2s.report.verdicts.

They are of scales that have a gate; those of others keep the rule they were made with.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from p2s.report.intervals import Estimate, verdict
from p2s.report.results import GATED, NEWEST, PHOTOGRAPHS, Results, results
from p2s.report.tables import ablation, gate
from p2s.report.verdicts import (
    OPPOSITE,
    OTHER_SIZE,
    PUBLISHED,
    UNSEEN,
    Difference,
    Verdict,
    over_images,
    verdicts,
)
from p2s.spec import Spec
from p2s.study.experiments import Contrast
from p2s.study.study import Study

ONE_STAGE = dict(zip(("retinanet", "gfl", "atss", "centernet"), gate.ONE_STAGE, strict=True))


def points(study: Study) -> pd.DataFrame:
    """What the gate of a study's scale, one of GATED, has asked, see `tables.gate.points`."""
    if study.scale == NEWEST:
        return gate.points(results(study, "gate"))
    return gate.of_photographs(results(study, PHOTOGRAPHS), results(study, "learnt"))


def effects(of_experiment: Results, study: Study) -> pd.DataFrame:
    """As `ablation.effects`; at GATED with new verdicts, the interval over images and p-values.

    p_value is that of the seeds before Holm's correction within a variant.
    """
    if of_experiment.scale not in GATED:
        return ablation.effects(of_experiment)
    return judge(of_experiment, gate.missed(points(study.at(of_experiment.scale))))


def judge(of_experiment: Results, missed: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """`effects` with new verdicts, whatever the scale; of its gate `missed` says what is missed."""
    frame = ablation.effects(of_experiment)
    if frame.empty:
        return frame
    variants = frame.groupby("variant", sort=False)
    return pd.concat([_judged(of_experiment, lines, missed) for _, lines in variants])


def of_quantity(of_variant: Results, rows: Sequence[str], more: Estimate, study: Study) -> str:
    """The verdict on a gain in what is no metric of a record; at GATED the new one."""
    if of_variant.scale not in GATED:
        return verdict(more, "gain")
    missed = gate.missed(points(study.at(of_variant.scale)))
    return str(quantified(of_variant, rows, more, missed, "gain"))


def in_words(effect: Estimate, expects: str | None, scale: str) -> str:
    """What an interval over seeds alone says, in a sentence; at GATED nothing does not hold."""
    said = verdict(effect, expects)
    if scale not in GATED:
        return said
    none = {"holds": PUBLISHED, "does not hold": OTHER_SIZE}
    signs = {"holds": "seen", "does not hold": OPPOSITE}
    words = {"undecided": UNSEEN} | (none if expects == "none" else signs)
    return words.get(said, said)


def quantified(
    of_variant: Results, rows: Sequence[str], more: Estimate, missed: Mapping, expects: str
) -> Verdict:
    """The new Verdict on it, whatever the scale; a quantity has no interval over images."""
    notes = missed_by(of_variant, rows, missed)
    told = (np.nan, expects, notes, False, seeds_asked(of_variant, rows))
    [said] = verdicts([Difference(more, (np.nan, np.nan), *told)])
    return said


def missed_by(of_variant: Results, rows: Sequence[str], missed: Mapping) -> tuple[str, ...]:
    """What is missed of the gate for these rows, and which of them have not learnt."""
    return (*dict.fromkeys(_missed(of_variant, rows, missed)),)


def seeds_asked(of_variant: Results, rows: Sequence[str]) -> int:
    """How many seeds all of these rows have at the scale, whether recorded or not."""
    seeds = [{run.seed for run in of_variant.runs if run.row == row} for row in rows]
    return len(set.intersection(*seeds))


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
    seeds = Estimate.of(line)
    images = over_images(replicates(of_variant, contrast))
    notes = missed_by(of_variant, contrast.rows, missed)
    released = all(row.weights for row in of_variant.experiment.rows if row.name in contrast.rows)
    asked = seeds_asked(of_variant, contrast.rows)
    told = (line.paper, contrast.expects, notes, released, asked)
    return Difference(seeds, images, *told)


def _missed(of_variant, rows, missed) -> Iterator[str]:
    yield from missed.get("", ())
    specs = {run.row: run.spec for run in of_variant.runs}
    if len({specs[row].levels for row in rows}) > 1:
        yield from missed.get(gate.ACROSS, ())
    for row in rows:
        yield from missed.get(precursor(specs[row]), ())
        if row in of_variant.not_started:
            yield f"{row} has not learnt"


def replicates(of_variant: Results, contrast: Contrast) -> np.ndarray:
    """The replicates of a difference in AP, a line a seed in which all rows have them, (S, B).

    Seeds are paired as in `ablation.difference`.
    """
    if contrast.metric != "AP":
        return np.empty((0, 0))
    by_row: dict[str, dict[int, tuple[str, str | None, np.ndarray]]] = {
        row: {} for row in contrast.rows
    }
    for run, record in of_variant.pairs:
        if run.row in by_row and record and (values := record.replicates.get("AP")):
            kept = run.training_id, record.weights, np.array(values, float)
            by_row[run.row][run.seed] = kept
    seeds = [s for s in by_row[contrast.row] if all(s in of_row for of_row in by_row.values())]
    pairs = [*zip(contrast.rows[::2], contrast.rows[1::2], strict=True)]
    gains = ([_gain(by_row[row][s], by_row[than][s]) for row, than in pairs] for s in seeds)
    return np.array([first - sum(less) for first, *less in gains if _are_paired(first, *less)])


def _gain(one, other):
    """The difference of two rows' replicates; None if a training they share was made twice."""
    (training, weights, values), (training_too, weights_too, values_too) = one, other
    if training == training_too and weights != weights_too:
        return None
    return values - values_too


def _are_paired(*gains):
    return all(gain is not None for gain in gains)
