"""The three lists of dependencies say the same: pyproject.toml, environment.yml and the lock."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import ROOT

CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
CONDA_ONLY = {"python", "pip", "detectron2"}


def declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(r) for group in (project["dependencies"], *extras) for r in group]


def conda_lines():
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    nested = [line for e in entries if isinstance(e, dict) for line in e["pip"] if line != "-e ."]
    return [Requirement(line) for line in [e for e in entries if isinstance(e, str)] + nested]


def test_environment_yml_has_pyproject_names_and_bounds():
    ours = {CONDA_NAMES.get(r.name, r.name): r.specifier for r in declared()}
    theirs = {r.name: r.specifier for r in conda_lines() if r.name not in CONDA_ONLY}
    assert theirs == ours


@pytest.mark.parametrize("name", ["environment.yml", "pyproject.toml"])
def test_every_dependency_line_says_why(name):
    listed = re.findall(r'^ +(?:- |")[a-z][\w-]*[<>=].*$', (ROOT / name).read_text(), re.M)
    assert len(listed) > 30
    assert [line for line in listed if "#" not in line] == []


def test_lock_pins_every_declared_dependency_within_its_bounds():
    lock = [Requirement(s) for s in (ROOT / "requirements.lock").read_text().split("\n") if s]
    pins = {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in lock}
    assert all(str(r.specifier).startswith("==") for r in lock)
    assert [
        str(r) for r in declared() if pins.get(canonicalize_name(r.name), "0") not in r.specifier
    ] == []


def test_detectron2_and_the_peers_are_installed_by_hash():
    lines = (ROOT / "detectron2.txt").read_text().splitlines()
    detectron2, authors, netcal = [line for line in lines if not line.startswith("#")]
    assert re.fullmatch(r"sal-detectron2==0\.7\.2 --hash=sha256:491af0c7[0-9a-f]{56}", detectron2)
    assert re.fullmatch(r"netcal==1\.4\.0 --hash=sha256:[0-9a-f]{64}", netcal)
    assert re.fullmatch(r"centernet2==1\.0\.post20221121 --hash=sha256:[0-9a-f]{64}", authors)


def test_python_bound_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    python = next(r for r in conda_lines() if r.name == "python")
    assert str(python.specifier) == project["requires-python"]
