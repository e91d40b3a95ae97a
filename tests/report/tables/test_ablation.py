from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from p2s.data.glyphs import longtail, vocabulary
from p2s.report import results as of_records
from p2s.report.intervals import DASH, estimate
from p2s.report.tables import ablation as tables
from p2s.report.tables import origins
from p2s.report.tables import vocabulary as vocabulary_tables
from p2s.report.tables.estimates import csv
from p2s.study import experiments, provenance, published, records
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import fakes


def test_every_row_variant_and_seed_has_a_line(project, results):
    lines = results.of("AP")
    assert len(lines) == len(Study.load(project, "desk").runs(["table5"]))
    missing = lines["variant"] == "scores above .05 with double fragments"
    assert lines["value"].isna().tolist() == lines["record"].isna().tolist() == missing.tolist()


def test_mean_and_interval_of_a_cell_are_those_of_its_records(results):
    first = tables.table(results).iloc[0]
    runs = [run for run in results.runs if (run.row, run.variant) == (first.row, first.variant)]
    of_cell = [results.records[run.evaluation_id] for run in runs]
    assert [record.seed for record in of_cell] == [0, 1, 2]
    aps = [record.metrics["AP"] for record in of_cell]
    assert tuple(first[["mean", "low", "high", "seeds"]]) == estimate(aps)


def test_the_papers_value_stands_beside_and_only_beside_ap(results):
    last = tables.table(results).iloc[4]
    assert last["paper"] == published.published(5, "CascadeRCNN-CenterNet w. prob.", "mAP")
    assert tables.table(results, "AP50")["paper"].isna().all()


def test_a_missing_record_is_a_dash_and_never_the_papers_number(project):
    none = fakes.results(project, "table5", "smoke")
    grid = tables.readable(tables.table(none))
    assert (grid.iloc[:-1] == DASH).all(axis=None)
    assert list(grid.iloc[-1]) == ["42.1", "42.1", DASH, "42.1", "42.9", DASH]
    effects = tables.effects(none)
    shown = tables.readable(effects)
    assert (shown.iloc[:-2] == DASH).all(axis=None)
    claim = shown.loc[tables.CLAIM_LINE].to_dict()
    assert claim["CascadeRCNN-RPN w. prob.: product"] == "no change"
    assert claim["CascadeRCNN-RPN, released score: released"] == DASH


def test_an_experiment_without_a_variant_for_a_scales_data_has_no_line():
    none = fakes.results(Project.at(fakes.ROOT), "posterior", "paper")
    assert not len(none.frame) and {"row", "metric", "value", "paper"} <= set(none.frame.columns)
    assert none.rows == none.metrics == none.chosen == none.examples == []
    assert none.main is none and none.names == {} and not none.not_started


def test_contrasts_are_those_whose_rows_a_scale_has(tmp_path):
    study = Study.load(fakes.project(tmp_path), "desk")
    for name, experiment in study.experiments.items():
        for scale in study.scales:
            here = of_records.results(study.at(scale), name)
            rows = {run.row for run in here.runs}
            held = [each for each in experiment.contrasts if {*each.rows} <= rows]
            assert here.contrasts == held
            named = tables.effects(here)["contrast"].unique()
            assert [*named] == [tables.named(contrast) for contrast in held]
    held = of_records.results(study.at("paper"), "federated").contrasts
    assert {each.row for each in held} == {"FedLoss", "S of 10", "S of 200", "power 0", "power 1"}


def test_a_row_that_has_not_started_has_no_verdict(results):
    late, claims = "CascadeRCNN-RPN (P3-P7)", results.contrasts

    def slow(lines):
        of_late = (lines["row"] == late) & (lines["metric"] == "AP") & lines["value"].notna()
        return lines.assign(value=lines["value"].mask(of_late, 9.9))

    slowed = fakes.with_lines(results, slow)
    assert slowed.not_started == {late} and not results.not_started
    wanted = {tables.named(claim): late in claim.rows and claim.expects for claim in claims}
    for effect in tables.effects(slowed).dropna(subset="mean").itertuples():
        assert (effect.verdict == tables.NOT_STARTED) == bool(wanted[effect.contrast])
    assert {True, False} == {bool(each) for each in wanted.values()}


