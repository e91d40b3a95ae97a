"""Commands: the malformed inputs of the tests, each as a command of its own in a folder of its own.

Left out is what no command of a user reads: Slurm's variables of a rank (srun's own processes read
them), those of a notebook that runs by itself, and words that a system does not pass on.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from PIL import Image

from p2s.data import glyphs
from p2s.environment import Rank
from p2s.spec import Glyphs
from tests.malformed import test_data, test_environment, test_states, test_study, test_yaml
from tests.support import ROOT, stub_study
from tests.support.malformed import put, require_line
from tests.torture.kills import LETTERS, TRACEBACK

SECONDS = 300  # that a command may take to say no, on a busy machine
LONGEST_WORD = 2**17  # bytes that Linux passes on
FILES = ("--train", "train.json", "--val", "val.json", "--images", ".", "--output", "o")
TRAIN = ("train", *FILES, "--iterations", "12")
OWN = (*TRAIN, "--workers", "0", "--save-minutes", "0.0001")  # of a tiny network, in one process
PLAN = ("study", "run", "--scale", "tiny", "--plan")
REPRODUCE = ("study", "reproduce", "a.json", "--output", "o")
RANK = test_environment.RANK | {"TORCHELASTIC_RUN_ID": "x"}
P2S, OF_TINY = ("-m", "p2s"), ("-m", "tests.torture.tiny")


class Command(NamedTuple):
    """What is asked, the expected part of the line, and what is put into the folder before."""

    words: tuple[str, ...]
    told: str
    put: Callable[[Path], Any] = Path.exists
    variables: dict[str, str | None] = {}
    program: tuple[str, ...] = P2S


def every() -> Iterator[tuple[str, Command]]:
    """All of them, each after its kind."""
    for kind, made in KINDS.items():
        for command in made():
            yield kind, command


def untold(folder: Path, command: Command) -> str:
    """What a command said in a new folder; nothing where it ended with 2 and the line expected."""
    folder.mkdir()
    workplace(folder)
    command.put(folder)
    code, text = said(folder, command)
    try:
        require_line(text.splitlines()[-1])
    except (AssertionError, IndexError):
        code = None
    told = code == 2 and TRACEBACK not in text and re.search(command.told, text)
    return "" if told else f"{' '.join(command.words)}: exit {code}: {text}"[-LETTERS:]


def workplace(folder: Path) -> None:
    """A study, and beside it pictures, a pipe, a folder, a link and a text."""
    with pytest.MonkeyPatch.context() as patch:
        stub_study.project(folder, patch)
    (folder / "experiments" / "executors.yaml").write_text("local: {jobs: 1}\n")
    drawn = glyphs.prepare(Glyphs(train=2, val=1, size=32, classes=2), folder / "drawn").images
    for path in drawn.iterdir():
        path.rename(folder / path.name)
    for name in ("1.png", "2.png"):
        Image.new("RGB", (40, 30)).save(folder / name)
    (folder / "folder").mkdir()
    (folder / "text").write_text("hello")
    (folder / "link.png").symlink_to("/etc/hostname")
    os.mkfifo(folder / "pipe")
    os.mkfifo(folder / "pipe.png")


def said(folder: Path, command: Command) -> tuple[int, str]:
    """The exit code of a command in a folder, and what it said."""
    own = {"PYTHONPATH": str(ROOT), "COLUMNS": "1000", "P2S_CACHE": None}
    variables = os.environ | own | command.variables
    done = subprocess.run(
        [sys.executable, *command.program, *command.words],
        cwd=folder,
        env={name: value for name, value in variables.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    return done.returncode, done.stdout + done.stderr


def _of_words():
    for words, told in test_study.COMMANDS:
        yield Command(tuple(words.split()), told)
    for words, told in test_study.TRAIN:
        yield Command((*TRAIN, *words.split()), told)


def _of_annotations():
    for place, value, told in test_data.TABLES:
        content = json.dumps(put(test_data.SOUND, place, value)).encode()
        yield Command(TRAIN, told, partial(_write, "train.json", content))
    for content, told in test_data.TEXTS:
        yield Command(TRAIN, told, partial(_write, "train.json", content))


def _of_pictures():
    whole = test_data.SOUND
    second = whole["images"][1:], [box | {"image_id": 2} for box in whole["annotations"]]
    val = whole | dict(zip(("images", "annotations"), second, strict=True))

    def prepare(content, folder):
        _write("1.png", content, folder)
        for name, told in (("train.json", whole), ("val.json", val)):
            _write(name, json.dumps(told).encode(), folder)

    for content, _ in test_data.PICTURES:
        yield Command(TRAIN, "1[.]png: ", partial(prepare, content))


def _of_experiments():
    def prepare(place, value, folder):
        file = folder / "experiments" / "t.yaml"
        file.write_text(yaml.safe_dump(put(yaml.safe_load(file.read_text()), place, value)))

    for content, told in test_yaml.TEXTS:
        yield Command(PLAN, told, partial(_write, "experiments/t.yaml", content))
    for place, value, told in test_yaml.EXPERIMENT:
        yield Command(PLAN, told, partial(prepare, place, value))


def _of_records():
    def prepare(place, value, folder):
        path = test_study.record(folder)
        path.write_text(json.dumps(put(json.loads(path.read_text()), place, value)))

    for place, value, told in test_study.RECORDS:
        yield Command(REPRODUCE, told, partial(prepare, place, value))
    for content, told in test_study.TEXTS:
        yield Command(REPRODUCE, told, partial(_write, "a.json", content))


def _of_weights():
    def prepare(name, make, folder):
        make(folder / name)

    for name, make, told in test_study.WEIGHTS:
        words, told = (*TRAIN, "--weights", name), f"{told}|'{name}' is a directory"
        yield Command(words, told, partial(prepare, name, make))


def _of_states():
    def prepare(place, value, folder):
        (folder / "o").mkdir()
        state = test_states.changed(_left_by_tiny(), place, value)
        torch.save(state, folder / "o" / "state.pt")

    for place, value, told in test_states.STATES:
        yield Command(OWN, told, partial(prepare, place, value), program=OF_TINY)


@cache
def _left_by_tiny():
    """The state of a training that was stopped after two steps."""
    home = Path(tempfile.mkdtemp())
    workplace(home)
    code, text = said(home, Command(OWN, "", variables={"STOP_BEFORE": "2"}, program=OF_TINY))
    assert code == 130, text
    return torch.load(home / "o" / "state.pt", weights_only=True)


def _of_steps():
    def prepare(place, value, folder):
        torch.save(test_states.changed(test_states.sound_step(), place, value), folder / "step.pt")

    for place, value, told in test_states.STEPS:
        yield Command(("replay", "step.pt"), told, partial(prepare, place, value))


def _of_settings():
    for words, told in test_yaml.SETTINGS:
        if "\0" not in words and len(words) < LONGEST_WORD:
            yield Command((*TRAIN, "--set", words), f"{told}|not a setting of this command")


def _of_variables():
    for read, variable, value, told in test_environment.VALUES:
        if read == Rank.read:
            yield Command(TRAIN, rf"\${variable}: .*{told}", variables=RANK | {variable: value})


def _write(name, content, folder):
    (folder / name).write_bytes(content)


KINDS = {
    "words": _of_words,
    "annotations": _of_annotations,
    "pictures": _of_pictures,
    "experiments": _of_experiments,
    "records": _of_records,
    "weights": _of_weights,
    "states": _of_states,
    "steps": _of_steps,
    "settings": _of_settings,
    "variables": _of_variables,
}
