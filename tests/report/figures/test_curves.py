from dataclasses import replace

import numpy as np

from p2s.report.figures import curves as figures
from tests.support import fakes


def first(results, count):
    """The same Results of its first runs alone, all of which have a record."""
    return fakes.holding(results, [fakes.record(run) for run in results.runs[:count]])


def test_curves_have_a_panel_for_each_loss_and_no_clock(results):
    titles = [axes.get_title() for axes in figures.curves(first(results, 8)).axes]
    assert titles == ["loss_box", "loss_cls"]


def test_a_training_is_drawn_once_whatever_its_evaluations(results):
    once, twice = (first(results, count) for count in (1, 2))
    assert len({record.training_id for record in twice.chosen}) == 1 < len(twice.chosen)
    counts = [len(figures.curves(some).axes[0].lines) for some in (once, twice)]
    assert counts == [2, 2]  # the seed and the mean


def legend(results):
    return [text.get_text() for text in figures.curves(results).legends[0].texts]


def test_trainings_on_other_data_are_drawn_apart(results):
    one, other = first(results, 2).chosen
    changed = {"training_id": "b", "spec": one.spec | {"data": one.spec["data"] | {"fragments": 2}}}
    apart = fakes.holding(results, [one, other.model_copy(update=changed)])
    assert legend(apart) == [one.detector, f"{one.detector} (2)"]


def test_trainings_on_scenes_of_their_seed_are_alike(project):
    posterior = fakes.results(project, "posterior")
    same = [run for run in posterior.runs if run.row == posterior.rows[0]]
    of_row = fakes.holding(posterior, [fakes.record(run) for run in same])
    assert len({run.spec.data.seed for run in same}) == 3
    assert len(figures.curves(of_row).axes[0].lines) == 4  # three seeds and their mean
    assert legend(of_row) == [same[0].row]


def test_the_legend_names_the_row_of_a_training(results):
    assert legend(results.main) == [results.rows[0], "CascadeRCNN-CenterNet"]


def styles_of(project, table):
    every = fakes.results(project, table)
    found = [fakes.record(run) for run in every.runs if run.seed == 0]
    drawn = figures.curves(fakes.holding(every, found)).legends[0].get_lines()
    return {line.get_label(): (line._unscaled_dash_pattern, line.get_color()) for line in drawn}


def test_trainings_of_the_same_stages_have_styles_of_their_own(project):
    styles = styles_of(project, "table9")
    assert len(set(styles.values())) == len(styles) == 9


def test_a_colour_is_a_first_stage_and_a_dash_a_second(project):
    styles = styles_of(project, "table1")
    faster, cascade, alone = (
        styles[f"{name}RetinaNet"] for name in ("FasterRCNN-", "CascadeRCNN-", "")
    )
    assert faster[1] == cascade[1] == alone[1] and len({faster[0], cascade[0], alone[0]}) == 3
    assert styles["FasterRCNN-RetinaNet, GN towers"] not in (faster, cascade, alone)


def test_curves_of_no_record_are_an_empty_picture(results):
    empty = figures.curves(replace(results, records={}))
    assert empty.content().startswith(b"<?xml") and "no record" in empty.alt


def test_a_line_is_the_mean_over_seeds_and_its_end_is_told(results):
    picture, records = figures.curves(results.main), results.main.chosen
    name = results.rows[0]
    same = {one.training_id: one for one in records if one.detector == records[0].detector}
    mean = np.mean([one.curve["loss_box"] for one in same.values()], 0)
    assert any(np.allclose(line.get_ydata(), mean) for line in picture.axes[0].lines)
    assert f"{mean[-1]:.3f} ({name})" in picture.alt


def test_notebooks_show_a_picture_as_it_is_saved(results):
    picture = figures.curves(results.main)
    data, about = picture._repr_mimebundle_()
    assert data == {"image/svg+xml": picture.content().decode()}
    assert about == {"image/svg+xml": {"alt": picture.alt}}


def test_ap_that_was_watched_has_a_panel_of_its_own_that_is_not_logarithmic(results):
    [record] = first(results, 1).chosen
    ap = [None] * (len(record.curve["iteration"]) - 1) + [40.0]
    watched = record.model_copy(update={"curve": record.curve | {"AP": ap}})
    axes = figures.curves(fakes.holding(results, [watched])).axes
    scales = {panel.get_title(): panel.get_yscale() for panel in axes}
    assert scales == {"AP": "linear", "loss_box": "log", "loss_cls": "log"}
