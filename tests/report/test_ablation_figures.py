import numpy as np

from p2s.report.figures import ablation as figures
from p2s.report.tables import ablation as tables
from p2s.report.tables import vocabulary as vocabulary_tables
from p2s.study import experiments, runs
from tests.support import fakes


def first_records(project, count):
    return [fakes.record(run) for run in runs.runs(project, "desk", ["table5"])[:count]]


def words(figure):
    return " ".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_a_figure_has_the_same_bytes_whenever_it_is_drawn(lines):
    main = tables.main_variant(lines)
    first, second = (figures.ablation(main).content() for _ in range(2))
    assert first == second and b"<dc:date>" not in first


def test_figures_of_several_lines_of_panels_have_the_same_bytes(project):
    main = tables.main_variant(tables.measured(project, "table7", "desk"))
    groups = vocabulary_tables.by_metric(main, vocabulary_tables.by_group(main))
    assert groups["variant"].nunique() == 7
    assert len({figures.ablation(groups).content() for _ in range(6)}) == 1


def contrasts(project):
    return experiments.load_experiment(project, "table5").contrasts


def test_every_measured_mean_is_a_point_of_its_panel(project, lines):
    figure = figures.ablation(lines, contrasts(project))
    drawn = {
        x for axes in figure.axes for line in axes.lines for x in np.atleast_1d(line.get_xdata())
    }
    assert set(tables.table(lines)["mean"].dropna()) <= drawn
    effects = tables.effects(contrasts(project), lines)
    gains = [
        f"{name.split(': ')[1]}: {cell}"
        for name, cell in zip(effects["contrast"], tables.cells(effects), strict=True)
    ]
    assert gains and all(gain in words(figure) for gain in gains)


def test_without_records_a_figure_shows_dashes_and_the_paper(project):
    none = tables.measured(project, "table5", "smoke")
    figure = figures.ablation(none, contrasts(project))
    rows, gains, variants = 6, 5, 3
    assert words(figure).count("–") == variants * (rows + gains) and "42.9" in words(figure)
    assert figure.content().startswith(b"<?xml")


def test_each_variant_has_a_panel_and_the_paper_one_of_its_own(lines):
    titles = [axes.get_title() for axes in figures.ablation(lines).axes if axes.axison]
    assert titles[-1].startswith("the paper") and len(titles) == 1 + lines["variant"].nunique()
    main = figures.ablation(tables.main_variant(lines))
    assert sum(axes.axison for axes in main.axes) == 2 and main.content()


def test_the_legend_has_published_values_only_where_they_are(lines):
    named = [
        {text.get_text() for text in figures.ablation(some).axes[-1].get_legend().texts}
        for some in (lines, lines.assign(paper_AP=np.nan))
    ]
    assert named[0] - named[1] == {"published"}


def test_photographs_are_left_out_of_scenes(project):
    record = first_records(project, 1)[0]
    photo = record.model_copy(update={"spec": record.spec | {"data": {"kind": "coco"}}})
    assert figures.scenes([photo]).content() == figures.scenes([]).content()


def test_curves_have_a_panel_for_each_loss_and_no_clock(project):
    titles = [axes.get_title() for axes in figures.curves(first_records(project, 8)).axes]
    assert titles == ["loss_box", "loss_cls"]


def test_a_training_is_drawn_once_whatever_its_evaluations(project):
    one, other = first_records(project, 2)
    assert one.training_id == other.training_id
    counts = [len(figures.curves(some).axes[0].lines) for some in ([one], [one, other])]
    assert counts == [2, 2]  # the seed and the mean


def legend(records, names=None):
    return [text.get_text() for text in figures.curves(records, names).legends[0].texts]


def test_trainings_on_other_data_are_drawn_apart(project):
    one = first_records(project, 1)[0]
    changed = {"training_id": "b", "spec": one.spec | {"data": one.spec["data"] | {"fragments": 2}}}
    assert legend([one, one.model_copy(update=changed)]) == [one.detector, f"{one.detector} (2)"]


def test_trainings_on_scenes_of_their_seed_are_alike(project):
    every = runs.runs(project, "desk", ["posterior"])
    first = [run for run in every if run.row == every[0].row]
    found = [fakes.record(run) for run in first]
    assert len({run.spec.data.seed for run in first}) == 3
    assert len(figures.curves(found).axes[0].lines) == 4  # three seeds and their mean
    assert legend(found) == [first[0].detector]


def test_the_legend_names_the_row_of_a_training(project, lines):
    main = tables.main_variant(lines)
    found = tables.chosen(tables.load(project, "desk"), main)
    named = legend(found, tables.row_names(main))
    assert named == [main["row"].iloc[0], "CascadeRCNN-CenterNet"]


def styles_of(project, table):
    every = runs.runs(project, "desk", [table])
    found = [fakes.record(run) for run in every if run.seed == 0]
    names = {run.training_id: run.row for run in every}
    drawn = figures.curves(found, names).legends[0].get_lines()
    return {line.get_label(): (line.get_linestyle(), line.get_color()) for line in drawn}


def test_trainings_of_the_same_stages_have_styles_of_their_own(project):
    styles = styles_of(project, "table9")
    assert len(set(styles.values())) == len(styles) == 9


def test_a_colour_is_a_first_stage_and_a_dash_a_second(project):
    styles = styles_of(project, "table1")
    faster, cascade, alone = (
        styles[f"{name}RetinaNet"] for name in ("FasterRCNN-", "CascadeRCNN-", "")
    )
    assert faster[1] == cascade[1] == alone[1] and (faster[0], alone[0]) == ("--", ":")
    assert styles["FasterRCNN-RetinaNet, GN towers"] not in (faster, cascade, alone)


def test_curves_and_scenes_of_no_record_are_empty_pictures():
    assert figures.curves([]).content().startswith(b"<?xml")
    assert figures.scenes([]).content().startswith(b"\x89PNG")


def test_scenes_show_what_is_likely_and_only_that(project):
    record = first_records(project, 1)[0]
    proposals, detections = figures.scenes([record]).axes[:2]
    shown = record.scenes[0]
    above = [row for row in shown["proposals"] if row[4] > figures.SHOWN_ABOVE]
    assert len(proposals.patches) == len(above)
    assert len(detections.texts) == sum(row[4] > figures.SHOWN_ABOVE for row in shown["detections"])


def test_notebooks_show_a_picture_as_it_is_saved(project):
    assert "<svg" in figures.curves([])._repr_mimebundle_()["image/svg+xml"]
    assert set(figures.scenes([])._repr_mimebundle_()) == {"image/png"}
