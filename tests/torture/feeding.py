"""Feeding: readers get sound files with changes by chance, for minutes, by hypothesis.

A file is read, or told in one line with its name. It takes minutes, so its name hides it from
`make test`; `make torture` asks for it.
"""

import copy
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from p2s.data import coco, health
from p2s.study import records
from p2s.study.study import Study
from p2s.train import kept
from tests.malformed import test_data, test_states, test_study
from tests.support import stub_study
from tests.support.malformed import in_bounds, require_line
from tests.torture.campaign import campaign

MINUTES = int(os.environ.get("MINUTES", 1))
BATCH = 50  # examples between two looks at the clock
LOOSE = settings(
    max_examples=BATCH, deadline=None, database=None, suppress_health_check=[*HealthCheck]
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
TENSORS = st.sampled_from([torch.ones(1), torch.ones(2, 3).long(), torch.full((4,), float("nan"))])


class Reader(NamedTuple):
    """What reads a file, and how a sound one is written."""

    path: Path
    sound: Any
    written: Callable[[Any, Path], Any]
    read: Callable[[], Any]
    values: st.SearchStrategy = VALUES


def annotations(folder: Path) -> Reader:
    """An annotation file beside its pictures; what the check finds sound can be read."""
    path = folder / "a.json"
    for name in ("1.png", "2.png"):
        Image.new("RGB", (40, 30)).save(folder / name)

    def read() -> None:
        if lines := health.check(path, folder):
            raise ValueError(lines[0])
        coco.read_coco(path, folder).sample(0)

    return Reader(path, test_data.SOUND, _as_json, read)


def experiments(folder: Path) -> Reader:
    """An experiment file of a study."""
    with pytest.MonkeyPatch.context() as patch:
        project = stub_study.project(folder, patch)
    path = project.experiments / "t.yaml"

    def write(content: Any, path: Path) -> None:
        path.write_text(yaml.safe_dump(content))

    return Reader(
        path, yaml.safe_load(path.read_text()), write, lambda: Study.load(project, "tiny").runs()
    )


def record(folder: Path) -> Reader:
    """A record of a run."""
    path = test_study.record(folder)
    return Reader(path, json.loads(path.read_text()), _as_json, lambda: records.read(path))


def state(folder: Path) -> Reader:
    """A state of a training."""
    path = folder / "state.pt"
    read, values = lambda: kept.read(path, kept.State), VALUES | TENSORS
    return Reader(path, test_states.sound_state(), torch.save, read, values)


@st.composite
def edited(draw: st.DrawFn, sound: Any, values: st.SearchStrategy) -> Any:
    """A content with up to three places that hold something else, or are gone."""
    content = copy.deepcopy(sound)
    for _ in range(draw(st.integers(1, 3))):
        content = _changed(draw, content, values)
    return content


@st.composite
def torn(draw: st.DrawFn, sound: bytes) -> bytes:
    """Bytes of which some are cut out, and others are put in."""
    start, length = draw(st.integers(0, len(sound))), draw(st.integers(0, 64))
    return sound[:start] + draw(st.binary(max_size=64)) + sound[start + length :]


def feed(reader: Reader, number: int = 0) -> None:
    """Give a reader the batch of files of this number, half of them edited and half of them torn.

    It reads each, or tells it in a line with its name, soon and without much memory.
    """
    reader.written(reader.sound, reader.path)
    files = edited(reader.sound, reader.values) | torn(reader.path.read_bytes())

    @given(files)
    def fed(content: Any) -> None:
        if isinstance(content, bytes):
            reader.path.write_bytes(content)
        else:
            reader.written(content, reader.path)
        with in_bounds():
            try:
                reader.read()
            except (ValueError, OSError) as error:
                require_line(str(error), re.escape(reader.path.name))

    LOOSE(seed(number)(fed))()


EVERY = (annotations, experiments, record, state)


@pytest.mark.parametrize("reader", EVERY, ids=lambda reader: reader.__name__)
def test_whatever_a_file_holds_it_is_read_or_told(reader, tmp_path):
    with campaign(f"files by chance: {reader.__name__}", MINUTES) as seen:
        begun, number, fed = time.monotonic(), 0, reader(tmp_path)
        while time.monotonic() < begun + 60 * MINUTES / len(EVERY):
            feed(fed, number)
            number += 1
        seen.tried = {"files": number * BATCH}


def _changed(draw, inner, values):
    if not (isinstance(inner, dict | list) and inner and draw(st.integers(0, 3))):
        return draw(values)
    keys = [*inner] if isinstance(inner, dict) else [*range(len(inner))]
    key = draw(st.sampled_from(keys))
    if draw(st.integers(0, 7)):
        inner[key] = _changed(draw, inner[key], values)
    else:
        del inner[key]
    return inner


def _as_json(content, path):
    path.write_text(json.dumps(content))
