"""The benchmark compares like with like: the same network, image and random numbers."""

import copy
import json

import pytest
import torch
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes, Instances

from p2s.bench import desk, inference, nets, precision, step, timing, training, ways
from p2s.bench.evaluation import evaluator_times
from p2s.bench.matching import unmatched
from p2s.bench.training import noise_batch, stock
from p2s.model.second.pooler import FastROIPooler
from p2s.model.zoo import build
from p2s.spec import Spec
from p2s.study import benches, records
from p2s.study.project import Project
from tests.support.commands import p2s

TINY = {
    "num_classes": 12,
    "backbone": {"depth": 18, "width": 16, "norm": "BN", "frozen_stages": 0, "fpn_channels": 16},
    "first_stage": {"layers": 1, "pre_nms": 50, "proposals": 50},
    "second_stage": {"regions": 16, "channels": 16},
    "recipe": {"batch": 2, "short_edge": [64], "long_edge": 64},
    "test": {"proposals": 20, "detections": 5},
}
SIZE = (64, 96)


@pytest.fixture(params=["CenterNet2", "FasterRCNN-RPN"])
def spec(request):
    return Spec.named(request.param).changed(TINY)


@pytest.fixture
def tiny(monkeypatch):
    """Full-size detectors made small, with a trunk that detectron2's configuration knows too."""
    named = Spec.named
    small = {**TINY, "backbone": {**TINY["backbone"], "width": 64, "fpn_channels": 256}}
    monkeypatch.setattr(Spec, "named", lambda name: named(name).changed(small))


def layouts(model):
    """How the kernels larger than 1x1 lie in memory; for 1x1 both layouts are the same."""
    kernels = [p for p in model.parameters() if p.ndim == 4 and p.shape[-1] > 1 and p.shape[1] > 1]
    return {p.is_contiguous(memory_format=torch.channels_last) for p in kernels}


def test_the_stock_way_is_nchw_with_torchvisions_roi_align(spec):
    ours = build(spec)
    theirs = stock(copy.deepcopy(ours))
    assert layouts(ours) == {True} and layouts(theirs) == {False}
    poolers = [model.roi_heads.box_pooler for model in (ours, theirs)]
    assert [type(each) for each in poolers] == [FastROIPooler, ROIPooler]
    assert [len(each.level_poolers) for each in poolers] == [len(poolers[0].scales)] * 2
    assert all(a is not b for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_both_ways_train_to_the_same_losses(spec):
    found = training.training_steps("CenterNet2", spec, steps=2)
    by_way = {row["way"]: row for row in found["rows"]}
    assert by_way["ours"]["loss"] == pytest.approx(by_way["stock"]["loss"], rel=1e-3)
    assert found["loss_difference"] < 1e-3 and len(by_way["ours"]["loss"]) == 3
    assert by_way["stock"]["ratio"] == 1


def test_the_reference_step_is_the_desk_profile_wider_and_in_larger_batches():
    spec = training.reference_step(Project.at(), "CascadeRCNN-CenterNet")
    assert (spec.backbone.width, spec.recipe.batch, spec.second_stage.regions) == (32, 16, 128)


def test_a_noise_batch_is_a_function_of_its_seed_with_boxes_inside(spec):
    first, again, other = (noise_batch(spec, seed) for seed in (1, 1, 2))
    assert len(first) == spec.recipe.batch
    for a, b, c in zip(first, again, other, strict=True):
        assert torch.equal(a["image"], b["image"]) and not torch.equal(a["image"], c["image"])
        boxes = a["instances"].gt_boxes.tensor
        assert (boxes >= 0).all() and (boxes <= 64).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_ways_take_turns_and_the_warm_up_is_not_counted():
    order = []
    ways = {"a": lambda: order.append("a"), "b": lambda: order.append("b") or {"first": 2.0}}
    seconds = timing.turns(ways, rounds=3, warmup=1)
    assert order == list("ab" * 4)
    assert len(seconds["a"]["total"]) == 3 and timing.medians(seconds["b"])["first"] == 2


def test_threads_are_restored_also_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), timing.threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before


def test_the_ceiling_counts_its_own_operations():
    conv, operations = timing.ceiling(torch.float32)
    weight = conv().shape[1] * 256 * 9
    assert operations == 2 * weight * 100 * 136


def instances(boxes, scores, classes):
    found = Instances((100, 100), pred_boxes=Boxes(torch.tensor(boxes).reshape(-1, 4).float()))
    found.scores, found.pred_classes = torch.tensor(scores), torch.tensor(classes)
    return found


def test_detections_are_matched_one_to_one_by_class_box_and_score():
    box = [1.0, 2, 30, 40]
    twice = instances([box, box], [0.9, 0.9], [1, 1])
    moved = instances([box, [1.05, 2, 30, 40]], [0.9, 0.8995], [1, 1])
    once = instances([box], [0.9], [1])
    assert unmatched(twice, moved) == (0, 0)
    assert unmatched(twice, once) == (1, 0)  # at the end of the list: as low as the lowest
    other = instances([box, box], [0.9, 0.5], [2, 1])
    assert unmatched(other, instances([box, box], [0.9, 0.5], [1, 1])) == (2, 2)
    far = instances([[1.2, 2, 30, 40], box], [0.9, 0.5], [1, 1])
    assert unmatched(far, instances([box, box], [0.9, 0.5], [1, 1])) == (2, 2)


