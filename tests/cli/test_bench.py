"""`p2s bench` measures, prints and records."""

import json

from p2s.bench import inference, ways
from p2s.study.project import Project
from tests.support.commands import p2s


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
    monkeypatch.setattr(ways, "means", lambda name, size: dict.fromkeys(["theirs", "a", "b", "bf"]))
    monkeypatch.setattr(
        inference,
        "inference_times",
        lambda chosen, *how: {"rows": [{"way": name} for name in chosen], "how": how},
    )
    asked = ("--way", "b", "--size", "64", "96", "--threads", "1", "--rounds", "3")
    assert p2s("bench", "infer", *asked).exit_code == 0
    [path] = (tmp_path / "results/bench").glob("infer-*.json")
    record = json.loads(path.read_text())
    assert [row["way"] for row in record["rows"]] == ["theirs", "b", "bf"]
    assert record["settings"].items() >= {"detector": "CenterNet2", "size": [64, 96]}.items()
    assert record["facts"] == {"how": [[64, 96], 3]} and record["settings"]["threads"] == 1
