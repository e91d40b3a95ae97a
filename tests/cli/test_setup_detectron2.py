"""`p2s setup-detectron2`: the listed wheel by its hash, or nothing where detectron2 is there."""

import subprocess
import sys
import sysconfig
from types import SimpleNamespace

import pytest

from p2s.cli import setup_detectron2 as module
from tests.support.commands import p2s


@pytest.fixture
def pip(monkeypatch):
    """Where detectron2 is not there: the commands that pip is asked, and what it answers."""
    pip = SimpleNamespace(commands=[], returncode=0, stderr="")

    def run(words, **_):
        pip.commands.append([str(word) for word in words])
        return pip

    monkeypatch.setattr(module, "_there", lambda: None)
    monkeypatch.setattr(subprocess, "run", run)
    return pip


def test_where_detectron2_is_nothing_is_installed(monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip was asked"))
    done = p2s("setup-detectron2")
    assert done.exit_code == 0 and done.output.startswith("detectron2 is there: ")


@pytest.mark.parametrize(
    "installed, stays",
    [
        ({"sal-detectron2": "0.7.2"}, "sal-detectron2 0.7.2"),
        ({"sal-detectron2": "0.7.1"}, None),
        ({"detectron2": "0.6"}, "detectron2 0.6"),
        ({}, None),
    ],
)
def test_the_listed_wheel_and_upstreams_own_stay(monkeypatch, installed, stays):
    def version(name):
        if name in installed:
            return installed[name]
        raise module.PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", version)
    assert module._there() == stays


def test_pip_brings_the_listed_hash_into_this_environment(pip):
    done = p2s("setup-detectron2")
    purelib = sysconfig.get_path("purelib")
    assert done.exit_code == 0 and purelib in done.output
    [words] = pip.commands
    assert words[:4] == [sys.executable, "-m", "pip", "install"] and "--no-deps" in words
    assert words[words.index("--target") + 1] == purelib
    assert words[words.index("-r") + 1].endswith("detectron2.txt")


def test_what_pip_says_of_a_failure_is_one_line(pip):
    pip.returncode, pip.stderr = 1, "WARNING: slow\nERROR: no such hash\n"
    done = p2s("setup-detectron2")
    assert done.exit_code == 2
    assert done.stderr == "p2s: no detectron2: no such hash; by hand: docs/installing.md\n"


@pytest.mark.parametrize(
    "hide, told",
    [
        (lambda patch: patch.setattr(module.os, "access", lambda *_: False), "not yours to write"),
        (lambda patch: patch.setattr(module, "find_spec", lambda _: None), "python -m ensurepip"),
    ],
)
def test_what_stands_in_the_way_is_told_before_pip_runs(pip, monkeypatch, hide, told):
    hide(monkeypatch)
    done = p2s("setup-detectron2")
    assert done.exit_code == 2 and told in done.stderr and done.stderr.count("\n") == 1
    assert pip.commands == []
