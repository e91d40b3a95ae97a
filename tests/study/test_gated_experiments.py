"""What the experiments of scale gated ask for."""

from p2s.study.experiments import Row, resolve
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT


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


def leaves(fields, path=()):
    """Every setting of a dump by its path."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, name))
        else:
            yield ".".join((*path, name)), value


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
