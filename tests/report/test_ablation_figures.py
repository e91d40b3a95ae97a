from dataclasses import replace

import numpy as np
import pytest

from p2s.report.figures import ablation as figures
from p2s.report.figures.curves import DASHES, curves
from p2s.report.figures.scenes import scenes
from p2s.report.style import PALETTE, SHOWN_ABOVE
from p2s.report.tables import ablation as tables
from p2s.report.tables import vocabulary as vocabulary_tables
from tests.support import fakes


def first(results, count):
    """The same Results of its first runs alone, all of which have a record."""
    return fakes.holding(results, [fakes.record(run) for run in results.runs[:count]])


def words(figure):
    return " ".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_a_figure_has_the_same_bytes_whenever_it_is_drawn(results):
    once, again = (figures.ablation(results.main).content() for _ in range(2))
    assert once == again and b"<dc:date>" not in once


def test_figures_of_several_lines_of_panels_have_the_same_bytes(project):
    table7 = fakes.results(project, "table7")
    groups = vocabulary_tables.by_group(table7.main)
    assert len(groups) == 7
    assert len({figures.by_metric(table7, groups).content() for _ in range(6)}) == 1


def test_a_metric_has_a_panel_of_the_first_variant_without_the_paper(results):
    figure = figures.by_metric(results, ["APl", "APr"])
    large, rare = figure.axes
    assert [axes.get_title() for axes in (large, rare)] == ["APl", "APr"]
    values = results.main.of("APl")["value"]
    assert sorted(seeds_of(large)) == pytest.approx(sorted(values))
    assert not np.isfinite(seeds_of(rare)).any()
    said = [text.get_text() for text in rare.texts if text.get_text()]
    assert said == ["–"] * len(results.rows)


def seeds_of(panel):
    """The places along the axis of the marks of single seeds."""
    return [x for marks in panel.collections for x, _ in marks.get_offsets().data]


def xs(figure):
    """The places along the axis of all that is drawn."""
    return {
        x for axes in figure.axes for line in axes.lines for x in np.atleast_1d(line.get_xdata())
    }


def test_every_measured_mean_is_a_point_of_its_panel(results):
    figure = figures.ablation(results)
    assert set(tables.table(results)["mean"].dropna()) <= xs(figure)
    effects = tables.effects(results)
    rows = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert {name.split(": ")[1] for name in effects["contrast"]} <= set(rows)
    assert all(cell in words(figure) for cell in tables.cells(effects))


def test_without_records_a_figure_shows_dashes_and_the_paper(project):
    figure = figures.ablation(fakes.results(project, "table5", "smoke"))
    rows, gains, variants = 6, 5, 3
    assert words(figure).count("–") == variants * (rows + gains) and "42.9" in words(figure)
    assert figure.content().startswith(b"<?xml")


def test_each_variant_has_a_panel_and_the_paper_one_of_its_own(results):
    titles = [axes.get_title() for axes in figures.ablation(results).axes if axes.axison]
    variants = {run.variant for run in results.runs}
    assert titles[-1].startswith("the paper") and len(titles) == 1 + len(variants)
    main = figures.ablation(results.main)
    assert sum(axes.axison for axes in main.axes) == 2 and main.content()


def test_the_legend_has_published_values_only_where_they_are(results):
    unpublished = fakes.with_lines(results, lambda lines: lines.assign(paper=np.nan))
    named = [
        {text.get_text() for text in figures.ablation(some).legends[0].texts}
        for some in (results, unpublished)
    ]
    assert named[0] - named[1] == {"published"}


def test_photographs_are_left_out_of_scenes(results):
    [record] = first(results, 1).chosen
    photo = record.model_copy(update={"spec": record.spec | {"data": {"kind": "coco"}}})
    assert first(results, 1).examples == [record]
    assert fakes.holding(results, [photo]).examples == []


def test_curves_have_a_panel_for_each_loss_and_no_clock(results):
    titles = [axes.get_title() for axes in curves(first(results, 8)).axes]
    assert titles == ["loss_box", "loss_cls"]


def test_a_training_is_drawn_once_whatever_its_evaluations(results):
    once, twice = (first(results, count) for count in (1, 2))
    assert len({record.training_id for record in twice.chosen}) == 1 < len(twice.chosen)
    counts = [len(curves(some).axes[0].lines) for some in (once, twice)]
    assert counts == [2, 2]  # the seed and the mean


def legend(results):
    return [text.get_text() for text in curves(results).legends[0].texts]


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
    assert len(curves(of_row).axes[0].lines) == 4  # three seeds and their mean
    assert legend(of_row) == [same[0].row]


def test_the_legend_names_the_row_of_a_training(results):
    assert legend(results.main) == [results.rows[0], "CascadeRCNN-CenterNet"]


def styles_of(project, table):
    every = fakes.results(project, table)
    found = [fakes.record(run) for run in every.runs if run.seed == 0]
    drawn = curves(fakes.holding(every, found)).legends[0].get_lines()
    return {line.get_label(): (line._unscaled_dash_pattern[1], line.get_color()) for line in drawn}


def test_trainings_of_the_same_stages_have_styles_of_their_own(project):
    styles = styles_of(project, "table9")
    assert len(set(styles.values())) == len(styles) == 9


def test_a_colour_is_a_first_stage_and_a_dash_a_second(project):
    styles = styles_of(project, "table1")
    faster, cascade, alone = (
        styles[f"{name}RetinaNet"] for name in ("FasterRCNN-", "CascadeRCNN-", "")
    )
    assert faster[1] == cascade[1] == alone[1] == PALETTE["retinanet"]
    assert (faster[0], alone[0]) == (DASHES["faster"], DASHES["none"])
    assert styles["FasterRCNN-RetinaNet, GN towers"] not in (faster, cascade, alone)


def test_curves_and_scenes_of_no_record_are_empty_pictures(results):
    assert curves(replace(results, records={})).content().startswith(b"<?xml")
    assert scenes([]).content().startswith(b"\x89PNG")


def test_scenes_show_what_is_likely_and_only_that(results):
    [record] = first(results, 1).chosen
    proposals, detections = scenes([record]).axes[:2]
    shown = record.scenes[0]
    above = [row for row in shown["proposals"] if row[4] > SHOWN_ABOVE]
    assert len(proposals.patches) == len(above)
    assert len(detections.texts) == sum(row[4] > SHOWN_ABOVE for row in shown["detections"])


def test_notebooks_show_a_picture_as_it_is_saved(results):
    shown, about = curves(results.main)._repr_mimebundle_()
    assert "<svg" in shown["image/svg+xml"] and "loss_box" in about["image/svg+xml"]["alt"]
    assert set(scenes([])._repr_mimebundle_()[0]) == {"image/png"}
