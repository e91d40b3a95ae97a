"""Journal: what is done stays done, a line cut short does not count, other settings are refused."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from p2s.deploy.journal import Journal
from p2s.files import read_json
from tests.support.found import CLASSES, detections
from tests.support.malformed import GONE, put, require_told
from tests.support.malformed import rows as malformed_rows
from tests.support.tiny import photo

SETTINGS = {"model": "abc", "draw_above": 0.3, "test.nms": 0.7}

NAMES = [  # of files, as a system allows them
    *("a" * 251, "猫" * 83, "a" + "é" * 125, "day\\1", "..\\x", "C:x", os.fsdecode(b"bad\xff")),
    *(os.fsdecode(b"\xe7\x8c" * 99), "a\nb", "\x1b[31m", "%ff", '"', " ", "-x", "a..", "e\u0301"),
]


@pytest.fixture
def paths(tmp_path):
    return [photo(tmp_path / folder / "same.png") for folder in ("a", "b", "c")]


def filled(folder, paths, count=2):
    journal = Journal.at(folder, SETTINGS)
    for path in paths:
        journal.add(detections(count, path))
    return journal


def test_the_json_holds_the_pictures_that_are_asked_for_in_their_order(paths, tmp_path):
    journal = filled(tmp_path / "out", paths)
    journal.write([paths[2], tmp_path / "bad.png", paths[0]])
    rows = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert [row["file"] for row in rows] == [str(paths[2]), str(paths[0])]
    assert (rows[0]["width"], rows[0]["height"]) == (80, 60)
    assert [one["class"] for one in rows[0]["detections"]] == CLASSES
    assert rows == list(journal.rows([paths[2], paths[0]]))


def test_images_of_the_same_name_get_pictures_of_their_own(paths, tmp_path):
    rows = filled(tmp_path / "out", paths).rows(paths)
    names = [row["picture"] for row in rows]
    assert names == ["000-same.png", "001-same.png", "002-same.png"]
    assert all(Image.open(tmp_path / "out" / name).size == (80, 60) for name in names)


def test_only_strong_detections_are_drawn(paths, tmp_path):
    settings = SETTINGS | {"draw_above": 0.95}
    Journal.at(tmp_path / "out", settings).add(detections(2, paths[0]))
    picture = np.array(Image.open(tmp_path / "out" / "000-same.png"))
    assert (picture == np.array(Image.open(paths[0]))).all()


def test_a_journal_is_gone_on_with_and_numbers_go_on(paths, tmp_path):
    filled(tmp_path / "out", paths[:2])
    journal = Journal.at(tmp_path / "out", SETTINGS)
    assert [journal.has(path) for path in paths] == [True, True, False]
    journal.add(detections(1, paths[2]))
    assert [row["picture"][:3] for row in journal.rows(paths)] == ["000", "001", "002"]


@pytest.mark.parametrize("left", [0, 1, 40, -1])
def test_a_line_that_a_kill_cut_short_counts_as_not_done(paths, tmp_path, left):
    filled(tmp_path / "out", paths[:2])
    lines = tmp_path / "out" / "detections.jsonl"
    first, second, _ = lines.read_bytes().split(b"\n")
    lines.write_bytes(first + b"\n" + second[:left])
    journal = Journal.at(tmp_path / "out", SETTINGS)
    assert [journal.has(path) for path in paths] == [True, False, False]
    journal.add(detections(2, paths[1]))
    assert lines.read_bytes() == first + b"\n" + second + b"\n"


@pytest.mark.parametrize("draw_above", [None, 0.3])
@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:9]))
def test_a_file_of_any_name_is_done_once_and_its_rows_are_json(tmp_path, name, draw_above):
    paths = [photo(tmp_path / folder / f"{name}.png") for folder in ("a", "b")]
    settings = SETTINGS | {"draw_above": draw_above}
    for path in paths:
        Journal.at(tmp_path / "out", settings).add(detections(2, path))
    journal = Journal.at(tmp_path / "out", settings)
    assert all(map(journal.has, paths))
    assert [row["file"] for row in journal.rows(paths)] == [str(path) for path in paths]
    journal.write(paths)
    read_json(tmp_path / "out" / "detections.json", list[dict[str, Any]])
    drawn = [path.name for path in (tmp_path / "out").glob("*.png")]
    assert len(drawn) == (2 if draw_above else 0) and not any("\\" in each for each in drawn)


def test_a_path_that_is_no_utf_8_and_one_that_looks_like_it_are_two(tmp_path):
    odd = photo(tmp_path / os.fsdecode(b"a\xff.png"))
    alike = [photo(tmp_path / name) for name in ("a%FF.png", "a\\xff.png")]
    journal = filled(tmp_path / "out", [odd])
    assert journal.has(odd) and not any(map(journal.has, alike))
    journal.write([odd])
    [row] = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert row["file"] == odd.as_uri() and row["file"].endswith("/a%FF.png")


@pytest.mark.parametrize("seconds", [-9, 0, 9])
@pytest.mark.parametrize("draw_above", [None, 0.3])
def test_another_picture_of_the_name_is_done_anew_whenever_written(
    paths, tmp_path, seconds, draw_above
):
    settings = SETTINGS | {"draw_above": draw_above}
    Journal.at(tmp_path / "out", settings).add(detections(2, paths[0]))
    written = paths[0].stat().st_mtime_ns
    photo(paths[0], (64, 48), 1)
    os.utime(paths[0], ns=(0, written + seconds * 10**9))
    journal = Journal.at(tmp_path / "out", settings)
    assert not journal.has(paths[0])
    journal.add(detections(1, paths[0]))
    assert Journal.at(tmp_path / "out", settings).has(paths[0])


def test_a_picture_that_is_gone_is_not_done(paths, tmp_path):
    journal = Journal.at(tmp_path / "out", SETTINGS | {"draw_above": None})
    for path in paths[:2]:
        journal.add(detections(2, path))
        path.unlink()
    journal.add(detections(2, paths[1]))  # gone while it was looked at
    paths[0].symlink_to("nowhere")
    assert not any(journal.has(path) for path in paths[:2])


def test_a_name_is_another_picture_in_another_folder(paths, tmp_path, monkeypatch):
    journal = Journal.at(tmp_path / "out", SETTINGS)
    monkeypatch.chdir(paths[0].parent)
    journal.add(detections(2, "same.png"))
    assert journal.has(paths[0]) and journal.has(Path("same.png"))
    monkeypatch.chdir(paths[1].parent)
    assert not journal.has(Path("same.png")) and not list(journal.rows([Path("same.png")]))
    assert [row["file"] for row in journal.rows([Path("../a/same.png")])] == ["../a/same.png"]


def test_a_picture_that_is_done_anew_keeps_the_name_of_its_drawing(paths, tmp_path):
    journal = filled(tmp_path / "out", paths)
    os.utime(paths[1], (9, 9))
    (tmp_path / "out" / "002-same.png").unlink()
    assert [journal.has(path) for path in paths] == [True, False, False]
    journal.add(detections(1, paths[1]))
    for again in (journal, Journal.at(tmp_path / "out", SETTINGS)):
        [row] = again.rows([paths[1]])
        assert row["picture"] == "001-same.png" and len(row["detections"]) == 1


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"model": "def"}, "model abc, now def"),
        ({"test.nms": 0.5}, "test.nms 0.7, now 0.5"),
        ({"test.clip": False}, "test.clip None, now False"),
    ],
)
def test_other_settings_are_told_and_nothing_is_changed(paths, tmp_path, changes, told):
    filled(tmp_path / "out", paths)
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(ValueError, match=f"settings.json: {told}; nothing was changed"):
        Journal.at(tmp_path / "out", SETTINGS | changes)
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_detections_of_unknown_settings_are_not_written_over(tmp_path):
    (tmp_path / "detections.json").write_text("[]")
    with pytest.raises(ValueError, match="detections without settings.json"):
        Journal.at(tmp_path, SETTINGS)


def test_no_picture_is_an_empty_list(tmp_path):
    Journal.at(tmp_path / "out", SETTINGS).write([])
    assert json.loads((tmp_path / "out" / "detections.json").read_text()) == []


@pytest.mark.parametrize("name", ["../a.png", "/tmp/a.png", "a/b.png", "..", ".a", "a\\b", "", 5])
def test_a_line_whose_picture_leads_out_of_the_folder_is_refused(tmp_path, name):
    row = {"file": "a.png", "width": 4, "height": 4, "picture": name, "detections": []}
    (tmp_path / "settings.json").write_text(json.dumps({"draw_above": 0.3}))
    (tmp_path / "detections.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ValueError, match="detections.jsonl: line 1: picture: .*; remove the line"):
        Journal.at(tmp_path, {"draw_above": 0.3})


FIELDS = [  # place, value, the expected part of the line
    ("width", -5, "width: Input should be greater than 0"),
    ("width", "80", "width: Input should be a valid integer"),
    ("height", 10**300, "height: Input should be less than"),
    ("detections.0", {}, "detections.0.box: Field required"),
    ("detections.0.box", "a", "detections.0.box: Input should be a valid array"),
    ("detections.0.box", [1.0, 2.0, 3.0], "detections.0.box: List should have at least 4"),
    ("detections.0.box.3", float("nan"), "detections.0.box.3: Input should be a finite"),
    ("detections.0.class", GONE, "detections.0.class: Field required"),
    ("detections.0.class", ["cat"], "detections.0.class: Input should be a valid string"),
    ("detections.0.score", 2, "detections.0.score: Input should be less"),
    ("detections.0.p_object", "b", "detections.0.p_object: Input should be a valid number"),
    ("detections.0.level", None, "detections.0.level: Input should be a valid integer"),
]


@pytest.mark.parametrize(("place", "value", "told"), malformed_rows(FIELDS))
def test_a_line_of_other_fields_is_refused_with_file_and_field(paths, tmp_path, place, value, told):
    lines = filled(tmp_path / "out", paths[:1])._lines
    lines.write_text(json.dumps(put(json.loads(lines.read_text()), place, value)) + "\n")
    require_told(
        lambda: Journal.at(tmp_path / "out", SETTINGS), f"detections.jsonl: line 1: {told}"
    )


def test_lines_that_are_a_pipe_are_refused(paths, tmp_path):
    lines = filled(tmp_path / "out", paths[:1])._lines
    lines.unlink()
    os.mkfifo(lines)
    require_told(lambda: Journal.at(tmp_path / "out", SETTINGS), "detections.jsonl: not a regular")
