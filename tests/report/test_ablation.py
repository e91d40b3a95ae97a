import numpy as np
import pytest

from p2s.data.glyphs import longtail, vocabulary
from p2s.report.intervals import DASH, estimate
from p2s.report.tables import ablation as tables
from p2s.report.tables import vocabulary as vocabulary_tables
from p2s.study import experiments, provenance, published, records, runs
from p2s.study.project import Project
from tests.support import fakes


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
    assert last["paper"] == published.published(5, "CascadeRCNN-CenterNet w. prob.", "mAP")
    assert tables.table(lines, "AP50")["paper"].isna().all()


def test_a_missing_record_is_a_dash_and_never_the_papers_number(project):
    none = tables.measured(project, "table5", "smoke")
    grid = tables.readable(tables.table(none))
    assert (grid.iloc[:-1] == DASH).all(axis=None)
    assert list(grid.iloc[-1]) == ["42.1", "42.1", DASH, "42.1", "42.9", DASH]
    effects = tables.effects(contrasts(project), none)
    assert (tables.readable(effects).iloc[:-1] == DASH).all(axis=None)


def contrasts(project):
    return experiments.load_experiment(project, "table5").contrasts


def test_an_experiment_without_a_variant_for_a_scales_data_has_no_line():
    none = tables.measured(Project.at(fakes.ROOT), "posterior", "paper")
    assert not len(none) and {"row", "AP", "paper_AP", "record"} <= set(none.columns)


def test_contrasts_are_those_whose_rows_a_scale_has(tmp_path):
    project = fakes.project(tmp_path)
    for name in experiments.experiment_names(project):
        asked = experiments.load_experiment(project, name).contrasts
        for scale in experiments.load_scales(project):
            lines = tables.measured(project, name, scale)
            found = tables.effects(asked, lines)
            held = [tables.contrast(one) for one in asked if {*one.rows} <= {*lines["row"]}]
            assert [*found["contrast"].unique()] == held
    published = tables.measured(project, "federated", "paper")
    held = tables.held(experiments.load_experiment(project, "federated").contrasts, published)
    assert {one.row for one in held} == {"FedLoss", "S of 10", "S of 200", "power 0", "power 1"}


def test_a_row_that_has_not_started_has_no_verdict(project, lines):
    late, claims = "CascadeRCNN-RPN (P3-P7)", contrasts(project)
    slow = lines["AP"].mask((lines["row"] == late) & lines["AP"].notna(), 9.9)
    found = tables.effects(claims, lines.assign(AP=slow)).dropna(subset="mean")
    wanted = {tables.contrast(one): late in one.rows and one.expects for one in claims}
    for one in found.itertuples():
        assert (one.verdict == tables.NOT_STARTED) == bool(wanted[one.contrast])
    assert {True, False} == {bool(each) for each in wanted.values()}


def test_a_fixed_variant_has_ap_fixed_for_ap(tmp_path):
    project = fakes.project(tmp_path)
    run = next(run for run in runs.runs(project, "desk", ["table7"]) if "fixed" in run.variant)
    numbers = {"AP": 1.0, "APr": 2.0, "AP_fixed": 3.0, "APr_fixed": 4.0, "APf_fixed": None}
    record = fakes.record(run).model_copy(update={"metrics": numbers})
    records.write(record, project.records("desk"))
    [line] = tables.measured(project, "table7", "desk").dropna(subset="AP").to_dict("records")
    assert (line["variant"], line["AP"], line["APr"]) == (run.variant, 3, 4)
    assert np.isnan([line["APc"], line["APf"]]).all()


def test_a_metric_becomes_a_variant(lines):
    main = tables.main_variant(lines)
    turned = vocabulary_tables.by_metric(main, ["APl", "APr"])
    assert list(turned["variant"].unique()) == ["APl", "APr"] and len(turned) == 2 * len(main)
    large, rare = (turned[turned["variant"] == name] for name in ("APl", "APr"))
    assert list(large["AP"]) == list(main["APl"]) and rare["AP"].isna().all()
    assert turned["paper_AP"].isna().all()


