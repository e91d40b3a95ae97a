import json
import math

import numpy as np
import pytest
import yaml

from p2s.report import results as of_records
from p2s.report.tables import ablation as tables
from p2s.spec import Coco, Glyphs, Spec
from p2s.spec.sanity import refuse_absurd
from p2s.study import experiments
from p2s.study import published as paper
from p2s.study.project import Project
from p2s.study.runs import fingerprints
from p2s.study.study import Study, find
from tests.support import ROOT

SCALE = {"about": "-", "seeds": [0, 1], "minutes_a_training": 1, "proposal_share": 0.3}
SCALE["data_sets"] = {"more": {"data": {"classes": 5}, "recipe": {"rate": 0.125}}}
SCALE["changes"] = {"recipe": {"rate": 0.5, "batch": 2}, "data": {"kind": "glyphs", "classes": 3}}
TABLE = {"name": "t", "title": "-", "question": "-", "claim": "-", "notebook": "t.ipynb"}
ROW = {"name": "a", "detector": "CenterNet2", "changes": {"recipe": {"rate": 0.25}}}


@pytest.fixture
def project(tmp_path):
    """Writes the two files, with replacements, and returns their Project."""

    def make(table=None, scale=None):
        folder = tmp_path / "experiments"
        folder.mkdir(exist_ok=True)
        (folder / "scales.yaml").write_text(yaml.safe_dump({"tiny": SCALE | (scale or {})}))
        (folder / "t.yaml").write_text(yaml.safe_dump(TABLE | {"rows": [ROW]} | (table or {})))
        return Project.at(tmp_path)

    return make


@pytest.mark.parametrize("scale", ["smoke", "desk", "photographs", "highway", "paper"])
def test_every_cell_of_every_experiment_resolves_at_every_scale(scale):
    every = Study.load(Project.at(ROOT), scale).runs()
    others = {
        "paper": {"coco", "lvis_v1", "objects365_v1", "self_training"},
        "photographs": {"coco"},
        "highway": {"coco"},
    }
    assert {each.spec.data.kind for each in every} == others.get(scale, {"glyphs"})
    assert len({each.evaluation_id for each in every}) == len(every)


def test_table5_trains_each_detector_once_a_share_of_fragments():
    project = Project.at(ROOT)
    of_table = Study.load(project, "smoke").asked(["table5"])
    assert len({each.training_id for each in of_table}) == 2 * 3
    table = experiments.load_experiment(project, "table5")
    assert len(of_table) == len(table.rows) * len(table.variants)


@pytest.mark.parametrize("number", [1, 4, 5, 7, 8, 9, 11])
def test_a_table_has_every_published_row_once_and_in_order(number):
    table = experiments.load_experiment(Project.at(ROOT), f"table{number}")
    [published] = [list(each.rows) for each in paper.read_tables() if each.table == number]
    places = [row.paper for row in table.rows if row.paper]
    assert [place.row for place in places if place.table == number] == published


@pytest.mark.parametrize("number", [1, 11])
def test_a_row_is_the_detector_of_its_name(number):
    for row in experiments.load_experiment(Project.at(ROOT), f"table{number}").rows:
        assert row.detector == row.name.removesuffix(" (original)").split(",")[0]
        assert row.paper is None or row.paper.row == row.name


def test_a_number_of_proposals_is_that_of_its_published_row():
    table = experiments.load_experiment(Project.at(ROOT), "table6")
    detectors = {"CascadeRCNN": "CascadeRCNN-RPN (P3-P7)", "CenterNet2": "CenterNet2"}
    found = {tuple(row.name.split(", ")): row for row in table.rows}
    assert set(found) == {
        (name, count) for name in detectors for count in ("1000", "512", "256", "128", "64")
    }
    for (name, count), row in found.items():
        assert row.changes == {"test": {"proposals": int(count)}}
        assert row.detector == detectors[name] and row.paper.row == count
        assert row.paper.columns == {"AP": f"{name} mAP", "proposal_AR": f"{name} AR"}


def test_what_a_contrast_expects_is_what_the_paper_printed():
    study = Study.load(Project.at(ROOT), "smoke")
    for name in study.experiments:
        for line in tables.effects(of_records.results(study, name)).itertuples():
            said = {
                "gain": line.paper > 0,
                "loss": line.paper < 0,
                "none": abs(line.paper) < 0.4,
                "–": True,
            }
            assert np.isnan(line.paper) or said[line.expects], f"{name}: {line.contrast}"


