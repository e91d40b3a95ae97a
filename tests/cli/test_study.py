"""The study's commands: what they ask for, what they print, how they exit."""

import json
import os
import re
import subprocess
import sys
import webbrowser

import pytest
import torch

from p2s.bench.pace import pace
from p2s.cli.telling import STUDY
from p2s.report import printing, site
from p2s.report.publishing import folder
from p2s.study import status
from p2s.study.project import Place, Project
from tests.support import ROOT
from tests.support.commands import p2s, without


@pytest.fixture
def asked(monkeypatch):
    """What the study was asked for, instead of a study; the value of "failed" is its outcome."""
    calls = {"failed": 0}

    def note(name):
        def noted(study, *rest, **options):
            assert study.project == Project.at() and "table5" in study.experiments
            calls[name] = (study.scale, *options.items())
            return calls["failed"]

        return noted

    for name in ("plan", "run", "status"):
        monkeypatch.setattr(status, name, note(name))
    monkeypatch.setattr(site, "render", lambda project: project.root / "results/index.html")
    return calls


def test_a_plan_runs_nothing(asked):
    done = p2s("study", "run", "--plan", "--scale", "desk", "--only", "table5", "--jobs", 2)
    assert done.exit_code == 0
    told = ("only", ("table5",)), ("jobs", 2), ("measure", None)
    assert asked == {"failed": 0, "plan": ("desk", *told)}


def test_a_measured_plan_has_the_pace_of_the_executors_place(asked):
    assert p2s("study", "run", "--plan", "--measure", "--processes", 2).exit_code == 0
    measure = dict(asked["plan"][1:])["measure"]
    assert (measure.func, measure.args) == (pace, (Place("cpu", processes=2),))


def test_processes_that_cannot_share_a_batch_are_refused_before_any_run():
    done = p2s("study", "run", "--scale", "paper", "--only", "table5", "--processes", 3)
    assert done.exit_code == 2
    assert ": recipe.batch 16 for 3 processes: each has an equal part; valid: " in done.stderr


