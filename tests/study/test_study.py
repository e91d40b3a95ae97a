"""A study: loaded once, handed on, and asked again without reading or resolving again."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from p2s.report.results import results
from p2s.study import study as studies
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT, fakes


@pytest.fixture
def opened(monkeypatch):
    """How often each experiment, file of scales and record is read from here on.

    The published numbers lie beside experiments and are the package's.
    """
    counts = Counter()
    original = Path.open  # which reading a text or bytes begins with

    def noted(path, *given, **options):
        if path.parent.name in ("experiments", "desk") and path.name != "paper.yaml":
            counts[path] += 1
        return original(path, *given, **options)

    monkeypatch.setattr(Path, "open", noted)
    return counts


def test_a_study_reads_each_experiment_and_each_record_once(project, opened):
    study = Study.load(project, "desk")
    files = {
        path
        for path in project.experiments.glob("*.yaml")
        if path.stem not in ("paper", "executors", "claims")
    }
    assert opened == dict.fromkeys(files, 1)
    for _ in range(2):
        assert len(study.asked()) >= len(study.runs()) > len(study.runs(["table5"]))
        assert study.at("smoke").runs(["table5"]) and study.find("table5", *first(study), 0)
        assert len(study.records) > 0
        for name in study.experiments:
            results(study, name)
    records = project.records("desk").glob("*.json")
    assert opened == dict.fromkeys([*files, *records], 1)


def first(study):
    [run, *_] = study.runs(["table5"])
    return run.row, run.variant


def test_a_spec_is_resolved_and_a_run_identified_once(project, monkeypatch):
    calls = Counter()
    for name in ("resolve", "identified"):
        original = getattr(studies, name)

        def noted(*given, name=name, original=original):
            calls[name] += 1
            return original(*given)

        monkeypatch.setattr(studies, name, noted)
    study = Study.load(project, "desk")
    for _ in range(2):
        asked = study.asked(["table5"])
        study.runs(["table5"])
        study.find("table5", *first(study), 0)
    seeds = {run.seed for run in asked}
    assert calls == {"resolve": len(asked) // len(seeds), "identified": len(asked)}


def test_a_run_is_found_under_every_name_it_was_asked_by(project):
    study = Study.load(project, "desk")
    for run in study.asked(["table5", "posterior"]):
        found = study.find(run.experiment, run.row, run.variant, run.seed)
        assert found == run
    other = study.find("table5", *first(study), 77)  # any seed will do
    assert other.seed == 77 and other.training_id not in {run.training_id for run in study.runs()}


def test_the_same_study_at_another_scale_has_the_experiments_and_its_own_runs(project):
    desk = Study.load(project, "desk")
    assert desk.at("desk") is desk
    smoke, loaded = desk.at("smoke"), Study.load(project, "smoke")
    assert smoke.experiments is desk.experiments and smoke.records == {}
    assert smoke.runs(["table5"]) == loaded.runs(["table5"])
    assert {run.scale for run in smoke.runs(["table5"])} == {"smoke"}
    assert desk.records and {run.scale for run in desk.runs(["table5"])} == {"desk"}
    with pytest.raises(ValueError, match="unknown scale 'x'; valid: .*desk"):
        desk.at("x")


def test_runs_are_the_first_of_each_identity_among_those_asked(project):
    study = Study.load(project, "desk")
    kept, seen = [], set()
    for run in study.asked():
        if run.evaluation_id not in seen:
            kept.append(run)
        seen.add(run.evaluation_id)
    assert study.runs() == kept and len(kept) < len(study.asked())


def test_a_slip_in_any_experiment_is_told_when_a_study_is_loaded(tmp_path):
    project = fakes.project(tmp_path)
    path = project.experiments / "table11.yaml"
    path.write_text(path.read_text() + "\nclaims: x\n")
    with pytest.raises(ValueError, match=r"table11\.yaml: line \d+: unknown claims"):
        Study.load(project, "desk")


def test_reading_experiments_loads_no_library_of_numbers_or_pictures():
    code = (
        "import json, sys\n"
        "from p2s.study.experiments import load_experiment, load_scales\n"
        "from p2s.study.project import Project\n"
        "project = Project.at(sys.argv[1])\n"
        "load_scales(project), load_experiment(project, 'table5')\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(Project.at(ROOT).root)],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(json.loads(done.stdout))
    assert {"p2s.files", "yaml", "p2s.study.experiments"} <= loaded
    assert not loaded & {"matplotlib", "torch", "pandas", "IPython", "papermill"}
