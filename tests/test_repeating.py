"""The runner that repeats a scale: its steps, with a `p2s` that only notes what it is asked."""

import os
import shutil
import subprocess

import pytest

from tests.support import ROOT

NOTES = """#!/bin/sh
echo "$* in $(basename "$PWD"): $(ls results/runs | tr '\\n' ' ')" >> "$NOTED"
[ ! -e "$NOTED.fails" ]
"""


@pytest.fixture
def project(tmp_path):
    """A repository with the runner, records of two scales, and a `p2s` that notes."""
    root = tmp_path / "project"
    for name in ("results/runs/desk/a.json", "results/runs/gated/b.json"):
        (root / name).parent.mkdir(parents=True)
        (root / name).touch()
    (root / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/study", root / ".ci/study")
    (root / ".gitignore").write_text(".venv/\n.p2s/\n")
    (root / "Makefile").write_text("setup:\n\t@echo installed\n")
    told = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q"), ("add", "-A"), (*told, "commit", "-qm", "all")):
        subprocess.run(["git", *words], cwd=root, check=True)
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/p2s").write_text(NOTES)
    (root / ".venv/bin/p2s").chmod(0o755)
    return root


def run(root, *words):
    environment = os.environ | {"NOTED": str(root.parent / "noted"), "P2S_CACHE": "/elsewhere"}
    words = ["bash", root / ".ci/study", *words]
    return subprocess.run(words, cwd=root.parent, env=environment, capture_output=True, text=True)


def noted(root):
    return (root.parent / "noted").read_text().splitlines()


def test_a_scale_runs_without_its_records_and_with_the_options_given(project):
    done = run(project, "desk", "--jobs", "4")
    assert done.returncode == 0 and done.stdout.startswith("installed"), done.stderr
    asked = ("run --scale desk --jobs 4", "plan --scale desk", "drift")
    assert noted(project) == [f"study {words} in again: gated " for words in asked]
    assert (project / "results/runs/desk/a.json").exists()  # those of the project stay


def test_a_run_that_fails_ends_it_and_the_next_goes_on_where_it_was(project):
    (project.parent / "noted.fails").touch()
    assert run(project, "desk").returncode != 0 and len(noted(project)) == 1
    (project.parent / "noted.fails").unlink()
    made = project / ".p2s/again/results/runs/desk/made.json"
    made.parent.mkdir()
    made.touch()
    assert run(project, "desk").returncode == 0
    assert noted(project)[1].endswith("in again: desk gated ") and made.exists()


def test_without_a_scale_nothing_begins(project):
    done = run(project)
    assert done.returncode != 0 and "a scale of experiments/scales.yaml" in done.stderr
    assert not (project / ".p2s").exists()