@pytest.mark.parametrize(
    "table, told",
    [
        ({"claims": "x"}, "unknown claims; valid: at, claim, contrasts, data_set, measures"),
        ({"rows": [ROW | {"chnages": {}}]}, r"rows\.0: unknown chnages; valid: at, changes"),
        ({"rows": [ROW | {"name": 5}]}, r"rows\.0\.name: Input should be a valid string"),
        ({"rows": []}, "rows: .* at least 1"),
        ({"rows": [ROW, ROW]}, "named twice: a"),
        (
            {"contrasts": [{"name": "c", "row": "a", "than": "b"}]},
            "unknown row in contrast 'c': 'b'; valid: a",
        ),
        ({"at": {"desk": {}}}, "'desk'; valid: tiny"),
        ({"data_set": "lvsi"}, "'lvsi'; valid: more"),
        ({"name": "u"}, "name: 'u' is not the file's name"),
        ({"rows": [ROW | {"detector": "CenterNet3"}]}, "unknown detector .*valid: .*CenterNet2"),
        ({"rows": [ROW | {"changes": {"tset": {}}}]}, "a : unknown tset; valid: .*test"),
        (
            {"rows": [ROW | {"changes": {"test": {"nsm": 0}}}]},
            "a : test: unknown nsm; valid: .*nms",
        ),
        (
            {"rows": [ROW | {"changes": {"test": {"nms": "x"}}}]},
            "a : test: nms: .x. is not a number",
        ),
    ],
)
def test_a_mistake_names_file_field_and_valid_words(project, table, told):
    with pytest.raises(ValueError, match=f"(?s)t.yaml.*{told}"):
        Study.load(project(table), "tiny").runs()


@pytest.mark.parametrize("change", [{"seeds": ["0"]}, {"seeds": []}, {"proposal_share": 0}])
def test_a_scale_is_as_strict(project, change):
    told = rf"scales\.yaml: line \d+: tiny(\.|: ){next(iter(change))}"
    with pytest.raises(ValueError, match=told):
        Study.load(project(scale=change), "tiny").runs()


def test_unknown_names_list_the_valid_ones(project):
    with pytest.raises(ValueError, match="unknown scale 'x'; valid: tiny"):
        Study.load(project(), "x").runs()
    with pytest.raises(ValueError, match="unknown experiment 'x'; valid: t"):
        Study.load(project(), "tiny").runs(["x"])
    cell = {"experiment": "t", "row": "a", "variant": "", "scale": "tiny", "seed": 0}
    for wrong in ("row", "variant", "experiment"):
        with pytest.raises(ValueError, match=f"unknown {wrong} 'x'; valid: "):
            find(project(), **cell | {wrong: "x"})
    with pytest.raises(FileNotFoundError, match=r"no experiments/scales\.yaml"):
        Project.at("/")


def test_changes_of_the_variant_come_last_and_of_the_scale_first(project):
    variants = [{"name": "v", "changes": {"recipe": {"rate": 0.125}}}, {"name": "w"}]
    with_variant, without = [
        run.spec for run in Study.load(project({"variants": variants}), "tiny").runs()[:2]
    ]
    assert (with_variant.recipe.rate, without.recipe.rate) == (0.125, 0.25)
    assert with_variant.recipe.batch == 2  # the scale's
    assert with_variant.num_classes == 3  # the data's


def test_what_an_experiment_changes_at_one_scale_comes_after_the_scales_own(project):
    here = {"recipe": {"batch": 4, "rate": 0.75}}
    [spec, *_] = [run.spec for run in Study.load(project({"at": {"tiny": here}}), "tiny").runs()]
    assert (spec.recipe.batch, spec.recipe.rate) == (4, 0.25)  # the row's change is the last
    [spec, *_] = [
        run.spec
        for run in Study.load(project({"rows": [ROW | {"at": {"tiny": here}}]}), "tiny").runs()
    ]
    assert (spec.recipe.batch, spec.recipe.rate) == (4, 0.75)
    desk = Study.load(Project.at(ROOT), "desk")
    edges = {
        study.scale: study.runs(["table11"])[0].spec.recipe.short_edge
        for study in (desk, desk.at("paper"))
    }
    assert edges == {"desk": (160,), "paper": (800,)}


def test_a_data_set_comes_after_the_scale_and_before_the_row(project):
    [spec, *_] = [run.spec for run in Study.load(project({"data_set": "more"}), "tiny").runs()]
    assert (spec.num_classes, spec.recipe.batch, spec.recipe.rate) == (5, 2, 0.25)


def test_the_proposal_share_is_of_every_row_alike_rounded_up(project):
    rows = [ROW | {"changes": {"test": {"proposals": 65}}}]
    spec, named = (
        Study.load(project({"rows": rows}), "tiny").runs()[0].spec,
        Spec.named("CenterNet2"),
    )
    assert spec.test.proposals == math.ceil(65 * 0.3) == 20
    assert spec.first_stage.proposals == math.ceil(0.3 * named.first_stage.proposals)
    assert spec.test.pre_nms == 300 and spec.first_stage.pre_nms == 1200


