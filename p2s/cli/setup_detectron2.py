"""The `p2s setup-detectron2` command: a wheel of detectron2, by its hash, into this environment."""

import os
import subprocess
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path

import click

from p2s.cli.telling import say

WHEEL = files("p2s.cli") / "detectron2.txt"
# pip would leave out a wheel for Python 3.10; --target makes it take one for another interpreter.
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--no-deps")
FOR_ANOTHER = ("--only-binary=:all:", "--python-version", "3.10", "--target")


@click.command("setup-detectron2")
def setup_detectron2():
    """Bring detectron2 into this environment: 7 MB, by hash, no compiler.

    It has no release of its own on PyPI. Upstream's own, built from source, is left as it is. What
    it needs at run time is among p2s's dependencies.
    """
    if there := _there():
        say(f"detectron2 is there: {there}")
        return
    folder = Path(sysconfig.get_path("purelib"))
    if not os.access(folder, os.W_OK):
        raise ValueError(f"{folder}: not yours to write (valid: an environment, python -m venv)")
    if find_spec("pip") is None:
        raise ValueError("pip is missing here: run `python -m ensurepip` in this environment")
    with as_file(WHEEL) as listed:
        words = [sys.executable, *PIP, *FOR_ANOTHER, folder, "-r", listed]
        done = subprocess.run(words, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise ValueError(f"no detectron2: {_last(done.stderr)}; by hand: docs/installing.md")
    say(f"detectron2 is in {folder}")


def _there():
    """What is installed already and stays: the wheel that is listed, or one that is not ours."""
    if find_spec("detectron2") is None:
        return None
    wheel, wanted = _listed()
    for name in ("detectron2", wheel):
        try:
            found = version(name)
        except PackageNotFoundError:
            continue
        if name != wheel or found == wanted:
            return f"{name} {found}"
    return None


def _listed():
    """Name and version in the file of requirements."""
    [line] = [line for line in WHEEL.read_text().splitlines() if not line.startswith("#")]
    name, _, number = line.split()[0].partition("==")
    return name, number


def _last(text):
    """The last line of what pip says of an error."""
    lines = [line for line in text.splitlines() if line.startswith("ERROR")]
    return lines[-1].removeprefix("ERROR: ") if lines else "pip failed"
