"""A record made again from nothing has equal numbers; what differs is told, and by how much."""

import math
from pathlib import Path

import pytest

from p2s.report.tables import reproduced
from p2s.study import records, train_eval
from p2s.study.reproduction import Numbers, Reproduction, numbers
from p2s.study.study import Study
from tests.support import tiny_training
from tests.support.commands import p2s

ROWS = [{"name": "one", "detector": "CenterNet*"}]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A study of one run, and its record."""
    project = tiny_training.study_of(tmp_path_factory.mktemp("study"), ROWS)
    [run] = Study.load(project, "smoke").runs()
    return project, records.write(train_eval.made(run, project), project.records("smoke"))


@pytest.fixture
def again(recorded, monkeypatch):
    """The command, in a folder that has made the record again already."""
    project, path = recorded
    monkeypatch.chdir(project.root)
    return lambda path: p2s("study", "reproduce", path, "--output", project.root / "again")


def test_made_again_from_nothing_it_is_equal_to_the_last_bit(recorded, again):
    project, path = recorded
    done = again(path)
    assert done.exit_code == 0, done.output
    assert "weights: equal to the last bit" in done.output
    assert (project.root / "again" / "weights").is_dir()
    kept = records.read(project.reproduced / path.name, Reproduction)
    assert kept.equal and kept.label == "t | one | seed 0"
    assert {"metrics", "curve", "scenes"} <= kept.parts.keys()
    page = reproduced.products(project).pages[""]
    count = sum(part.count for part in kept.parts.values())
    assert "smoke: t | one | seed 0 | equal     |" in page and f"{count} of {count}" in page
    assert all(part.count == part.equal > 0 for part in kept.parts.values())
    assert kept.made["machine"]["cpu"] == kept.again["machine"]["cpu"]


def test_a_number_that_differs_is_named_with_its_difference(recorded, again):
    project, path = recorded
    kept, record = path.read_bytes(), records.read(path)
    other = record.model_copy(update={"metrics": record.metrics | {"AP": 50.0}, "weights": "0"})
    records.write(other, project.records("smoke"))
    done = again(path)
    path.write_bytes(kept)
    assert done.exit_code == 1 and "weights: different" in done.output
    differs = 50.0 - record.metrics["AP"]
    assert f"numbers are equal; most differs AP, by {differs:.3g}" in done.output
    page = reproduced.products(project).pages[""]
    assert f"| AP {differs:.3g} " in page and "| different |" in page


def test_a_record_that_nothing_asks_for_any_more_is_a_line(recorded, again, tmp_path):
    project, path = recorded
    older = records.read(path).model_copy(update={"id": "0" * 16})
    done = again(records.write(older, tmp_path))
    assert done.exit_code == 2 and "of other settings or an older numerics version" in done.output
    assert "a record that `p2s study status` counts as done" in done.output


def test_without_a_record_it_is_refused(again):
    assert again(Path("nothing.json")).exit_code == 2


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"a": 1.0, "b": [2, 3]}, {"a": 1.0, "b": [2, 3]}, Numbers(count=3, equal=3)),
        ({"a": [1.0, 2.0]}, {"a": [1.5, 4.0]}, Numbers(count=2, equal=0, most=2.0, where="a.1")),
        ({"a": None}, {"a": None}, Numbers(count=1, equal=1)),
        ({"a": None}, {"a": 0.0}, Numbers(count=1, equal=0, most=math.inf, where="a")),
        ({"a": 1, "word": "x"}, {"b": 1}, Numbers(count=2, equal=0, most=math.inf, where="a")),
        ({}, {}, Numbers(count=0, equal=0)),
    ],
)
def test_nested_numbers_are_compared_by_name(one, other, expected):
    assert numbers(one, other) == expected


def test_a_number_that_is_there_once_only_is_told_so():
    kept = numbers({"APs": None, "AP": 1.0}, {"APs": 3.0, "AP": 1.0})
    assert str(kept) == "1 of 2 numbers are equal; most differs APs, is there once only"
    one = Reproduction(
        id="0",
        label="a run",
        scale="smoke",
        weights=True,
        parts={"metrics": Numbers.model_validate_json(kept.model_dump_json())},
        made={"machine": {}, "versions": {}},
        again={"machine": {}, "versions": {}},
    )
    [row] = reproduced.table([one]).to_dict("records")
    assert row["metrics differ by"] == "APs is there once only"
