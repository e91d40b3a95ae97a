"""A study: what it runs, what it tells of its records, and the plan of what is left."""

import json
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import yaml
from jupyter_client.provisioning.local_provisioner import LocalPortCache
from PIL import Image

from p2s.report.results import results
from p2s.spec import identity
from p2s.study import records, runner, runs, status, times
from p2s.study.study import Study
from tests.support import stub_study
from tests.support.stub_study import SCALE, Immediate, cell, record_of, states


@pytest.fixture
def project(tmp_path, monkeypatch):
    return stub_study.project(tmp_path, monkeypatch)


def test_a_study_runs_what_is_missing_tells_what_failed_and_goes_on(project, capsys):
    (project.root / "break bad").touch()
    with ThreadPoolExecutor(2) as executor:
        assert status.run(Study.load(project, "tiny"), executor) == 1
        assert states(project) == {"good": "done", "class": "done", "bad": "failed"}
        executed = project.executed(cell(project, "bad"))
        line = f"t | bad | seed 0: cell 3: RuntimeError: no luck ({executed})"
        assert line in capsys.readouterr().out and "no\\nluck" in executed.read_text()
        (project.root / "break bad").unlink()
        (project.root / "begun good").unlink()
        assert status.run(Study.load(project, "tiny"), executor) == 0  # only what had failed
    assert not (project.root / "begun good").exists()
    found, _ = records.survey(project.records("tiny"))
    assert {each.machine["threads"] for each in found.values()} == {1}


def test_a_deleted_edited_or_stale_record_is_missing(project, monkeypatch):
    deleted, edited = record_of(project, "good"), record_of(project, "class")
    record_of(project, "bad")
    assert set(states(project).values()) == {"done"}
    deleted.unlink()
    edited.write_text(edited.read_text().replace('"seed": 0', '"seed": 1'))
    assert states(project) == {"good": "missing", "class": "missing", "bad": "done"}
    monkeypatch.setattr(identity, "NUMERICS_VERSION", identity.NUMERICS_VERSION + 1)
    assert states(project)["bad"] == "missing"


@pytest.mark.parametrize("fields", [{"training_id": "x"}, {"scale": "desk"}, {"seed": 9}])
def test_a_record_of_another_run_under_its_id_does_not_count(project, fields, capsys):
    path = record_of(project, "good")
    records.write(records.read(path).model_copy(update=fields), path.parent)
    assert states(project)["good"] == "missing"
    status.status(Study.load(project, "tiny"))
    assert f"{path.name}: of training " in capsys.readouterr().out
    study = Study.load(project, "tiny")
    [run] = [run for run in study.runs() if run.evaluation_id == path.stem]
    assert study.records[path.stem] and study.record(run) is None
    assert not results(study, run.experiment).records


def test_a_record_of_another_run_is_made_anew(project):
    path, *_ = [record_of(project, name) for name in ("good", "class", "bad")]
    records.write(records.read(path).model_copy(update={"seed": 9}), path.parent)
    with ThreadPoolExecutor(1) as executor:
        assert status.run(Study.load(project, "tiny"), executor) == 0
    assert states(project)["good"] == "done" and records.read(path).seed == 0


def test_status_tells_older_code_damage_strays_and_the_time_left(project, capsys):
    edited = record_of(project, "class")
    edited.write_text(edited.read_text().replace('"seed": 0', '"seed": 1'))
    stray = record_of(project, "good")
    record = records.read(stray).model_copy(update={"id": "other"})
    records.write(record, stray.parent)
    status.status(Study.load(project, "tiny"))
    told = capsys.readouterr().out
    assert "good | seed 0: by older code" in told and "class | seed 0: " in told
    assert "edited by hand" in told and "1 more records" in told
    assert "1 done, 0 running, 0 failed, 2 missing; left: about 2.2 hours" in told


@pytest.mark.parametrize("tell", [status.plan, status.status])
def test_a_name_of_anybodys_moves_no_terminal(project, capsys, tell):
    path = project.experiments / "t.yaml"
    path.write_text(path.read_text().replace("name: good", 'name: "\\u202Egood"'))
    tell(Study.load(project, "tiny"))
    told = capsys.readouterr().out
    assert "\u202e" not in told and "\\u202egood" in told


