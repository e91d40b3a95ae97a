"""A wheel of the project: the whole package, which trains and predicts without a checkout."""

import json
import os
import shutil
import subprocess
import sys

import pytest

import p2s
from p2s.cli.telling import STUDY
from p2s.data.glyphs import prepare
from p2s.spec import Glyphs
from tests.support import ROOT
from tests.support.commands import words_of_train

# Modules of all other extras.
OTHERS = {"torchao", "onnx", "onnxscript", "onnxruntime", "openvino", "nncf", "supervision"}
OTHERS |= {"tensorboard", "timm", "cv2", "sklearn", "centernet", "netcal", "pytest", "hypothesis"}
COMMANDS = """
import json, sys
hidden, commands = json.load(sys.stdin)
sys.modules.update(dict.fromkeys(hidden))
import p2s
from p2s.cli.main import main
for words in commands:
    if code := main(words, standalone_mode=False):
        sys.exit(code)
print(p2s.__file__)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder that pip installed the project into, from a copy, for a build leaves files."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "p2s", source / "p2s", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-index"]
    alone = ["--no-deps", "--no-build-isolation", "--target", site]
    subprocess.run([*pip, *alone, source], check=True, capture_output=True)
    return site


def files_of(package):
    paths = {path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    return {path.relative_to(package): path.read_bytes() for path in paths}


def test_a_wheel_holds_the_package_and_nothing_else(site):
    assert files_of(site / "p2s") == files_of(ROOT / "p2s")
    assert {path.name for path in site.iterdir()} - {"bin"} == {
        "p2s",
        f"p2s-{p2s.__version__}.dist-info",
    }


def test_without_extras_and_checkout_it_trains_evaluates_and_predicts(site, tmp_path):
    files = prepare(Glyphs(train=4, val=2, size=64), tmp_path / "scenes")
    val = ("--annotations", files.val, "--images", files.images, "--errors", "errors")
    commands = [
        words_of_train(files, "model", "--iterations", 2),
        ("evaluate", "--model", "model", *val),
        ("predict", "--model", "model", files.images / "val", "--output", "found"),
        ("fetch",),
    ]
    words = [[str(word) for word in command] for command in commands]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        input=json.dumps([[*STUDY, *OTHERS], words]),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(site / "p2s" / "__init__.py")
    assert len(json.loads((tmp_path / "found" / "detections.json").read_text())) == 2
    left = {"model/model.safetensors", "errors/errors.html", "found/000-000000.png"}
    assert [name for name in left if not (tmp_path / name).is_file()] == []
