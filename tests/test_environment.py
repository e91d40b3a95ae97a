"""The three lists of dependencies say the same: pyproject.toml, environment.yml and the lock."""

import contextlib
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from p2s.cli.telling import STUDY
from tests.support import ROOT

CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
CONDA_ONLY = {"python", "pip", "detectron2"}
# Modules by another name than what brings them.
BROUGHT = {"PIL": "pillow", "yaml": "pyyaml", "pydantic_core": "pydantic", "IPython": "ipykernel"}
BROUGHT |= {"typing_extensions": "pydantic"}
IMPORT = re.compile(r"^ *(?:from (\w+)[\w.]* import |import (\w+))", re.MULTILINE)
LOCKS = ["requirements.lock", "base.lock", "build.lock"]
PINNED = re.compile(r"==[^,*]+")
OF_THE_STUDY = {"study", "report", "bench"}  # folders that training and prediction do without


def groups():
    """The names and bounds in pyproject.toml: those of `pip install .` are "base"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = {"base": project["dependencies"], **project["optional-dependencies"]}
    return {name: [Requirement(r) for r in group] for name, group in listed.items()}


def declared():
    return [requirement for group in groups().values() for requirement in group]


def imported(folders):
    """What modules of folders of p2s import that is neither Python's, p2s's nor detectron2's."""
    texts = [path.read_text() for folder in folders for path in folder.rglob("*.py")]
    tops = {name for text in texts for pair in IMPORT.findall(text) for name in pair if name}
    return {BROUGHT.get(top, top) for top in tops - sys.stdlib_module_names - {"p2s", "detectron2"}}


def pins(name: str) -> dict[str, tuple[Requirement, list[str]]]:
    """The pins of a lock with their hashes, by name."""
    found = {}
    for line in re.sub(r" \\\n +", " ", (ROOT / name).read_text()).splitlines():
        if re.match("[a-z]", line):
            requirement, *hashes = line.split(" --hash=sha256:")
            pin = Requirement(requirement)
            assert found.setdefault(canonicalize_name(pin.name), (pin, hashes))[0] is pin
    return found


def asked_by(name: str, extras: set[str]) -> list[Requirement]:
    """What an installed package asks for here, with extras; nothing where it is not installed."""
    with contextlib.suppress(PackageNotFoundError):
        listed = [Requirement(line) for line in requires(name) or []]
        return [r for r in listed if any(holds(r, extra) for extra in ("", *extras))]
    return []


def holds(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


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


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_is_one_version_with_hashes(name):
    lines = (ROOT / name).read_text().splitlines()
    # A pin, its hashes, who asks for it: uv writes nothing else, and hashes by SHA-256 alone.
    assert [
        line for line in lines if not re.match(r"[a-z]|    --hash=sha256:|    # via|#", line)
    ] == []
    assert [
        n for n, (pin, hashes) in pins(name).items() if not PINNED.fullmatch(str(pin.specifier))
    ] == []
    assert [n for n, (_, hashes) in pins(name).items() if not hashes] == []
    hashes = [hash for _, each in pins(name).values() for hash in each]
    assert all(re.fullmatch("[0-9a-f]{64}", hash) for hash in hashes)
    assert len(set(hashes)) == len(hashes) == sum("--hash" in line for line in lines)


@pytest.mark.parametrize("name", ["base.lock", "build.lock"])
def test_the_other_locks_are_parts_of_the_lock(name):
    whole, part = pins("requirements.lock"), pins(name)
    for each in part.keys() - {"wheel"}:  # builds alone
        assert part[each][0].specifier == whole[each][0].specifier
        assert part[each][1] == whole[each][1]


@pytest.mark.parametrize("name, extras", [("requirements.lock", True), ("base.lock", False)])
def test_lock_pins_every_declared_dependency_within_its_bounds(name, extras):
    locked = {each: str(pin.specifier)[2:] for each, (pin, _) in pins(name).items()}
    asked = declared() if extras else groups()["base"]
    assert [
        str(r) for r in asked if locked.get(canonicalize_name(r.name), "0") not in r.specifier
    ] == []


@pytest.mark.parametrize("name", ["requirements.lock", "base.lock"])
def test_lock_pins_what_its_packages_ask_for(name):
    """Else pip refuses all of it: with hashes it installs nothing that has none."""
    locked = pins(name)
    missing = {
        f"{each} asks for {r.name}"
        for each, (pin, _) in locked.items()
        for r in asked_by(each, pin.extras)
        if canonicalize_name(r.name) not in locked
    }
    assert missing == set()


def test_setup_installs_all_by_hash():
    recipe = re.findall(r"^\t\$\(INSTALL\) (.+)$", (ROOT / "Makefile").read_text(), re.M)
    *by_hash, own, peers = recipe
    assert own == "--no-build-isolation --no-deps -e ."
    assert all("--require-hashes" in line for line in (*by_hash, peers))
    assert [line.split()[-1] for line in by_hash] == ["build.lock", "requirements.lock"]


def test_detectron2_and_the_peers_are_installed_by_hash():
    lines = (ROOT / "p2s/cli/detectron2.txt").read_text() + (ROOT / "peers.txt").read_text()
    detectron2, authors, netcal = [s for s in lines.splitlines() if not s.startswith("#")]
    assert re.fullmatch(r"sal-detectron2==0\.7\.2 --hash=sha256:491af0c7[0-9a-f]{56}", detectron2)
    assert re.fullmatch(r"netcal==1\.4\.0 --hash=sha256:[0-9a-f]{64}", netcal)
    assert re.fullmatch(r"centernet2==1\.0\.post20221121 --hash=sha256:[0-9a-f]{64}", authors)


def test_python_bound_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    python = next(r for r in conda_lines() if r.name == "python")
    assert str(python.specifier) == project["requires-python"]


def test_pip_install_brings_what_training_and_prediction_import():
    listed = {name: {r.name for r in group} for name, group in groups().items()}
    folders = [path for path in (ROOT / "p2s").iterdir() if path.is_dir()]
    needed = imported(path for path in folders if path.name not in OF_THE_STUDY)
    # Those of the second line are told in a line where they are missing.
    told = ("fast", "lite0", "supervision")
    assert needed <= listed["base"].union(*(listed[name] for name in told))
    by_itself = imported(ROOT / "p2s" / name for name in OF_THE_STUDY) - needed
    assert by_itself - {"centernet"} - listed["base"] == STUDY | {"ipykernel"}
    assert STUDY | {"ipykernel"} <= listed["study"]