def test_a_plan_counts_shared_trainings_once_and_cached_ones_not(project, capsys):
    ahead = status.plan(Study.load(project, "tiny"), jobs=2)
    assert (len(ahead.trainings), len(ahead.evaluations)) == (2, 3)
    assert ahead.sources == (times.GUESSED,)
    assert ahead.seconds == 3600 * (2 + 3 * times.EVALUATION_SHARE) + 3 * status.START_S
    assert "about 69 min with 2 at once (guessed" in capsys.readouterr().out
    weights = project.weights(ahead.trainings[0])
    weights.mkdir(parents=True)
    (weights / "model.safetensors").touch()
    assert len(status.plan(Study.load(project, "tiny")).trainings) == 1


def test_a_plan_does_not_use_times_of_another_number_of_classes(project):
    known = {"train_s": 100.0, "evaluate_s": 10.0}
    record_of(project, "good", classes=1203, timings=known)
    evaluations = 2 * (3600 * times.EVALUATION_SHARE + status.START_S)
    assert status.plan(Study.load(project, "tiny")).seconds == pytest.approx(2 * 3600 + evaluations)


def test_a_plan_uses_measured_times_of_the_same_detector(project):
    record_of(project, "good", timings={"train_s": 100.0, "evaluate_s": 10.0})
    ahead = status.plan(Study.load(project, "tiny"))
    other = 3600 * (1 + times.EVALUATION_SHARE)
    assert ahead.seconds == pytest.approx(100 + 10 + other + 2 * status.START_S)
    assert ahead.sources == (times.MEASURED, times.GUESSED)


def test_more_jobs_than_trainings_make_no_training_shorter(project):
    ahead = status.plan(Study.load(project, "tiny"), jobs=100)
    evaluations = (3 * 3600 * times.EVALUATION_SHARE + 3 * status.START_S) / 3
    assert ahead.at_once(100) == pytest.approx(3600 + evaluations)


def test_settings_that_cannot_train_stop_before_anything_runs(project):
    told = (
        r"t\.yaml: t | good | seed 0: recipe.batch 16 for 3 processes: .*valid: processes 1, 2, 4"
    )
    with pytest.raises(ValueError, match=told.replace("|", r"\|")):
        status.run(Study.load(project, "tiny"), executor=None, processes=3)


@pytest.mark.parametrize(
    "given, told",
    [
        ({"sede": 1}, r"unknown parameter sede; valid: .*seed \(int\)"),
        ({"seed": "x"}, r"ipynb: seed: 'x'; valid: .*seed \(int\)"),
        ({"row": "a", "seed": True}, "ipynb: seed: True; valid: "),
        ({"row": 5}, "ipynb: row: 5; valid: "),
    ],
)
def test_unknown_or_wrongly_typed_parameters_are_refused(project, given, told):
    template = project.root / "notebooks" / "train_eval.ipynb"
    with pytest.raises(ValueError, match=told):
        runs.typed(template, given)
    assert runs.typed(template, {"seed": "3", "row": "a"}) == {"seed": 3, "row": "a"}


def test_a_notebook_with_other_parameters_stops_before_anything_runs(project):
    path = project.root / "notebooks" / "train_eval.ipynb"
    path.write_text(path.read_text().replace("variant: str", "variation: str"))
    with pytest.raises(ValueError, match="unknown parameter variant"):
        status.run(Study.load(project, "tiny"), executor=None)


@pytest.mark.parametrize(
    "change", [{"nbformat": 3}, {"cells": [{"cell_type": "code", "source": "a"}]}, {"cells": []}]
)
def test_a_notebook_that_is_none_is_told_with_its_file(project, change):
    path = project.root / "notebooks" / "train_eval.ipynb"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match="train_eval.ipynb: (not a notebook: .|unknown param)"):
        status.run(Study.load(project, "tiny"), executor=None)


