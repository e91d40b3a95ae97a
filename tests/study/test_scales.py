"""What the experiments of scales gated and highway ask for, and what is missing for photographs."""

import importlib.util
import re
import sys

import pytest

from p2s.spec import merge
from p2s.spec.changes import leaves
from p2s.spec.released import LITE0
from p2s.study import status
from p2s.study.experiments import Row, resolve
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT
from tests.support.commands import p2s

PICTURES = 1704  # to train on, see tests/data/test_catalogue.py


def test_a_variant_may_stretch_the_schedule_of_a_training():
    study = Study.load(Project.at(ROOT), "gated")
    recipes = {
        variant.name: study.find("gate", "CenterNet*", variant.name, 0).spec.recipe
        for variant in study.experiments["gate"].variants
    }
    whole = recipes["as trained"]
    for name, length in {
        "twice as long": 2,
        "half as long": 0.5,
        "a quarter as long": 0.25,
    }.items():
        assert recipes[name].iterations == round(whole.iterations * length)
        assert recipes[name].warmup == round(whole.warmup * length)
        assert recipes[name].rate == whole.rate


def test_one_stage_detectors_train_longer_by_the_scales_factor():
    study = Study.load(Project.at(ROOT), "gated")
    factor = study.scales["gated"].one_stage_length
    recipes = {run.row: run.spec.recipe for run in study.asked(["gate"])[:7]}
    two_stage = recipes.pop("FasterRCNN-RPN")
    for row, recipe in recipes.items():
        length = 1 if "RCNN" in row else factor
        assert recipe.iterations == round(two_stage.iterations * length), row
        assert recipe.warmup == round(two_stage.warmup * length), row
    assert factor > 1


def test_a_scale_changes_one_first_stage_wherever_it_stands_and_a_row_changes_it_back():
    study = Study.load(Project.at(ROOT), "gated")
    names = ["gate", "table1", "table4", "calibration"]
    norms = {
        run.row: run.spec.first_stage.design.norm
        for run in study.asked(names)
        if run.spec.first == "retinanet"
    }
    assert len(norms) > 4 and set(norms.values()) == {"GN"}
    bare = Row(name="bare", detector="RetinaNet", changes={"first_stage": {"norm": None}})
    spec = resolve(bare, None, study.scales["gated"], ROOT)
    assert spec.first_stage.design.norm is None


def test_seeds_of_the_gated_scale_have_scenes_of_their_own_that_the_gate_shares_with_nobody():
    study = Study.load(Project.at(ROOT), "gated")
    seeds = {
        name: {run.seed: run.spec.data.seed for run in study.asked([name])}
        for name in ("gate", "search", "factors", "product", "table5")
    }
    assert all(len(set(of.values())) == len(of) for of in seeds.values())
    assert [len(of) for of in seeds.values()] == [3, 1, 3, 3, 3]
    gate = set(seeds.pop("gate").values())
    assert all(gate.isdisjoint(of.values()) for of in seeds.values())


def test_each_step_of_the_factors_changes_one_thing():
    study = Study.load(Project.at(ROOT), "gated")
    specs = [run.spec for run in study.asked(["factors"])[:14]]
    wanted = ["levels", "test.proposals", "second_stage.iou", "test.nms", "first", "test.fusion"]
    for road in (specs[:7], specs[7:]):
        dumps = [dict(leaves(spec.model_dump())) for spec in road]
        for step, above, below in zip(wanted, dumps, dumps[1:], strict=False):
            changed = {name for name in above if above[name] != below[name]}
            assert step in changed and (len(changed) == 1 or step == "first"), (step, changed)


def test_an_experiment_may_ask_for_the_first_seeds_alone():
    study = Study.load(Project.at(ROOT), "gated")
    assert {run.seed for run in study.asked(["search"])} == {0}
    assert {run.seed for run in study.asked(["search", "gate"])} == {0, 1, 2}


@pytest.fixture(scope="module")
def highway():
    return Study.load(Project.at(ROOT), "highway")


