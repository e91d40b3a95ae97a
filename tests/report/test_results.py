"""Results: the frame, and every question to it, by brute force against runs and records."""

import numpy as np
import pandas as pd
import pytest

from p2s.report import results as of_records
from p2s.report.results import COLUMNS, METRICS
from p2s.study import published, records
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT, fakes

STUDY = Study.load(Project.at(ROOT), "desk")  # with its committed records
NAMES = sorted(set(STUDY.experiments) - {"released"})  # which has runs at scale paper alone
FUSIONS = ("released", "class", "product")  # the later, the rather an example


@pytest.fixture(scope="module")
def every():
    """The Results of every experiment by name, at the scale of its committed records."""
    at = {scale: STUDY.at(scale) for scale in of_records.COMMITTED}
    scales = {name: of_records.committed_scale(STUDY, name) for name in NAMES}
    return {name: of_records.results(at[scales[name]], name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_line_is_a_run_and_a_metric_of_its_record(every, name):
    lines = every[name].frame.to_dict("records")
    runs = STUDY.at(every[name].scale).asked([name])
    assert [*every[name].frame.columns] == list(COLUMNS) and len(lines) == len(runs) * len(METRICS)
    fixed = {v.name for v in STUDY.experiments[name].variants if v.fixed}
    for k, line in enumerate(lines):
        run, metric = runs[k // len(METRICS)], METRICS[k % len(METRICS)]
        record = every[name].records.get(run.evaluation_id)
        told = dict(record.metrics) if record else {}
        key = f"{metric}_fixed" if run.variant in fixed and metric in GROUPS else metric
        if key == "proposal_AR" and run.spec.test.proposals <= 256 and key not in told:
            key = "proposal_AR256"
        number = told.get(key)
        assert line["value"] == number or (np.isnan(line["value"]) and number is None)
        assert line["record"] == (record.id if record else None) and line["metric"] == metric
        assert line["training"] == run.training_id and line["first"] == run.spec.first
        names = ("row", "variant", "detector", "scale", "seed")
        assert [line[name] for name in names] == [getattr(run, name) for name in names]
        assert line["weights"] == ((record.weights if record else None) or run.training_id)
        assert line["fusion"] == ("none" if run.spec.second == "none" else run.spec.test.fusion)


GROUPS = ("AP", "APr", "APc", "APf")


@pytest.mark.parametrize("name", NAMES)
def test_the_paper_stands_at_the_rows_and_metrics_that_it_prints(every, name):
    printed = {}
    for row in STUDY.experiments[name].rows:
        for metric, column in row.paper.columns.items() if row.paper else ():
            value = published.published(row.paper.table, row.paper.row, column)
            printed |= {(row.name, metric): value} if value is not None else {}
    shown = every[name].frame.dropna(subset="paper")
    found = dict(zip(zip(shown["row"], shown["metric"], strict=True), shown["paper"], strict=True))
    here = {key: value for key, value in printed.items() if key[0] in every[name].rows}
    assert found == here
    assert not shown[["row", "metric", "variant", "seed"]].duplicated().any()


def test_the_lines_of_a_metric_are_a_run_each_in_their_order(every):
    for found in every.values():
        for metric in ("AP", "APr", "proposal_AR"):
            lines = found.of(metric)
            assert {*lines["metric"]} == {metric}
            keys = [(run.row, run.variant, run.seed) for run in found.runs]
            assert [*lines[["row", "variant", "seed"]].itertuples(index=False, name=None)] == keys


def test_metrics_are_those_with_a_number_in_the_order_of_all(every):
    for found in every.values():
        numbers = {
            metric for metric in METRICS if np.isfinite(found.of(metric)["value"].tolist()).any()
        }
        assert found.metrics == [metric for metric in METRICS if metric in numbers]
        assert ("AP" in found.metrics) == bool(found.records)


def test_the_main_variant_is_the_first_alone(every):
    for name, found in every.items():
        variants = STUDY.experiments[name].variants
        first = variants[0].name if variants else ""
        main = found.main
        assert main.runs == tuple(run for run in found.runs if run.variant == first)
        assert {*main.frame["variant"]} == {first} and main.rows == found.rows
        assert len(main.frame) == len(main.runs) * len(METRICS)
        assert main.main.runs == main.runs and found.main is main
        with_record = [run.evaluation_id for run in main.runs if run.evaluation_id in found.records]
        assert [record.id for record in main.chosen] == with_record
        for variant in variants:
            assert {run.variant for run in found.only(variant.name).runs} <= {variant.name}


def test_a_training_has_the_name_of_its_first_row(every):
    shared = 0
    for found in every.values():
        rows = {}
        for run in reversed(found.runs):
            rows[run.training_id] = run.row
        assert found.names == rows
        shared += len({(run.training_id, run.row) for run in found.runs}) > len(rows)
    assert shared  # some experiments have several rows of a training


def test_contrasts_are_those_whose_rows_are_all_here(every):
    left_out = 0
    for name, found in every.items():
        here = {run.row for run in found.runs}
        wanted = [c for c in STUDY.experiments[name].contrasts if all(r in here for r in c.rows)]
        assert found.contrasts == wanted
    for name in NAMES:
        found = of_records.results(STUDY.at("paper"), name)
        left_out += len(STUDY.experiments[name].contrasts) - len(found.contrasts)
        assert all({*contrast.rows} <= {*found.rows} for contrast in found.contrasts)
    assert left_out


def brute_force_examples(found):
    """Ids of records, one a first stage: a loop over runs for each of the rules."""
    seed = min(run.seed for run in found.runs)
    first = [run for run in found.runs if run.seed == seed]
    chosen = []
    for stage in dict.fromkeys(run.spec.first for run in first):
        best = None
        for place, run in enumerate(first):
            if run.spec.first == stage and (best is None or rank(run) >= rank(first[best])):
                best = place
        record = found.records.get(first[best].evaluation_id)
        if record and record.spec["data"]["kind"] == "glyphs":
            chosen.append((best, record.id))
    return [key for _, key in sorted(chosen)]


def rank(run):
    """How much a run is wanted as an example: the product, then P(C|O), then any other score."""
    plain = run.spec.second == "none" or run.spec.test.fusion == "released"
    return 0 if plain else FUSIONS.index(run.spec.test.fusion)


def test_examples_are_the_first_seeds_last_with_the_product_of_each_first_stage(every):
    counts = set()
    for found in every.values():
        for part in (found, found.main):
            ids = [record.id for record in part.examples]
            assert ids == brute_force_examples(part)
            counts.add(len(ids))
    assert {0, 1, 2} <= counts and every["photographs"].examples == []


def test_rows_that_have_not_started_have_a_mean_below_ten_in_the_first_variant(every):
    late = set()
    for name, found in every.items():
        numbers = {}
        for run, record in found.main.pairs:
            ap = record.metrics["AP"] if record else None
            numbers.setdefault(run.row, []).extend([] if ap is None else [ap])
        known = {row: np.mean(values) for row, values in numbers.items() if values}
        assert found.not_started == {row for row, mean in known.items() if mean < 10}
        late |= {(name, row) for row in found.not_started}
    assert late  # else nothing was tested but means above


def test_records_that_do_not_count_are_missing_numbers(every):
    whole = every["table5"]
    dropped = {run.evaluation_id for run in whole.runs if run.seed == 0}
    some = of_records.results(
        STUDY.at(whole.scale), "table5", keep=lambda record: record not in dropped
    )
    assert some.records.keys() == whole.records.keys() - dropped and some.runs == whole.runs
    gone = whole.frame["seed"] == 0
    assert (
        some.frame.loc[gone, "value"].isna().all() and some.frame.loc[gone, "record"].isna().all()
    )
    pd.testing.assert_frame_equal(some.frame[~gone], whole.frame[~gone])


def test_findings_are_those_of_each_record_and_empty_without(every):
    found = every["calibration"]
    said = list(found.findings("calibration"))
    assert [run for run, _ in said] == list(found.runs)
    for run, finding in said:
        assert finding == found.records[run.evaluation_id].findings["calibration"] != {}
    assert all(finding == {} for _, finding in found.findings("fusion"))
    assert of_records.finding(None, "fusion") == {}


def test_the_committed_scale_is_the_first_that_has_the_experiments_data():
    for name in NAMES:
        having = [scale for scale in of_records.COMMITTED if STUDY.at(scale).asked([name])]
        newest = of_records._has_every_cell(STUDY.at(of_records.NEWEST), name)
        wanted = of_records.NEWEST if newest else (having or of_records.COMMITTED)[0]
        assert of_records.committed_scale(STUDY, name) == wanted


def test_the_newest_scale_takes_over_once_each_cell_has_a_record(tmp_path):
    project = fakes.project(tmp_path)
    study = Study.load(project, of_records.NEWEST)
    first = {(run.row, run.variant): run for run in study.runs(["table5"])}
    assert of_records.committed_scale(study, "table5") == "desk"
    for run in first.values():
        assert of_records.committed_scale(study, "table5") == "desk"
        records.write(fakes.record(run), project.records(of_records.NEWEST))
    assert of_records.committed_scale(study, "table5") == of_records.NEWEST


def test_results_without_a_record_have_a_line_for_every_run(tmp_path):
    none = fakes.results(fakes.project(tmp_path), "table5")
    assert none.records == {} and none.metrics == none.chosen == none.examples == []
    assert len(none.of("AP")) == len(none.runs) and none.of("AP")["value"].isna().all()
    assert none.not_started == set() and none.of("AP")["paper"].notna().any()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("table6", {"CascadeRCNN, 256": "CascadeRCNN, 64 of 256"}),
        ("table4", {"(1) P2-P6, 1000 proposals": "(1) P2-P6, 250 of 1000 proposals"}),
        ("table11", {"256 proposals, all scores": "64 of 256 proposals, all scores"}),
    ],
)
def test_names_tell_the_proposals_that_ran(name, said):
    """A contrast of a row and a line of a variant have its name in them."""
    found = fakes.results(Project.at(ROOT), name)
    [(label, words)] = said.items()
    assert found.ran[label] == found.said(label) == words
    assert found.said(f"{label}: over another") == f"{words}: over another"
    assert found.said(f"desk, {label}") == f"desk, {words}"
    assert found.said(f"{label}0") == f"{label}0"


def test_names_stay_where_all_proposals_run():
    found = fakes.results(Project.at(ROOT), "table6", "paper")
    assert found.ran == {} and found.said("CascadeRCNN, 256") == "CascadeRCNN, 256"
