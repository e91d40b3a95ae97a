"""The answer in short is that of the table of effects, and its links lead to records."""

import re

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from p2s.report import marks, verdicts
from p2s.report.intervals import DASH
from p2s.report.tables import ablation, summary
from tests.support import fakes


@pytest.fixture(scope="module")
def main(tmp_path_factory):
    project = fakes.project(tmp_path_factory.mktemp("project"))
    fakes.fill(project)
    return fakes.results(project, "table5").main


@pytest.fixture(scope="module")
def effects(main):
    return ablation.effects(main)


def with_verdicts(effects, *said):
    """The effects of which the first, in turn, are claimed and came out so."""
    return effects.head(len(said)).assign(verdict=said, expects="gain", seeds=3)


def test_every_verdict_ends_a_sentence_on_one_and_on_several():
    for status in (*verdicts.VERDICTS, "holds", "does not hold", "undecided", "not started"):
        one, two = (summary._said(status, count) for count in (1, 2))
        assert re.match("1 (holds|does|is|has)", one) and re.match("2 (hold|do|are|have)", two)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            ["holds", "holds", "undecided"],
            "Of 3 differences that the paper claims, 2 hold and 1 is",
        ),
        (["holds", "undecided", "does not hold"], "1 holds, 1 is undecided and 1 does not hold."),
        ([f"{verdicts.UNSEEN} (of 2 or more)"], "The one difference that the paper claims is not"),
        (["holds"], "The one difference that the paper claims holds.** It is this: "),
    ],
)
def test_the_first_sentence_counts_the_verdicts(main, effects, said, told):
    assert told in summary.sentences(main, with_verdicts(effects, *said))


def test_the_clearest_is_the_largest_of_its_interval_and_says_something(effects):
    lines = with_verdicts(effects, "holds", "does not hold", "not started")
    lines = lines.assign(mean=[1.0, -3.0, 9.0], low=[0.5, -4.0, 8.9], high=[1.5, -2.0, 9.1])
    assert "here −3.0 ± 1.0 (3): **does not hold**" in summary._clearest(lines)


def test_of_what_is_not_comparable_none_is_the_clearest(main, effects):
    lines = with_verdicts(effects, *2 * [f"{verdicts.NOT_COMPARABLE} (the gate; a row)"])
    told = summary.sentences(main, lines)
    assert "2 are not comparable.** The mean has" in told
    assert told.endswith(" No record here decides on any of them.")


@pytest.mark.parametrize(
    ("means", "expects", "alike"),
    [
        ([0.1, -2.0, 3.0], ["gain", "gain", "gain"], "in 2 of 3,"),
        ([0.1, -2.0, 0.0], ["gain", "loss", "gain"], "in 2 of 3,"),
        ([0.1, -2.0, 3.0], ["none", "loss", "loss"], "in 1 of 2,"),
        ([0.1, -2.0, 3.0], ["none", "none", "loss"], None),  # of one there is no share
    ],
)
def test_means_of_the_papers_sign_are_counted_whatever_the_verdict(effects, means, expects, alike):
    lines = with_verdicts(effects, *3 * [verdicts.UNSEEN]).assign(mean=means, expects=expects)
    told = summary._signs(lines)
    assert alike in told if alike else told == ""


def test_nothing_is_said_of_what_has_no_record_or_is_not_claimed(main, effects):
    missing = with_verdicts(effects, DASH, DASH).assign(seeds=0)
    assert summary.sentences(main, missing).startswith("No record yet of any of 2")
    assert "claims no difference" in summary.sentences(main, effects.assign(expects=DASH))


def test_a_line_has_the_numbers_of_its_effect_and_its_verdict_marked(main, effects):
    frame = summary.readable(main, effects).data
    shown = frame[frame["what is compared"] != DASH]
    assert len(shown) == len(effects) and {*frame["row"]} == {*main.rows}
    order = [ablation.named(one) for row in main.rows for one in main.contrasts if one.row == row]
    effects = effects.set_index("contrast").loc[order]
    assert [*shown["verdict"]] == [marks.marked(said) for said in effects["verdict"]]
    assert [*shown["difference"]] == [f"{m:+.1f}".replace("-", "−") for m in effects["mean"]]


def test_both_intervals_stand_beside_a_difference(main, effects):
    wide = effects.assign(low=-1.0, high=1.0, image_low=-0.5, image_high=2.0)
    shown = summary.readable(main, wide).data
    assert {*shown["over seeds"]} == {DASH, "−1.0 to +1.0"}
    assert {*shown["over images"]} == {DASH, "−0.5 to +2.0"}
    alone = wide.assign(image_low=float("nan"), image_high=float("nan"))
    assert {*summary.readable(main, alone).data["over images"]} == {DASH}


def test_what_the_paper_claims_stands_beside_its_number(main, effects):
    shown = summary.readable(main, effects).data
    of = dict(
        zip(shown["row"] + ": " + shown["what is compared"], shown["the paper's"], strict=True)
    )
    assert of["CascadeRCNN-CenterNet w. prob.: product"] == "+0.8, a gain"
    assert of["CascadeRCNN-RPN w. prob.: product"] == "+0.0, no change"
    assert of["CascadeRCNN-CenterNet, released score: released"] == DASH
    assert summary.claimed(float("nan"), "gain") == "a gain"


def test_seeds_lead_to_records(main, effects):
    html = BeautifulSoup(summary.readable(main, effects).to_html(), "html.parser")
    links = {link["href"] for link in html.find_all("a")}
    assert links == {f"../results/runs/desk/{record.id}.json" for record in main.chosen}


def test_without_records_rows_are_of_dashes(tmp_path):
    main = fakes.results(fakes.project(tmp_path), "table5").main
    frame = summary.readable(main, ablation.effects(main)).data
    assert {*frame["records"]} == {DASH} == {*frame["AP"]}
    assert pd.notna(frame).all(axis=None)
