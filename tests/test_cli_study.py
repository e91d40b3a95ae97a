"""The study's commands: what they ask for, what they print, how they exit."""

import pytest
from commands import p2s

from p2s import report, study
from p2s.project import Project


@pytest.fixture
def asked(monkeypatch):
    """What the study was asked for, instead of a study; the value of "failed" is its outcome."""
    calls = {"failed": 0}

    def note(name):
        def noted(project, scale, *rest, **options):
            calls[name] = (scale, *options.items())
            return calls["failed"]

        return noted

    for name in ("plan", "run", "status"):
        monkeypatch.setattr(study, name, note(name))
    monkeypatch.setattr(report, "render", lambda project: project.root / "results/index.html")
    return calls


def test_a_plan_runs_nothing(asked):
    done = p2s("study", "run", "--plan", "--scale", "desk", "--only", "table5", "--jobs", 2)
    assert done.exit_code == 0
    assert asked == {"failed": 0, "plan": ("desk", ("only", ("table5",)), ("jobs", 2))}


@pytest.mark.parametrize("failed, code", [(0, 0), (2, 1)])
def test_a_study_with_a_failed_run_exits_with_1(asked, failed, code):
    asked["failed"] = failed
    assert p2s("study", "run").exit_code == code
    assert asked["run"] == ("smoke", ("only", ()))


def test_status_and_report_are_those_of_this_project(asked):
    assert p2s("study", "status", "--only", "table5").exit_code == 0
    assert asked["status"] == ("smoke", ("only", ("table5",)), ("jobs", 1))
    assert p2s("study", "report").output == f"{Project.at().root / 'results/index.html'}\n"


@pytest.mark.parametrize("changed, code", [([], 0), (["tables/table5.csv"], 1)])
def test_drift_names_what_no_longer_follows_from_the_records(monkeypatch, changed, code):
    monkeypatch.setattr(report, "drift", lambda project: changed)
    done = p2s("study", "drift")
    assert done.exit_code == code and all(name in done.output for name in changed)