def test_a_fixed_variant_has_ap_fixed_for_ap(tmp_path):
    project = fakes.project(tmp_path)
    run = next(
        run for run in Study.load(project, "desk").runs(["table7"]) if "fixed" in run.variant
    )
    numbers = {"AP": 1.0, "APr": 2.0, "AP_fixed": 3.0, "APr_fixed": 4.0, "APf_fixed": None}
    record = fakes.record(run).model_copy(update={"metrics": numbers})
    records.write(record, project.records("desk"))
    found = fakes.results(project, "table7").frame.dropna(subset="record")
    assert {*found["variant"]} == {run.variant} and {*found["record"]} == {run.evaluation_id}
    values = found.set_index("metric")["value"]
    assert values.index.is_unique and (values["AP"], values["APr"]) == (3, 4)
    assert values[["APc", "APf"]].isna().all()


def test_deviations_are_those_of_seeds_and_of_the_printed_table(tmp_path):
    project = fakes.project(tmp_path)  # without records

    def two_seeds(lines):
        once = lines[lines["row"] == "CascadeRCNN, EQL"].drop_duplicates("metric")
        values = {"AP": [1.0, 3.0], "APr": [2.0, np.nan]}
        seeds = [
            once.assign(value=[values.get(m, [np.nan] * 2)[k] for m in once["metric"]])
            for k in range(2)
        ]
        return pd.concat(seeds)

    table9 = fakes.with_lines(fakes.results(project, "table9", "smoke"), two_seeds)
    grid = vocabulary_tables.deviations(table9)
    assert list(grid) == [f"AP{x}{end}" for x in ("", "r", "c", "f") for end in ("", ", paper")]
    found = grid.loc["CascadeRCNN, EQL", ["AP", "APr", "AP, paper", "APr, paper"]]
    assert list(found) == ["2.00 ± 1.00 (2)", "2.00 ± – (1)", "25.7 ± 0.01", "15.5 ± 0.25"]
    assert list(grid.loc["CenterNet2, FedLoss per batch"]) == [DASH] * 8


def test_negatives_are_all_of_a_set_that_are_not_annotated():
    study = Study.load(Project.at(fakes.ROOT), "desk")
    grid = vocabulary_tables.negatives(of_records.results(study, "federated"), study)
    drawn = [f"negative, {name}" for name in vocabulary.GROUPS.values()]
    assert list(grid.columns) == [*drawn, "images", "images, paper"]
    assert "annotated classes" not in grid.index and grid.loc["full truth", "images, paper"] == DASH
    count = grid.iloc[:, :4].map(lambda text: int(text.replace(",", "")))
    [data] = {run.spec.data for run in study.asked(["federated"]) if run.row == "FedLoss"}
    told = [len({*labels}) for labels in vocabulary.annotated(data) if labels]
    sizes = [len(longtail.groups(1203)[name]) for name in vocabulary.GROUPS]
    for row, size in {"S of 10": 10, "FedLoss": 50, "S of 200": 200, "all negatives": 1203}.items():
        left = np.mean([max(size - each, 0) for each in told])  # of S, once the annotated are in
        assert count.loc[row].iloc[:3] @ sizes == pytest.approx(7200 * left, abs=0.5 * sum(sizes))
    even, steep = count.loc["power 0"].iloc[:3], count.loc["power 1"].iloc[:3]
    assert even.max() < 1.02 * even.min() and steep.is_monotonic_decreasing


def test_gains_are_paired_by_seed(results):
    default = results.main
    ap = {row: group["value"].to_numpy() for row, group in default.of("AP").groupby("row")}
    gain = ap["CascadeRCNN-CenterNet w. prob."] - ap["CascadeRCNN-CenterNet"]
    less = ap["CascadeRCNN-RPN w. prob."] - ap["CascadeRCNN-RPN (P3-P7)"]
    effects = tables.effects(default)
    found = effects.set_index("contrast")
    fields = ["mean", "low", "high", "seeds"]
    product = "CascadeRCNN-CenterNet w. prob.: product"
    assert tuple(found.loc[product][fields]) == pytest.approx(estimate(gain))
    more = found.loc["CascadeRCNN-CenterNet w. prob.: over RPN's gain"]
    assert tuple(more[fields]) == pytest.approx(estimate(gain - less))
    assert list(found["paper"].dropna()) == [0, 0.8, 0.8]
    assert list(found["verdict"] == DASH) == list(found["paper"].isna())
    told = tables.words(effects)
    assert len(told) == 3 and told[1].startswith(f"{product}: published +0.8 (a gain), here +")
    told = tables.words(effects.assign(paper=np.nan))  # a claim without a number
    assert told[1].startswith(f"{product}: claimed a gain, here +")


