"""What the report has of an experiment: its tables, figures and pages, by what was measured."""

import pandas as pd

from p2s.report import audit
from p2s.report.figures import ablation as figures
from p2s.report.figures import calibration, curves, fusion, gate, posterior, scenes, steps
from p2s.report.products import Products, grid, heading
from p2s.report.results import Results
from p2s.report.style import Picture
from p2s.report.tables import ablation as tables
from p2s.report.tables import judged, vocabulary
from p2s.report.tables.estimates import csv
from p2s.study.study import Study

NOTE = """\
AP in percent, each row by its own score and threshold: mean ± half of the 95 % Student interval
over seeds (number of seeds); a dash where no record is.
Made from results/runs/{scale} by `p2s study report`; do not edit.
"""
QUOTED = "Published, and not measured here:"
DEVIATIONS = """\
Mean ± *standard deviation* of the seeds (their number), the form of the paper's Table 9. Runtimes
by the number of classes are in [performance_classes.md](performance_classes.md)."""
GIVES = {  # by measure of an experiment, what it gives to the report
    "calibration": calibration.products,
    "fusion": fusion.products,
    "geometry": gate.products,
    "posterior": posterior.products,
}


def products(results: Results, study: Study) -> list[Products]:
    """Everything that the report has of an experiment that has some record."""
    measured = [GIVES[measure](results, study) for measure in results.experiment.measures]
    return [_of_rows(results, study), audit.products(results), *measured]


def _of_rows(results, study):
    """What any experiment has: its table, its differences, and the pictures of both."""
    effects = judged.effects(results, study)
    frames = {"": csv(tables.every_metric(results))}
    frames |= {"effects": csv(effects)} if len(effects) else {}
    return Products(_pictures(results), frames, {"": _page(results, effects)})


def _pictures(results) -> dict[str, Picture]:
    pictures = figures.ablations(results)
    drawn = {str(k) if k > 1 else "": picture for k, picture in enumerate(pictures, 1)}
    drawn["curves"] = curves.curves(results.main)
    if groups := vocabulary.by_group(results.main):
        drawn["groups"] = figures.by_metric(results, groups)
    if of_differences := steps.PICTURES.get(results.experiment.picture):
        drawn[results.experiment.picture] = of_differences(results)
    if examples := results.main.examples:
        drawn["scenes"] = scenes.scenes(examples)
    return drawn


def _page(results, effects: pd.DataFrame):
    shown = [frame for frame in (tables.table(results), effects) if len(frame)]
    texts = (grid(tables.readable(frame, results.said)) for frame in shown)
    parts = [heading(results.experiment), *texts]
    if len(published := tables.quoted(results)):
        parts += [QUOTED, grid(published)]
    if results.experiment.data_set in vocabulary.DATA_SETS:
        parts += [DEVIATIONS, grid(vocabulary.deviations(results.main))]
    return "\n\n".join([*parts, NOTE.format(scale=results.scale)])
