import numpy as np
import pandas as pd

from p2s.report.figures import ablation as figures
from p2s.report.style import PALETTE
from p2s.report.tables import ablation as tables
from p2s.report.tables import vocabulary as vocabulary_tables
from p2s.report.tables.estimates import cells
from tests.support import fakes


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


def seeds(panel):
    """AP of all seeds that a panel shows."""
    return sorted(
        x for marks in panel.collections for x, _ in marks.get_offsets().compressed().reshape(-1, 2)
    )


def test_a_metric_has_a_panel_of_the_first_variant_without_the_paper(results):
    large, rare = figures.by_metric(results, ["APl", "APr"]).axes
    assert [axes.get_title() for axes in (large, rare)] == ["APl", "APr"]
    assert seeds(large) == sorted(results.main.of("APl")["value"]) and seeds(rare) == []
    assert [text.get_text() for text in rare.texts] == ["–"] * len(results.rows)


def test_every_measured_mean_is_a_point_of_its_panel(results):
    table, figure = tables.table(results), figures.ablation(results)
    drawn = {x for axes in figure.axes for line in axes.lines for x in line.get_xdata()}
    for column in ("mean", "low", "high"):
        wanted = table[column].dropna()
        assert len(wanted) and all(np.isclose(list(drawn), x).any() for x in wanted)


def test_every_difference_stands_below_its_row(results):
    figure, effects = figures.ablation(results), tables.effects(results)
    assert all(cell in words(figure) for cell in cells(effects, "+"))
    named = {text.get_text(): place for text, place in _ticks(figure.axes[0])}
    for contrast in results.contrasts:
        assert named[contrast.name] < named[contrast.row]


def test_differences_are_those_of_their_row_and_panel(results):
    contrast, figure = results.contrasts[-1], figures.ablation(results)
    at = {text.get_text(): place for text, place in _ticks(figure.axes[0])}[contrast.name]
    for panel, variant in zip(figure.axes, results.frame["variant"].unique(), strict=False):
        [said] = [text.get_text() for text in panel.texts if text.get_position()[1] == at]
        assert said in cells(tables.effects(results.only(variant), [contrast]), "+")


def _ticks(panel):
    return zip(panel.get_yticklabels(), panel.get_yticks(), strict=True)


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


def test_the_legend_names_the_first_stage_of_each_colour(results):
    handles = figures.ablation(results).legends[0].legend_handles
    colours = {line.get_label(): line.get_color() for line in handles}
    assert colours["RPN"] == PALETTE["rpn"] != PALETTE["centernet"] == colours["CenterNet"]


def test_a_picture_holds_three_variants_and_the_paper(results):
    variants = [f"variant {k}" for k in range(4)]
    frame = results.main.frame
    more = fakes.with_lines(
        results.main, lambda _: pd.concat([frame.assign(variant=name) for name in variants])
    )
    shown = [[axes.get_title() for axes in one.axes] for one in figures.ablations(more)]
    assert shown == [[*variants[:3], "the paper"], [variants[3], "the paper"]]


def test_the_words_tell_the_highest_and_the_lowest_mean(results):
    means = results.main.of("AP").groupby("row")["value"].mean()
    said = figures.ablation(results.main).alt
    assert f"lowest: {means.idxmax()} {means.max():.1f}" in said
    assert f"to {means.idxmin()} {means.min():.1f}" in said
    gain = cells(tables.effects(results.main), "+")[0]
    assert f"{results.contrasts[0].name} {gain}" in said