def test_every_way_of_a_detector_is_measured_on_the_same_network(tiny):
    every = ways.means("CascadeRCNN-CenterNet", SIZE)
    chosen = [
        name
        for name, way in every.items()
        if way.runtime != "torchvision" and way.means != "compiled"
    ]
    found = inference.inference_times({name: every[name] for name in chosen}, SIZE, rounds=1)
    assert [row["way"] for row in found["rows"]] == chosen
    for row in found["rows"]:
        assert row["valid"], row
        assert row["unmatched_inside"] == 0 or row["precision"] == "int8", row
        assert row["ratio"] == pytest.approx(found["rows"][0]["total"] / row["total"])
    assert len({row["operations"] for row in found["rows"]}) == 1
    staged = [row for row in found["rows"] if "first" in row]
    assert len(staged) == len(chosen) - 2  # onnxruntime runs a whole graph
    parts = [sum(row[part] for part in inference.PHASES[:-1]) for row in staged]
    assert parts == pytest.approx([row["total"] for row in staged], rel=0.05)


def test_a_one_stage_detector_has_no_second_stage(tiny):
    spec = Spec.named("CenterNet*")
    plain = {"plain": ways.Way(lambda: nets.lively(spec), "CenterNet*", spec)}
    [row] = inference.inference_times(plain, SIZE, rounds=1)["rows"]
    assert row["valid"] and row["second"] < 0.1 * row["first"]


def test_classes_and_proposals_are_those_asked_for(tiny):
    asked = ways.with_classes(["CenterNet2"], [5, 365, 1203])
    asked |= ways.with_proposals(["CenterNet2"], [7])
    assert [way.columns["count"] for way in asked.values()] == [5, 365, 1203, 7]
    *specs, proposals = (way.spec for way in asked.values())
    assert [spec.num_classes for spec in specs] == [5, 365, 1203]
    assert [spec.test.detections for spec in specs] == [TINY["test"]["detections"], 300, 300]
    assert proposals.test.proposals == 7
    assert next(iter(ways.detectors())) == "CenterNet2"


def test_the_parts_of_a_full_size_step_are_shares_of_it(tiny, monkeypatch):
    monkeypatch.setattr(step, "CHANGES", {"recipe": {"batch": 1}})
    found = {row["way"]: row for row in step.step_shares(rounds=1)["rows"]}
    assert found["step"]["share"] == 1
    for way in ("assignment and losses", "decoding"):
        assert found[way]["share"] == pytest.approx(found[way]["total"] / found["step"]["total"])


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A project whose scale smoke, which trains in seconds, stands in for desk."""
    monkeypatch.setattr(precision, "MODEL", precision.MODEL | {"scale": "smoke"})
    monkeypatch.setattr(desk, "MODEL", precision.MODEL)
    return Project(Project.at().root, tmp_path)


def test_a_whole_run_is_the_sum_of_its_parts_and_leaves_nothing(trained, tmp_path):
    found = desk.desk_run(trained)
    *parts, whole = [row["total"] for row in found["rows"]]
    assert sum(parts) == pytest.approx(whole) and found["AP"] >= 0
    assert {path.name for path in tmp_path.iterdir()} <= {"fingerprints"}  # no scenes, no weights


def test_every_precision_is_evaluated_on_the_same_weights(trained, monkeypatch):
    asked = []

    def optimize(model, name, calibration):
        asked.append((name, len(calibration)))
        return model

    monkeypatch.setattr(precision, "optimize", optimize)
    monkeypatch.setattr(precision, "onnx", lambda model, size, calibration: model)
    rows = precision.precisions(trained)["rows"]
    assert asked == [(name, precision.CALIBRATION) for name in ("fp32", "bf16", "int8")]
    assert len({row["AP"] for row in rows}) == 1 and len(rows) == 5


def test_both_evaluators_agree():
    found = evaluator_times(images=12)
    assert found["largest_difference"] < 1e-6
    assert {row["way"] for row in found["rows"]} == {"pycocotools", "hotcoco"}


def test_a_measurement_leaves_a_record_that_reads_back_as_a_table(tmp_path):
    project = Project(tmp_path, tmp_path / "cache")
    rows = [{"way": "a", "total": 0.5, "ratio": 1.0}, {"way": "b", "total": 0.25}]
    path = benches.write(project, "infer", {"threads": 1}, {"rows": rows, "ceiling": {"fp32": 1e9}})
    kept = records.read(path, benches.Bench)
    of_each = dict.fromkeys(("detector", "count", "runtime", "means", "precision"))
    assert kept.rows == [of_each | row for row in rows] and kept.facts == {"ceiling": {"fp32": 1e9}}
    text = benches.table(kept)
    assert "500.0" in text and "250.0" in text and "–" in text
    path.write_text(path.read_text().replace("0.25", "0.2"))
    with pytest.raises(ValueError, match="edited by hand"):
        records.read(path, benches.Bench)


@pytest.mark.parametrize(
    "row, said",
    [
        ({"way": "a"}, "rows.0.detector: Field required"),
        ({"way": "a", "runtime": "our"}, "rows.0.runtime"),
        ({"way": "a", "count": "80"}, "rows.0.count"),
    ],
)
def test_a_row_without_its_columns_or_with_unknown_words_is_no_record(tmp_path, row, said):
    columns = {} if len(row) == 1 else dict.fromkeys(benches.Row.__annotations__)
    fields = {"id": "x", "bench": "infer", "settings": {}, "rows": [columns | row]}
    path = tmp_path / "x.json"
    path.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=f"x.json: {said}"):
        records.read(path, benches.Bench)


def test_bench_eval_prints_a_table_and_the_records_path(tmp_path, monkeypatch):
    monkeypatch.setattr(Project, "at", lambda: Project(tmp_path, tmp_path))
    answer = p2s("bench", "eval", "--images", "5")
    assert answer.exit_code == 0 and "hotcoco" in answer.output
    [path] = (tmp_path / "results/bench").glob("eval-*.json")
    assert str(path) in answer.output and json.loads(path.read_text())["bench"] == "eval"