def test_a_pipe_is_no_notebook_and_no_note_of_a_failure(project):
    study = Study.load(project, "tiny")
    run, template = study.runs()[0], project.root / "pipe"
    os.mkfifo(template)
    with pytest.raises(ValueError, match="pipe: not a regular file"):
        runs.typed(template, {})
    failure = project.failure(run)
    failure.parent.mkdir(parents=True)
    os.mkfifo(failure)
    assert "failed: not a regular file" in status.standings(study)[0].note
    assert runner._failed(project, run, "no luck").note == status.standings(study)[0].note
    failure.write_bytes(b"\xff\xfe")
    assert "failed: not UTF-8, at byte 0" in status.standings(study)[0].note


@pytest.fixture
def of_photographs(project):
    """The same study on photographs that are not there."""
    data = {"kind": "coco", "train": "a.json", "val": "b.json", "images": "."}
    scale = SCALE | {"changes": SCALE["changes"] | {"data": data}}
    (project.experiments / "scales.yaml").write_text(yaml.safe_dump({"tiny": scale}))
    return project


def test_missing_coco_files_stop_before_anything_runs(of_photographs):
    with pytest.raises(
        FileNotFoundError, match=r"a\.json, .*b\.json: not found; scale tiny needs it$"
    ):
        status.run(Study.load(of_photographs, "tiny"), executor=None)


def test_faults_in_coco_files_stop_before_anything_runs(of_photographs):
    image = {"id": 1, "file_name": "1.jpg", "width": 8, "height": 8}
    box = {"id": 1, "image_id": 1, "category_id": 2, "bbox": [0, 0, 9, 4]}
    tables = {"images": [image], "annotations": [box], "categories": [{"id": 1}]}
    for name in ("a.json", "b.json"):
        (of_photographs.root / name).write_text(json.dumps(tables))
    with pytest.raises(
        ValueError, match=r"(?s)a\.json: image 1: .*1\.jpg: no such.*b\.json: .*category_id: 2"
    ):
        status.run(Study.load(of_photographs, "tiny"), executor=None)


def test_what_is_doubted_of_own_files_is_told_before_anything_runs(of_photographs, capsys):
    tables = {
        "images": [{"id": 1, "file_name": "1.png", "width": 8, "height": 8}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}],
        "categories": [{"id": 1}, {"id": 2}],
    }
    Image.new("RGB", (8, 8)).save(of_photographs.root / "1.png")
    for name in ("a.json", "b.json"):
        (of_photographs.root / name).write_text(json.dumps(tables))
    study = Study.load(of_photographs, "tiny")
    assert status.run(study, Immediate(dict.fromkeys(("good", "class", "bad"), "done"))) == 0
    told = capsys.readouterr().err
    assert (
        "warning: a.json: categories: 1 of 2" in told and "1 of 1 pictures are like ones of" in told
    )


@pytest.mark.parametrize(
    "state, ended",
    [("done", "done"), ("failed", "missing"), (OSError("x"), "missing")],
)
def test_siblings_wait_for_the_first_evaluation_of_their_training(project, state, ended):
    executor = Immediate({"good": state, "class": "done", "bad": "done"})
    found = list(runner.outcomes(project, Study.load(project, "tiny").runs(), None, executor))
    assert executor.submitted == ["good", "bad"] + ["class"] * (ended == "done")
    assert {each.run.row: each.state for each in found}["class"] == ended


def test_a_port_that_something_else_takes_fails_no_run(project, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(LocalPortCache, "find_available_port", lambda self, ip: port)
        standing = runner.execute(project, cell(project, "good"), project.root / status.TRAIN_EVAL)
    assert standing.state == "done", standing.note


@pytest.mark.parametrize(
    "broken, told", [(OSError("disk\nfull"), "OSError: disk full"), (None, "without a record")]
)
def test_any_failure_is_one_line_and_remembered(project, monkeypatch, broken, told):
    def fail(*_):
        if broken:
            raise broken

    monkeypatch.setitem(
        sys.modules,
        "papermill",
        SimpleNamespace(PapermillExecutionError=KeyError, execute_notebook=lambda *a, **k: fail()),
    )
    standing = runner.execute(project, Study.load(project, "tiny").runs()[0], "t.ipynb")
    assert standing.state == "failed" and told in standing.note and "\n" not in standing.note
    assert status.standings(Study.load(project, "tiny"))[0] == standing