@pytest.fixture
def without(highway, monkeypatch, tmp_path):
    """The same where neither data nor weights nor timm are."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "path", [])
    for name in ("experiments", "notebooks"):
        (tmp_path / name).symlink_to(ROOT / name)
    return Study.load(Project(tmp_path, tmp_path / ".p2s"), "highway")


def test_all_see_the_same_pictures_as_often_from_the_same_trunk(highway):
    runs = highway.asked(["highway"])
    assert len({run.training_id for run in runs}) == 7 * 3
    backbones = {run.spec.backbone.model_copy(update={"weights": None}) for run in runs}
    assert {each.trunk.kind for each in backbones} == {"lite0"} and len(backbones) == 1
    assert {run.spec.backbone.weights for run in runs} == {"lite0"}
    assert {run.spec.backbone.pixels for run in runs} == {LITE0["pixels"]}
    recipes = {(r.iterations, r.batch, r.rate, r.long_edge) for r in (r.spec.recipe for r in runs)}
    [(iterations, batch, _, edge)] = recipes
    assert (iterations * batch / PICTURES, edge) == (12, 256)


def test_scores_are_compared_within_one_training(highway):
    runs = {(run.row, run.seed): run for run in highway.asked(["highway"])}
    for contrast in highway.experiments["highway"].contrasts:
        ours, theirs = (runs[row, 0] for row in (contrast.row, contrast.than))
        alike = contrast.name in ("product", "released")
        assert (ours.training_id == theirs.training_id) == alike, contrast
        if alike:
            fusions = ours.spec.test.fusion, theirs.spec.test.fusion
            assert fusions == (contrast.name, "class"), contrast


def test_what_is_asked_whether_it_has_learnt_is_what_the_tables_show(highway):
    shown = {run.training_id for run in highway.asked(["highway"])}
    by_length = {}
    for run in highway.asked(["learnt"]):
        by_length.setdefault(run.variant, []).append(run)
    first, twice = by_length.values()
    assert {run.training_id for run in first} < shown
    assert shown.isdisjoint(run.training_id for run in twice)
    for one, other in zip(first, twice, strict=True):
        lengths = {name: 2 * getattr(one.spec.recipe, name) for name in ("iterations", "warmup")}
        assert other.spec.recipe == one.spec.recipe.model_copy(update=lengths)


def test_they_run_on_glyphs_at_smoke_and_nowhere_else(highway):
    kinds = {
        scale: {run.spec.data.kind for run in highway.at(scale).asked(["highway", "learnt"])}
        for scale in highway.scales
    }
    assert kinds.pop("smoke") == {"glyphs"} and kinds.pop("highway") == {"coco"}
    assert not any(kinds.values())


def test_the_identity_is_that_of_the_published_weights_wherever_they_are(highway, without):
    ids = [{run.training_id for run in each.asked(["highway"])} for each in (highway, without)]
    assert ids[0] == ids[1]


def test_what_is_missing_is_told_with_the_command_that_brings_it(without):
    runs = without.asked(["highway"])
    timm, weights, data = status.needs(runs, without.project)
    folder = without.project.root / "datasets"
    assert timm == "timm is missing: pip install timm"
    assert re.fullmatch(
        rf"{folder}/lite0/\S+\.pth is not there yet: `p2s fetch lite0`, .*", weights
    )
    files = f"{folder}/highway/train.json, {folder}/highway/val.json"
    assert data == f"{files}: not found; scale highway needs it: `p2s fetch highway`"
    with pytest.raises(FileNotFoundError, match="p2s fetch lite0.*p2s fetch highway"):
        status.run(without, executor=None, only=["highway"])


def test_a_dry_run_builds_them():
    pytest.importorskip("timm")
    done = p2s("study", "run", "--dry-run", "--scale", "highway", "--only", "learnt")
    assert done.exit_code == 0, done.output
    assert "12 trainings a seed can be built" in done.output


def test_weights_of_that_word_are_of_that_trunk(highway):
    spec = highway.asked(["learnt"])[0].spec
    changes = merge(LITE0, {"trunk": "resnet"})
    with pytest.raises(ValueError, match="backbone.weights lite0 with trunk resnet; valid: trunk"):
        spec.changed({"backbone": changes})