def test_deviations_are_those_of_seeds_and_of_the_printed_table(tmp_path):
    project = fakes.project(tmp_path)  # without records
    table9 = experiments.load_experiment(project, "table9")
    lines = tables.measured(project, "table9", "smoke")
    some = lines[lines["row"] == "CascadeRCNN, EQL"].iloc[[0] * 2]
    grid = vocabulary_tables.deviations(table9, some.assign(AP=[1.0, 3.0], APr=[2.0, None]))
    assert list(grid) == [f"AP{x}{end}" for x in ("", "r", "c", "f") for end in ("", ", paper")]
    found = grid.loc["CascadeRCNN, EQL", ["AP", "APr", "AP, paper", "APr, paper"]]
    assert list(found) == ["2.00 ± 1.00 (2)", "2.00 ± – (1)", "25.7 ± 0.01", "15.5 ± 0.25"]
    assert list(grid.loc["CenterNet2, FedLoss per batch"]) == [DASH] * 8


def test_negatives_are_all_of_a_set_that_are_not_annotated():
    project = Project.at(fakes.ROOT)
    grid = vocabulary_tables.negatives(project, "federated", "desk")
    drawn = [f"negative, {name}" for name in vocabulary.GROUPS.values()]
    assert list(grid.columns) == [*drawn, "images", "images, paper"]
    assert "annotated classes" not in grid.index and grid.loc["full truth", "images, paper"] == DASH
    count = grid.iloc[:, :4].map(lambda text: int(text.replace(",", "")))
    [data] = {
        run.spec.data for run in runs.asked(project, "desk", ["federated"]) if run.row == "FedLoss"
    }
    told = [len({*labels}) for labels in vocabulary.annotated(data) if labels]
    sizes = [len(longtail.groups(1203)[name]) for name in vocabulary.GROUPS]
    for row, size in {"S of 10": 10, "FedLoss": 50, "S of 200": 200, "all negatives": 1203}.items():
        left = np.mean([max(size - each, 0) for each in told])  # of S, once the annotated are in
        assert count.loc[row].iloc[:3] @ sizes == pytest.approx(7200 * left, abs=0.5 * sum(sizes))
    even, steep = count.loc["power 0"].iloc[:3], count.loc["power 1"].iloc[:3]
    assert even.max() < 1.02 * even.min() and steep.is_monotonic_decreasing


def test_gains_are_paired_by_seed(project, lines):
    default = tables.main_variant(lines)
    ap = {row: group["AP"].to_numpy() for row, group in default.groupby("row")}
    gain = ap["CascadeRCNN-CenterNet w. prob."] - ap["CascadeRCNN-CenterNet"]
    less = ap["CascadeRCNN-RPN w. prob."] - ap["CascadeRCNN-RPN (P3-P7)"]
    effects = tables.effects(contrasts(project), default)
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


def test_a_seed_with_one_row_of_a_pair_has_no_gain(project, lines):
    half = tables.main_variant(lines).copy()
    half.loc[(half["fusion"] == "class") & (half["seed"] == 0), "AP"] = np.nan
    assert list(tables.effects(contrasts(project), half)["seeds"]) == [2] * 5


def test_rows_of_one_training_are_paired_on_equal_weights_only(project, lines):
    apart = tables.main_variant(lines).copy()
    apart.loc[apart["fusion"] == "class", "weights"] += "x"
    assert not tables.effects(contrasts(project), apart)["seeds"].any()
    apart["training"] += apart["fusion"]
    assert (tables.effects(contrasts(project), apart)["seeds"] == 3).all()


def test_recall_is_compared_with_the_papers_recall(project, lines):
    one = experiments.Contrast(
        name="recall",
        row="CascadeRCNN-CenterNet",
        than="CascadeRCNN-RPN (P3-P7)",
        metric="proposal_AR",
    )
    spread = tables.main_variant(lines).assign(proposal_AR=lines["seed"], paper_proposal_AR=62.4)
    spread.loc[spread["row"] == one.row, ["proposal_AR", "paper_proposal_AR"]] += [2, 8.4]
    [effect] = tables.effects([one], spread).itertuples()
    assert (effect.paper, effect.mean, effect.low, effect.high, effect.seeds) == (8.4, 2, 2, 2, 3)


def test_recall_at_up_to_256_proposals_is_that_of_all(lines):
    known = lines.dropna(subset="AP")
    assert (known["proposal_AR"] == known["proposal_AR256"]).all()


def test_scenes_are_drawn_of_one_line_a_first_stage_the_product_if_there_is_one(lines):
    chosen = tables.examples(lines)
    assert list(chosen["fusion"]) == ["product", "product"] and chosen["first"].is_unique
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
