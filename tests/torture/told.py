"""Told: malformed inputs of the tests as commands of their own, each ends with 2 and a line.

It takes minutes, so its name hides it from `make test`; `make torture` asks for it.
"""

import json
import os
import re
import subprocess
import sys
from itertools import chain

import pytest

from p2s.data import glyphs
from p2s.spec import Glyphs
from tests.malformed import test_data, test_study
from tests.support import ROOT, stub_study
from tests.support.malformed import put, require_line
from tests.torture.campaign import campaign
from tests.torture.kills import LETTERS, TRACEBACK

SECONDS = 300  # that a command may take to say no, on a busy machine
TRAIN = "train --train train.json --val val.json --images . --output o --iterations 1 "


def commands():
    """Words of a command, the expected part of its last line, and what train.json then holds."""
    for words, told in test_study.COMMANDS:
        yield words, told, None
    for words, told in test_study.TRAIN:
        yield TRAIN + words, told, None
    tables = [
        (json.dumps(put(test_data.SOUND, *row[:2])).encode(), row[2]) for row in test_data.TABLES
    ]
    for content, told in chain(tables, test_data.TEXTS):
        yield TRAIN, told, content


def workplace(folder):
    """A study, and beside it pictures, a pipe, a folder, a link and a text."""
    with pytest.MonkeyPatch.context() as patch:
        stub_study.project(folder, patch)
    (folder / "experiments" / "executors.yaml").write_text("local: {jobs: 1}\n")
    drawn = glyphs.prepare(Glyphs(train=2, val=1, size=32, classes=2), folder / "drawn").images
    for path in drawn.iterdir():
        path.rename(folder / path.name)
    for name in ("1.png", "2.png"):
        test_data.Image.new("RGB", (40, 30)).save(folder / name)
    (folder / "folder").mkdir()
    (folder / "text").write_text("hello")
    (folder / "link.png").symlink_to("/etc/hostname")
    os.mkfifo(folder / "pipe")
    os.mkfifo(folder / "pipe.png")


def said(folder, words):
    """The exit code of a command and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "p2s", *words.split()],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "1000"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    return done.returncode, done.stdout + done.stderr


def test_malformed_inputs_are_told_by_commands(tmp_path):
    workplace(tmp_path)
    sound = (tmp_path / "train.json").read_bytes()
    with campaign("malformed inputs as commands", 1) as seen:
        for words, told, content in commands():
            (tmp_path / "train.json").write_bytes(sound if content is None else content)
            code, text = said(tmp_path, words)
            seen.note("commands")
            if not is_told(code, text, told):
                seen.untold.append(f"{words}: exit {code}: {text[-LETTERS:]}")


def is_told(code, text, told):
    """Whether a command ended with 2, a line that says what is expected, and no traceback."""
    try:
        require_line(text.splitlines()[-1])
    except (AssertionError, IndexError):
        return False
    return code == 2 and TRACEBACK not in text and bool(re.search(told, text))