def test_a_seed_with_one_row_of_a_pair_has_no_gain(results):
    def halved(lines):
        lines.loc[(lines["fusion"] == "class") & (lines["seed"] == 0), "value"] = np.nan
        return lines

    half = fakes.with_lines(results.main, halved)
    assert list(tables.effects(half)["seeds"]) == [2] * 5


def test_rows_of_one_training_are_paired_on_equal_weights_only(results):
    def other_weights(lines):
        lines.loc[lines["fusion"] == "class", "weights"] += "x"
        return lines

    apart = fakes.with_lines(results.main, other_weights)
    assert not tables.effects(apart)["seeds"].any()
    trained_apart = fakes.with_lines(
        apart, lambda lines: lines.assign(training=lines["training"] + lines["fusion"])
    )
    assert (tables.effects(trained_apart)["seeds"] == 3).all()


def test_recall_is_compared_with_the_papers_recall(results):
    recalled = experiments.Contrast(
        name="recall",
        row="CascadeRCNN-CenterNet",
        than="CascadeRCNN-RPN (P3-P7)",
        metric="proposal_AR",
    )

    def spread(lines):
        recall = lines["metric"] == "proposal_AR"
        lines.loc[recall, "value"] = lines.loc[recall, "seed"]
        lines.loc[recall, "paper"] = 62.4
        lines.loc[recall & (lines["row"] == recalled.row), ["value", "paper"]] += [2, 8.4]
        return lines

    found = tables.effects(fakes.with_lines(results.main, spread), [recalled])
    [effect] = found.itertuples()
    assert (effect.paper, effect.mean, effect.low, effect.high, effect.seeds) == (8.4, 2, 2, 2, 3)


def test_recall_at_up_to_256_proposals_is_that_of_all(results):
    known = results.frame.dropna(subset="record").set_index("record")
    recall, at_256 = (
        known.loc[known["metric"] == name, "value"] for name in ("proposal_AR", "proposal_AR256")
    )
    assert len(recall) and recall.notna().all() and recall.equals(at_256)


def test_scenes_are_drawn_of_one_line_a_first_stage_the_product_if_there_is_one(results):
    chosen = [record.spec for record in results.examples]
    assert [spec["test"]["fusion"] for spec in chosen] == ["product", "product"]
    assert len({spec["first"] for spec in chosen}) == 2
    without = tuple(run for run in results.runs if run.spec.test.fusion != "product")
    plain = replace(results, runs=without).examples
    assert [record.spec["test"]["fusion"] for record in plain] == ["class", "class"]


def test_a_record_edited_by_hand_is_missing(tmp_path):
    project = fakes.project(tmp_path)
    run = Study.load(project, "desk").runs(["table5"])[0]
    path = records.write(fakes.record(run), project.records("desk"))
    assert fakes.results(project, "table5").of("AP")["value"].notna().sum() == 1
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    assert fakes.results(project, "table5").of("AP")["value"].notna().sum() == 0


def test_committed_records_and_those_of_this_machine_are_apart(project, monkeypatch):
    study = Study.load(project, "desk")
    kept = sorted(study.records)[:5]
    monkeypatch.setattr(provenance, "git_state", lambda _: {"sha": "a", "dirty": False})
    monkeypatch.setattr(provenance, "committed", lambda paths: [p for p in paths if p.stem in kept])
    committed = origins.came_with(study)
    assert sorted(committed) == kept
    here = of_records.results(study, "table9", keep=lambda record: record not in committed)
    asked = {run.evaluation_id for run in study.asked(["table9"])}
    assert here.records.keys() == asked & study.records.keys() - set(kept)
    counts = origins.origins(study).groupby("origin")["records"].sum()
    assert counts.to_dict() == {"committed": 5, "here": len(study.records) - 5}


def test_without_git_only_the_committed_scale_came_with_the_project(project, tmp_path):
    desk = Study.load(project, "desk")
    assert origins.came_with(desk) == desk.records.keys() != set()
    assert origins.origins(desk.at("smoke")).empty
    smoke = Study.load(fakes.project(tmp_path), "smoke")
    records.write(fakes.record(smoke.runs(["table5"])[0]), smoke.project.records("smoke"))
    assert origins.came_with(smoke) == set() and len(smoke.records) == 1
    assert origins.origins(smoke)["origin"].tolist() == ["here"]


def test_csv_is_rounded_and_has_dashes(results):
    text = csv(tables.table(results))
    assert "scores above .05 with double fragments,desk,42.10,–,–,–,0" in text and "\r" not in text