def test_equal_cells_run_once_and_seeds_come_in_turn(project):
    made = project({"rows": [ROW, ROW | {"name": "same"}]})
    study = Study.load(made, "tiny")
    assert [each.seed for each in study.runs()] == [0, 1]
    assert [each.row for each in study.asked()] == ["a", "same"] * 2
    where = {"experiment": "t", "row": "a", "variant": "", "seed": 0}
    assert study.find(**where) == find(made, scale="tiny", **where) == study.runs()[0]


def test_seeds_share_scenes_unless_they_have_their_own(project):
    def drawn(**table):
        found = Study.load(project(table), "tiny").runs()
        return [run.spec.data.seed for run in found], len({run.val_fingerprint for run in found})

    assert drawn() == ([0, 0], 1)
    assert drawn(own_scenes=True) == ([0, 1], 2)


@pytest.mark.parametrize("processes", [1, 2, 4, 8, 16])
def test_the_papers_trainings_are_of_a_batch_that_processes_can_share(processes):
    runs = [run for run in Study.load(Project.at(ROOT), "paper").runs() if not run.weights]
    assert {run.spec.recipe.batch for run in runs} == {16, 128}  # the original CenterNet's
    for run in runs:
        refuse_absurd(run.spec, processes)
        batch, rate = run.spec.recipe.batch, run.spec.recipe.scaled_rate
        assert rate == batch / 16 * run.spec.recipe.rate <= 0.02
        larger = run.spec.changed({"recipe": {"batch": batch * processes}})
        assert larger.recipe.scaled_rate == pytest.approx(processes * rate)
    with pytest.raises(ValueError, match="recipe.batch 16 for 3 processes"):
        refuse_absurd(runs[0].spec, 3)


def test_photographs_have_lines_at_the_scales_of_photographs_alone():
    study = Study.load(Project.at(ROOT), "smoke")
    asked = {scale: study.at(scale).asked(["photographs"]) for scale in study.scales}
    assert not asked["smoke"] and not asked["desk"]
    every = [*asked["paper"], *asked["photographs"]]
    assert {run.spec.data.kind for run in every} == {"coco"}
    assert {(run.measures, run.spec.test.score_threshold) for run in every} == {
        (("calibration",), 0.0)
    }
    places = {
        name: of_records.committed_scale(study, name) for name in ("calibration", "photographs")
    }
    assert places == {"calibration": "desk", "photographs": "photographs"}


def coco_project(project, folder, classes, **data):
    categories = [{"id": k, "name": str(k)} for k in range(classes)]
    for name in ("train", "val"):
        (folder / f"{name}.json").write_text(json.dumps({"categories": categories, "s": name}))
    data |= {"kind": "coco", "train": "train.json", "val": "val.json", "images": "."}
    only_glyphs = {"name": "v", "data": "glyphs", "changes": {"data": {"fragments": 0}}}
    table = {"variants": [{"name": "u"}, only_glyphs]}
    return project(table, {"changes": {"data": data}})


def test_with_a_coco_file_classes_and_identity_come_from_its_content(project, tmp_path):
    few, many = (Study.load(coco_project(project, tmp_path, k), "tiny").runs() for k in (2, 7))
    assert [each.variant for each in few] == ["u", "u"]  # that for glyphs is left out
    assert (few[0].spec.num_classes, many[0].spec.num_classes) == (2, 7)
    assert few[0].training_id != many[0].training_id


def test_runs_on_recorded_files_are_the_same_without_the_files(project, tmp_path):
    there = Study.load(coco_project(project, tmp_path, 80), "tiny").runs()[0]
    recorded = there.train_fingerprint, there.val_fingerprint
    made = coco_project(project, tmp_path, 80, recorded=list(recorded))
    for name in ("train", "val"):
        (tmp_path / f"{name}.json").unlink()
    gone = Study.load(made, "tiny").runs()[0]
    assert (gone.training_id, gone.evaluation_id) == (there.training_id, there.evaluation_id)
    (tmp_path / "val.json").write_text('{"categories": [0]}')  # another set is not the recorded one
    other = Study.load(made, "tiny").runs()[0]
    assert other.train_fingerprint == "missing train.json" and other.spec.num_classes == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"categories": 3}'])
def test_an_annotation_file_without_categories_is_named(project, tmp_path, content):
    made = coco_project(project, tmp_path, 2)
    (tmp_path / "val.json").write_text(content)
    with pytest.raises(ValueError, match=r"val\.json: no JSON object with a list of categories"):
        Study.load(made, "tiny").runs()


def test_a_fingerprint_needs_no_images_and_missing_files_have_one(tmp_path):
    missing = Coco(train="a.json", val="b.json", images="none")
    made = Project(tmp_path, tmp_path / ".p2s")
    assert fingerprints(missing, made) == fingerprints(missing, made)
    assert set(fingerprints(Glyphs(), made)).isdisjoint(fingerprints(Glyphs(seed=1), made))
