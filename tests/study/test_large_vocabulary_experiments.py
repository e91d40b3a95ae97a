"""The experiments of large vocabularies: Tables 7, 8 and 9, `federated` and `schedule`."""

import operator

import pytest

from p2s.study import experiments
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT


@pytest.mark.parametrize("scale", ["desk", "paper"])
def test_large_vocabularies_have_the_classes_and_the_order_of_the_paper(scale):
    study = Study.load(Project.at(ROOT), scale)
    lvis, objects365 = (study.runs([f"table{n}"])[0].spec for n in (7, 8))
    assert (lvis.num_classes, objects365.num_classes) == (1203, 365)
    orders = lvis.recipe.order.kind, objects365.recipe.order.kind
    assert orders == ("repeat_factor", "class_aware")


def test_table9_differs_in_the_class_loss_alone():
    rows = {run.row: run.spec for run in Study.load(Project.at(ROOT), "paper").runs(["table9"])}
    for row, spec in rows.items():
        detector, loss = row.split(", ")
        assert loss.lower().startswith(spec.second_stage.cls_loss.kind[:3])
        plain = rows[f"{detector}, Softmax-CE"]
        same = plain.second_stage.model_dump()
        assert spec.changed({"second_stage": same}) == plain


@pytest.mark.parametrize("name", ["table7", "table9", "federated", "schedule"])
def test_lvis_is_tested_with_all_scores_first_then_cut_as_the_authors_do(name):
    variants = experiments.load_experiment(Project.at(ROOT), name).variants
    test = {"nms": 0.5, "detections": 300}
    for variant, threshold in zip(variants[:2], (0.0, 0.02), strict=True):
        assert variant.changes == {"test": {"score_threshold": threshold, **test}}


def test_a_row_of_several_tables_of_lvis_runs_once():
    ids = {
        (run.experiment, run.row): run.evaluation_id
        for run in Study.load(Project.at(ROOT), "desk").asked(["table7", "table9", "federated"])
        if run.seed == 0 and run.variant == "all scores"
    }
    loss = ids["table9", "CenterNet2, FedLoss"]
    assert ids["table7", "CenterNet2 w. FedLoss"] == ids["federated", "FedLoss"] == loss
    assert ids["federated", "all negatives"] == ids["table9", "CenterNet2, Sigmoid-CE"]


@pytest.mark.parametrize("scale", ["smoke", "desk", "paper"])
def test_the_long_schedule_has_four_times_the_iterations_and_nothing_else(scale):
    study = Study.load(Project.at(ROOT), scale)
    key = operator.attrgetter("row", "variant", "seed")
    short = {key(run): run.spec for run in study.asked(["federated"])}
    for run in study.asked(["schedule"]):
        of_short = {"iterations": short[key(run)].recipe.iterations}
        assert run.spec.recipe.iterations == 4 * of_short["iterations"]
        assert run.spec.changed({"recipe": of_short}) == short[key(run)]


def test_objects365_keeps_300_detections():
    every = Study.load(Project.at(ROOT), "desk").runs(["table8"])
    assert {run.spec.test.detections for run in every} == {300}


def test_large_vocabularies_at_desk_start_from_read_glyphs_by_adamw():
    every = Study.load(Project.at(ROOT), "desk").runs(["table7", "table8", "table9", "federated"])
    known = {(run.spec.backbone.weights, run.spec.recipe.optimizer.kind) for run in every}
    assert known == {("glyphs", "adamw")}