def test_more_processes_than_gpus_are_refused_before_any_run(asked, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    done = p2s("study", "run", "--device", "cuda", "--processes", 2)
    assert done.exit_code == 2 and "run" not in asked
    assert "processes 2 on device cuda: each has a GPU of its own, and 1 are here" in done.stderr


def test_a_plan_for_a_cluster_needs_none_and_has_its_number_of_jobs(asked):
    assert p2s("study", "run", "--plan", "--executor", "slurm").exit_code == 0
    assert asked["plan"] == ("smoke", ("only", ()), ("jobs", 100), ("measure", None))


def test_a_dry_run_builds_every_training_of_the_papers_scale_and_names_missing_files():
    done = p2s("study", "run", "--dry-run", "--scale", "paper", "--only", "table11")
    assert done.exit_code == 0, done.output
    rows = [line for line in done.output.splitlines() if line.startswith("table11 | ")]
    assert [row.split(" | ")[1].split(" (")[0] for row in rows] == [
        "FasterRCNN-CenterNet",
        "GA RPN",
        "Cascade RPN",
    ]
    assert done.output.count("short_edge 800, long_edge 1333, flip") == 3
    assert "iterations 90000, drops 0.6667/0.8889, rate 0.02, batch 16" in done.output
    assert done.output.count("rate for a batch of 16: 0.02") == 3
    assert done.output.count("    test, table11 | ") == 8  # CenterNet's own are its equal ones
    assert "test, table11 | GA RPN | as published: fusion class, pre_nms 1000" in done.output
    told = r"instances_train2017.json, \S+: not found; .*: `p2s fetch coco-annotations`$"
    assert re.search(told, done.output, re.MULTILINE)


@pytest.mark.parametrize("failed, code", [(0, 0), (2, 1)])
def test_a_study_with_a_failed_run_exits_with_1(asked, failed, code):
    asked["failed"] = failed
    assert p2s("study", "run").exit_code == code
    assert asked["run"] == ("smoke", ("only", ()), ("processes", 1))


def test_status_and_report_are_those_of_this_project(asked):
    assert p2s("study", "status", "--only", "table5").exit_code == 0
    assert asked["status"] == ("smoke", ("only", ("table5",)), ("jobs", 1))
    assert p2s("study", "report").output == f"{Project.at().root / 'results/index.html'}\n"


def test_a_report_is_shown_in_a_browser_and_printed_if_asked(asked, monkeypatch):
    index, opened = Project.at().root / "results/index.html", []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(printing, "require_chromium", lambda: None)
    monkeypatch.setattr(printing, "pdf", lambda path: path.with_name("report.pdf"))
    told = p2s("study", "report", "--open", "--pdf").output.splitlines()
    assert told == [f"{index}", f"{index.with_name('report.pdf')}", "no browser here shows it"]
    assert opened == [index.as_uri()]


def test_a_report_is_published_after_it_is_rendered_if_asked(asked, monkeypatch):
    monkeypatch.setattr(folder, "publish", lambda project: project.root / "docs/report/index.html")
    rendered, published = p2s("study", "report", "--publish").output.splitlines()
    assert rendered.endswith("results/index.html")
    assert published == f"{Project.at().root / 'docs/report/index.html'}"


def test_a_pdf_without_chromium_is_refused_before_any_page(asked, monkeypatch):
    monkeypatch.setattr(printing, "chromium", list)
    monkeypatch.setattr(site, "render", lambda project: pytest.fail("rendered"))
    done = p2s("study", "report", "--pdf")
    assert done.exit_code == 2 and "a PDF needs Chromium (valid: one of chrom" in done.stderr


@pytest.mark.parametrize("changed, code", [([], 0), (["tables/table5.csv"], 1)])
def test_drift_names_what_no_longer_follows_from_the_records(monkeypatch, changed, code):
    monkeypatch.setattr(site, "drift", lambda project: changed)
    done = p2s("study", "drift")
    assert done.exit_code == code and all(name in done.output for name in changed)


def test_a_plan_of_what_has_not_changed_imports_nothing_that_is_slow(tmp_path):
    code = (
        "import json, sys; from p2s.cli.main import main\n"
        "try: main()\nfinally: print(json.dumps(sorted(sys.modules)))"
    )
    words = ("study", "run", "--plan", "--scale", "gated", "--only", "table5")
    environment = {**os.environ, "P2S_CACHE": str(tmp_path)}
    loaded = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        *told, modules = done.stdout.splitlines()
        assert told[-1].startswith("0 trainings, 0 evaluations to run")
        loaded.append(set(json.loads(modules)))
    assert "matplotlib" in loaded[0] and "p2s.study.status" in loaded[1]  # scenes are drawn once
    slow = {"torch", "pandas", "matplotlib", "scipy", "detectron2", "IPython", "papermill"}
    assert not loaded[1] & slow and not loaded[0] & {"torch", "pandas"}


def test_an_unknown_scale_experiment_or_executor_is_told_in_one_line():
    for words, told in [
        (("--scale", "x"), "p2s: unknown scale 'x'; valid: "),
        (("--only", "x"), "p2s: unknown experiment 'x'; valid: "),
        (("--executor", "x"), "p2s: unknown executor in "),
    ]:
        for command in (("run", "--plan"), ("status",)):
            done = p2s("study", *command, *words)
            assert done.exit_code == 2 and done.output.startswith(told)
            assert len(done.output.splitlines()) == 1


def test_the_missing_extra_of_the_study_is_told_in_one_line():
    done = without(STUDY, [("study", "run", "--plan"), ("study", "report"), ("study", "drift")])
    told = [tuple(answer) for answer in json.loads(done.stdout)]
    assert [code for code, _ in told] == [2] * 3, done.stderr
    assert [line.split(maxsplit=2)[2] for _, line in told] == [
        "is missing: run `pip install '.[study]'` in the project's folder\n"
    ] * 3
