import fakes
import numpy as np
import pytest

from p2s import paper, provenance, records, runs, tables
from p2s.statistics import DASH, estimate


def test_every_row_variant_and_seed_has_a_line(project, lines):
    assert len(lines) == len(runs.runs(project, "desk", ["table5"]))
    assert lines["AP"].isna().equals(lines["variant"] == "scores above .05 with double fragments")


def test_mean_and_interval_of_a_cell_are_those_of_its_records(project, lines):
    first = tables.table(lines).iloc[0]
    same = lines[(lines["row"] == first["row"]) & (lines["variant"] == first["variant"])]
    of_cell = tables.chosen(tables.load(project, "desk"), same)
    assert [one.seed for one in of_cell] == [0, 1, 2]
    aps = [one.metrics["AP"] for one in of_cell]
    assert tuple(first[["mean", "low", "high", "seeds"]]) == estimate(aps)


def test_the_papers_value_stands_beside_and_only_beside_ap(lines):
    last = tables.table(lines).iloc[4]
    assert last["paper"] == paper.published(5, "CascadeRCNN-CenterNet w. prob.", "mAP")
    assert tables.table(lines, "AP50")["paper"].isna().all()


def test_a_missing_record_is_a_dash_and_never_the_papers_number(project):
    none = tables.measured(project, "table5", "smoke")
    grid = tables.readable(tables.table(none))
    assert (grid.iloc[:-1] == DASH).all(axis=None)
    assert list(grid.iloc[-1]) == ["42.1", "42.1", DASH, "42.1", "42.9", DASH]
    assert (tables.readable(tables.effects(none)).iloc[:-1] == DASH).all(axis=None)


def test_gains_are_paired_by_seed(lines):
    default = tables.main_variant(lines)
    ap = {row: group["AP"].to_numpy() for row, group in default.groupby("row")}
    gain = ap["CascadeRCNN-CenterNet w. prob."] - ap["CascadeRCNN-CenterNet"]
    less = ap["CascadeRCNN-RPN w. prob."] - ap["CascadeRCNN-RPN (P3-P7)"]
    found = tables.effects(default).set_index("contrast")
    fields = ["mean", "low", "high", "seeds"]
    name = tables.contrast("CascadeRCNN-CenterNet", "product")
    assert tuple(found.loc[name][fields]) == pytest.approx(estimate(gain))
    assert tuple(found.loc[tables.INTERACTION][fields]) == pytest.approx(estimate(gain - less))
    assert list(found["paper"].dropna()) == [0, 0.8, 0.8]
    assert list(found["verdict"] == DASH) == list(found["paper"].isna())


def test_a_seed_with_one_row_of_a_pair_has_no_gain(lines):
    half = tables.main_variant(lines).copy()
    half.loc[(half["fusion"] == "class") & (half["seed"] == 0), "AP"] = np.nan
    assert list(tables.effects(half)["seeds"]) == [2] * 5


def test_rows_of_different_weights_are_never_paired(lines):
    apart = tables.main_variant(lines).copy()
    apart.loc[apart["fusion"] == "class", "weights"] += "x"
    assert not tables.effects(apart)["seeds"].any()


def test_scenes_are_drawn_of_one_line_a_detector_the_product_if_there_is_one(lines):
    chosen = tables.examples(lines)
    assert list(chosen["fusion"]) == ["product", "product"] and chosen["detector"].is_unique
    plain = tables.examples(lines[lines["fusion"] != "product"])
    assert list(plain["fusion"]) == ["class", "class"]


def test_a_record_edited_by_hand_is_missing(tmp_path):
    project = fakes.project(tmp_path)
    run = runs.runs(project, "desk", ["table5"])[0]
    path = records.write(fakes.record(run), project.records("desk"))
    assert tables.measured(project, "table5", "desk")["AP"].notna().sum() == 1
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    assert tables.measured(project, "table5", "desk")["AP"].notna().sum() == 0


def test_committed_records_and_those_of_this_machine_are_apart(project, monkeypatch):
    every = tables.load(project, "desk")
    kept = sorted(every)[:5]
    monkeypatch.setattr(provenance, "git_state", lambda _: {"sha": "a", "dirty": False})
    monkeypatch.setattr(provenance, "committed", lambda paths: [p for p in paths if p.stem in kept])
    assert sorted(tables.load(project, "desk", "committed")) == kept
    assert tables.load(project, "desk", "here").keys() == every.keys() - set(kept)
    assert tables.origins(project, "desk")["records"].sum() == len(every)


def test_without_git_only_the_committed_scale_came_with_the_project(project):
    assert tables.load(project, "desk", "here") == {}
    assert tables.load(project, "smoke", "committed") == {}
    assert tables.origins(project, "smoke").empty


def test_csv_is_rounded_and_has_dashes(lines):
    text = tables.csv(tables.table(lines))
    assert "scores above .05 with double fragments,desk,42.10,–,–,–,0" in text and "\r" not in text
