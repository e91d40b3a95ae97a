"""Rows that start from the training of another row: order, identity, weights."""

import pytest
import torch
import yaml

from p2s.study import runner, train_eval
from p2s.study.study import Study
from p2s.train.engine import load
from tests.support import stub_study, tiny_training
from tests.support.stub_study import Immediate

TUNED = {"recipe": {"rate": 0.001}}
ROWS = [
    {"name": "good", "detector": "CenterNet2"},
    {"name": "class", "detector": "CenterNet2", "changes": {"test": {"fusion": "class"}}},
    {"name": "tuned", "detector": "CenterNet2", "start": "good", "changes": TUNED},
    {"name": "again", "detector": "CenterNet2", "start": "tuned", "changes": TUNED},
    {"name": "bad", "detector": "FasterRCNN-CenterNet"},
]


def with_rows(project, rows):
    path = project.experiments / "t.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"rows": rows}))
    return project


@pytest.fixture
def project(tmp_path, monkeypatch):
    return with_rows(stub_study.project(tmp_path, monkeypatch), ROWS)


def runs(project):
    return {run.row: run for run in Study.load(project, "tiny").runs()}


def test_a_training_that_starts_from_another_has_an_identity_of_its_own(project):
    found = runs(project)
    good, tuned, again = (found[row] for row in ("good", "tuned", "again"))
    assert (good.start, tuned.start, again.start) == (None, good, tuned)
    assert len({run.training_id for run in found.values()}) == 4
    other = [{**ROWS[0], "changes": {"recipe": {"rate": 0.5}}}, *ROWS[1:]]
    assert runs(with_rows(project, other))["tuned"].training_id != tuned.training_id


@pytest.mark.parametrize("order", [1, -1])
def test_it_follows_the_one_that_it_starts_from(project, order):
    executor = Immediate(dict.fromkeys([row["name"] for row in ROWS], "done"))
    asked = list(runs(project).values())[::order]
    found = list(runner.outcomes(project, asked, None, executor))
    assert len(found) == 5 and {each.state for each in found} == {"done"}
    places = {row: executor.submitted.index(row) for row in ("good", "tuned", "again")}
    assert places["good"] < places["tuned"] < places["again"]


def test_where_that_fails_nothing_that_starts_from_it_is_tried(project):
    executor = Immediate({"good": "failed", "class": "failed", "bad": "done"})
    found = runner.outcomes(project, list(runs(project).values()), None, executor)
    states = {each.run.row: (each.state, each.note) for each in found}
    assert states["good"][0] == "failed" and states["bad"][0] == "done"
    for row in ("class", "tuned", "again"):
        assert states[row] == ("missing", "not started, for the training is failed")


def test_one_whose_start_is_recorded_begins_at_once(project):
    executor = Immediate({"tuned": "done", "again": "done"})
    asked = [runs(project)[row] for row in ("tuned", "again")]
    assert len(list(runner.outcomes(project, asked, None, executor))) == 2


@pytest.mark.parametrize("start", ["nowhere", "tuned", "bad"])
def test_a_start_that_is_no_row_above_is_a_line(project, start):
    rows = [*ROWS[:2], {**ROWS[2], "start": start}, ROWS[4]]
    with pytest.raises(ValueError, match=rf"row above 'tuned': start '{start}'; valid: good, cl"):
        Study.load(with_rows(project, rows), "tiny")


def test_a_start_that_this_scale_leaves_out_is_a_line(project):
    rows = [{**ROWS[0], "data": "coco"}, ROWS[1], ROWS[2]]
    with pytest.raises(ValueError, match="t.yaml: row tuned: start: row good has no .* scale tiny"):
        Study.load(with_rows(project, rows), "tiny").runs()


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    """Two rows at a scale as small as can be; the second hardly moves from where it starts."""
    still = {"recipe": {"rate": 1e-12, "weight_decay": 0.0}}
    rows = [
        {"name": "first", "detector": "CenterNet*"},
        {"name": "second", "detector": "CenterNet*", "start": "first", "changes": still},
    ]
    return tiny_training.study_of(tmp_path_factory.mktemp("study"), rows)


def test_the_weights_are_those_of_the_other_row(of_two):
    first, second = Study.load(of_two, "smoke").runs()
    data, _ = train_eval.load_data(first, of_two)
    models = [train_eval.trained(run, of_two, data)[0] for run in (second, first)][::-1]
    one, other = (dict(model.named_parameters()) for model in models)
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=1e-6)
    kept = load(of_two.weights(second))[1].recipe.start
    assert kept == f"training {first.training_id}"
