"""`p2s bench` measures, prints and records."""

import json

from p2s.study.project import Project
from tests.support.commands import p2s


def test_bench_eval_prints_a_table_and_the_records_path(tmp_path, monkeypatch):
    monkeypatch.setattr(Project, "at", lambda: Project(tmp_path, tmp_path))
    answer = p2s("bench", "eval", "--images", "5")
    assert answer.exit_code == 0 and "hotcoco" in answer.output
    [path] = (tmp_path / "results/bench").glob("eval-*.json")
    assert str(path) in answer.output and json.loads(path.read_text())["bench"] == "eval"
