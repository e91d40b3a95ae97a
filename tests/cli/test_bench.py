"""`p2s bench` measures, prints and records."""

import json

import torch

from p2s.bench import inference, step, ways
from p2s.bench.timing import CPU
from p2s.model import device
from p2s.report.tables.benches import latest, origin
from p2s.study.project import Project
from tests.support.commands import p2s
from tests.support.pretend_gpu import GPU


def test_bench_eval_prints_a_table_and_the_records_path(tmp_path, monkeypatch):
    monkeypatch.setattr(Project, "at", lambda: Project(tmp_path, tmp_path))
    answer = p2s("bench", "eval", "--images", "5")
    assert answer.exit_code == 0 and "hotcoco" in answer.output
    [path] = (tmp_path / "results/bench").glob("eval-*.json")
    assert str(path) in answer.output and json.loads(path.read_text())["bench"] == "eval"


def test_bench_infer_measures_the_reference_and_the_ways_with_a_word_in_their_name(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(Project, "at", lambda: Project(tmp_path, tmp_path))
    four = dict.fromkeys(["theirs", "a", "b", "bf"])
    monkeypatch.setattr(ways, "means", lambda name, size, device: four)
    monkeypatch.setattr(
        inference,
        "inference_times",
        lambda chosen, *how: {"rows": [{"way": name} for name in chosen], "how": how[:2]},
    )
    asked = ("--way", "b", "--size", "64", "96", "--threads", "1", "--rounds", "3")
    assert p2s("bench", "infer", *asked).exit_code == 0
    [path] = (tmp_path / "results/bench").glob("infer-*.json")
    record = json.loads(path.read_text())
    assert [row["way"] for row in record["rows"]] == ["theirs", "b", "bf"]
    assert record["settings"].items() >= {"detector": "CenterNet2", "size": [64, 96]}.items()
    assert record["facts"] == {"how": [[64, 96], 3]} and record["settings"]["threads"] == 1
    assert "device" not in record["settings"]


def test_a_record_names_the_gpu_and_stands_beside_that_of_the_cpu(tmp_path, monkeypatch):
    project = Project(tmp_path, tmp_path)
    monkeypatch.setattr(Project, "at", lambda: project)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA X")
    asked = []

    def measured(detector, rounds, device):
        asked.append(device)
        return {"rows": [{"way": "step", "total": 0.1, "rate": 20.0, "memory": 1500.0}]}

    monkeypatch.setattr(step, "step_shares", measured)
    for name in ("cuda", "cpu"):
        monkeypatch.setattr(device, "device_of", {"cuda": GPU, "cpu": CPU}.__getitem__)
        answer = p2s("bench", "step", "--device", name, "--threads", "1")
        assert answer.exit_code == 0, answer.output
        assert ("cuda:0, NVIDIA X" in answer.output) == (name == "cuda")
        assert "20.0" in answer.output
    assert asked == [GPU, CPU] and set(latest(project)) == {"step", "step_gpu"}
    assert "cuda:0, NVIDIA X" in origin(latest(project)["step_gpu"])["asked"]


def test_a_device_that_is_not_here_is_told_before_anything_is_measured():
    answer = p2s("bench", "infer", "--device", "cuda:7")
    assert answer.exit_code == 2 and "'cuda:7' is not here; valid: auto, cpu" in answer.output
