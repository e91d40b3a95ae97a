"""The command: from annotation files to pictures, errors in one line, nothing lost when stopped."""

import json
import os
import pickle
import re
import shutil
import signal

import pytest

from p2s import NO_DETECTRON2
from p2s.cli import evaluation
from p2s.data import glyphs
from p2s.spec import Glyphs
from p2s.spec import Test as Settings
from p2s.train import engine, replay
from p2s.train import processes as ranks
from p2s.train.engine import load
from tests.support.commands import in_a_process, p2s, without, words_of_train


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    scenes = Glyphs(train=6, val=3, size=64, classes=2)
    return glyphs.prepare(scenes, tmp_path_factory.mktemp("glyphs"))


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return folder, p2s(*words_of_train(files, folder))


def test_help_needs_no_torch():
    done = in_a_process("--help")
    assert done.returncode == 0 and "predict" in done.stdout and done.stdout.endswith("False\n")
    assert done.stderr == ""


def test_a_sick_data_set_is_told_line_by_line_before_any_work(files, tmp_path):
    sick = json.loads(files.train.read_text())
    sick["annotations"][0]["bbox"][2] = 0
    sick["annotations"][1]["category_id"] = 77
    (tmp_path / "sick.json").write_text(json.dumps(sick))
    changed = files.model_copy(update={"train": tmp_path / "sick.json"})
    done = in_a_process(*words_of_train(changed, tmp_path / "out"))
    assert done.returncode == 2 and done.stdout == "False\n"
    assert len(done.stderr.splitlines()) == 2 and done.stderr.count("sick.json") == 2
    assert not (tmp_path / "out").exists()


def test_a_picture_outside_of_the_folder_is_told_before_any_work(files, tmp_path):
    sick = json.loads(files.train.read_text())
    sick["images"][2]["file_name"] = "../../etc/hostname"
    (tmp_path / "sick.json").write_text(json.dumps(sick))
    changed = files.model_copy(update={"train": tmp_path / "sick.json"})
    done = p2s(*words_of_train(changed, tmp_path / "out"))
    [line] = done.stderr.splitlines()
    assert done.exit_code == 2 and not (tmp_path / "out").exists()
    assert line.startswith("sick.json: image 2: file_name: ../../etc/hostname: outside of ")


class Trace:
    """What a weights file may hold: a call that leaves a trace."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_weights_that_hold_code_are_refused_in_a_line_and_run_nothing(files, tmp_path):
    path = tmp_path / "R-50.pkl"
    path.write_bytes(pickle.dumps({"model": Trace(tmp_path / "trace")}))
    words = (*words_of_train(files, tmp_path / "out"), "--weights", str(path))
    done = p2s(*words, "--set", "backbone.depth=50")
    [line] = done.stderr.splitlines()
    assert done.exit_code == 2 and not (tmp_path / "trace").exists()
    assert line.startswith(f"p2s: {path}: not a readable weights file: ")
    assert "it would run posix.mkdir (valid: " in line


def test_train_leaves_everything_a_run_is_asked_for(trained):
    folder, done = trained
    assert done.exit_code == 0, done.output
    names = "model.safetensors spec.json metrics.json curve.json curve.png samples.png classes.json"
    assert set(names.split()) <= set(os.listdir(folder))
    assert "batch 2" in done.output and "proposal_AR100" in done.output
    assert "rate for a batch of 2: 0.005" in done.output and "cls_loss softmax, obj" in done.output
    assert f"next: p2s predict --model {folder} " in done.stdout and "already" not in done.stderr


@pytest.mark.parametrize("processes, given, workers", [(1, (), 8), (4, (), 2), (4, (3,), 3)])
def test_each_process_has_its_share_of_the_cores(
    files, tmp_path, monkeypatch, processes, given, workers
):
    jobs = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(16), raising=False)
    monkeypatch.setattr(ranks, "together", lambda work, count: jobs.append((*work.args, count)))
    given = [word for number in given for word in ("--workers", number)]
    words = words_of_train(files, tmp_path, "--processes", processes, *given)
    done = p2s(*words, "--set", "recipe.batch=4")
    assert done.exit_code == 0, done.output
    [(job, count)] = jobs
    assert (job.workers, count) == (workers, processes)


def test_a_trained_folder_is_evaluated_again_without_training(files, trained, monkeypatch):
    monkeypatch.setattr(engine, "train_batch", None)
    before = (trained[0] / "metrics.json").read_text()
    for edited in ("{}", before.replace('"AP": ', '"AP": 9')):
        (trained[0] / "metrics.json").write_text(edited)
        done = p2s(*words_of_train(files, trained[0]))
        assert (done.exit_code, done.stdout) == (0, trained[1].stdout)
        assert "trained already, evaluated again" in done.stderr
        assert (trained[0] / "metrics.json").read_text() == before


def test_a_watched_training_ends_the_same_and_keeps_what_was_better(
    files, trained, tmp_path, monkeypatch
):
    ap = iter([1.0, 3.0, 2.0, 2.5, 2.5])
    score, watched = evaluation.score, []

    def told(data, *found):
        watched.append(len(data))
        return score(data, *found) | {"AP": next(ap)}

    monkeypatch.setattr(evaluation, "score", told)
    output = tmp_path / "out"
    done = p2s(*words_of_train(files, output, "--watch", 2, "--save-minutes", 0.5))
    assert done.exit_code == 0, done.output
    *along, _ = watched
    assert along == [2] * 4
    line = "AP 3.0 after 2 iterations, watched: the best, better than at the end"
    assert f"{line}; --model {output / 'best'}" in done.output
    name = "model.safetensors"
    assert (output / name).read_bytes() == (trained[0] / name).read_bytes()
    assert (output / "best" / name).read_bytes() != (output / name).read_bytes()
    monkeypatch.setattr(evaluation, "score", score)
    data = ("--annotations", files.val, "--images", files.images)
    assert p2s("evaluate", "--model", output / "best", *data).exit_code == 0


def test_a_deleted_model_is_made_again(files, trained):
    before = (trained[0] / "model.safetensors").read_bytes()
    (trained[0] / "model.safetensors").unlink()
    assert p2s(*words_of_train(files, trained[0])).exit_code == 0
    assert (trained[0] / "model.safetensors").read_bytes() == before


def test_an_interrupted_training_ends_the_same_when_started_again(
    files, trained, tmp_path, monkeypatch
):
    batch = engine.train_batch

    def stopping(data, recipe, seed, iteration, part):
        if iteration == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return batch(data, recipe, seed, iteration, part)

    monkeypatch.setattr(engine, "train_batch", stopping)
    stopped = p2s(*words_of_train(files, tmp_path / "cut"))
    assert stopped.exit_code == 130 and "the same command goes on" in stopped.output
    monkeypatch.setattr(engine, "train_batch", batch)
    assert p2s(*words_of_train(files, tmp_path / "cut")).exit_code == 0
    for name in ("model.safetensors", "metrics.json", "curve.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (trained[0] / name).read_bytes(), name


def test_evaluate_gives_the_metrics_of_train(files, trained, tmp_path):
    data = ("--annotations", files.val, "--images", files.images)
    done = p2s("evaluate", "--model", trained[0], *data, "--output", tmp_path / "again.json")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "again.json").read_text() == (trained[0] / "metrics.json").read_text()


def test_evaluate_writes_a_page_of_what_is_wrong_beside_the_same_numbers(files, trained, tmp_path):
    data = ("--annotations", files.val, "--images", files.images)
    done = p2s("evaluate", "--model", trained[0], *data, "--errors", tmp_path / "wrong")
    assert done.exit_code == 0, done.output
    assert done.stderr == f"{tmp_path / 'wrong' / 'errors.html'}\n"
    assert done.stdout == p2s("evaluate", "--model", trained[0], *data).stdout
    text = (tmp_path / "wrong" / "errors.html").read_text()
    assert "3 images:" in text and text.count("<figure>") == 3


@pytest.mark.parametrize("setting", ["recipe.rate=1", "nms=0.5", "test.speed=1"])
def test_evaluate_sets_test_fields_only_and_lists_them(files, trained, setting):
    data = ("--annotations", files.val, "--images", files.images)
    done = p2s("evaluate", "--model", trained[0], *data, "--set", setting)
    assert done.exit_code == 2 and len(done.output.splitlines()) == 1
    assert all(name in done.output for name in Settings.model_fields)


@pytest.mark.parametrize("output", [".", "nowhere/numbers.json", "file/numbers.json"])
def test_evaluate_refuses_a_place_for_its_numbers_before_the_work(files, tmp_path, output):
    (tmp_path / "file").touch()
    data = ("--annotations", files.val, "--images", files.images)
    done = p2s("evaluate", "--model", tmp_path, *data, "--output", tmp_path / output)
    assert done.exit_code == 2 and "Invalid value for '--output'" in done.output
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "words, told",
    [
        (("--detector", "CenterNet3"), "unknown detector 'CenterNet3'; valid: FasterRCNN-RPN"),
        (("--set", "recipe.speed=3"), "unknown speed; valid: average, batch"),
        (("--set", "recipe.batch=0"), "recipe.batch: Input should be greater than 0"),
        (
            ("--set", "second_stage.cls_loss.classes=3"),
            "second_stage: classes does nothing with cls_loss softmax; valid: federated",
        ),
        (("--set", "recipe..rate=1"), "--set recipe..rate=1: write FIELD=VALUE"),
        (("--set", "recipe.rate"), "--set recipe.rate: write FIELD=VALUE. Any field of the Spec"),
        (("--set", "recipe.rate=["), "--set recipe.rate=[: the value is not valid YAML"),
        (("--set", "recipe.rate=2024-99-99"), "rate: '2024-99-99' is not a number"),
        (("--set", "recipe.rate=30"), "more than 1 cannot train"),
        (("--seed", "1"), "another training"),
        (("--size", "0"), "size: Input should be greater than 0"),
    ],
)
def test_a_mistake_is_told_in_one_line(files, trained, words, told):
    done = p2s(*words_of_train(files, trained[0], *words))
    lines = [line for line in done.output.splitlines() if line.startswith("p2s: ")]
    assert done.exit_code == 2 and len(lines) == 1 and told in lines[0], done.output


def test_traceback_shows_where_an_error_came_from(files, trained):
    done = p2s("--traceback", *words_of_train(files, trained[0], "--seed", 1))
    assert isinstance(done.exception, ValueError)


def test_annotations_with_other_classes_than_the_model_are_refused(files, trained, tmp_path):
    other = json.loads(files.val.read_text())
    other["categories"][0]["name"] = "zebra"
    (tmp_path / "other.json").write_text(json.dumps(other))
    data = ("--annotations", tmp_path / "other.json", "--images", files.images)
    done = p2s("evaluate", "--model", trained[0], *data)
    assert done.exit_code == 2 and "zebra" in done.output


def test_replay_prints_the_losses_of_the_step(files, trained, tmp_path):
    from p2s.data import coco
    from p2s.data.loader import train_batch

    model, spec, _ = load(trained[0])
    batch = train_batch(coco.read_coco(files.train, files.images), spec.recipe, 0, 3)
    where = {"seed": 0, "iteration": 3, "rate": 0.1}
    replay.keep_step(tmp_path / "step.pt", model.train(), spec, batch, **where)
    losses, broken = replay.gradients(model, batch, 0, 3)
    done = p2s("replay", tmp_path / "step.pt")
    assert f"losses: {json.dumps(losses)}" in done.output and "iteration: 3" in done.output
    assert "broken: []" in done.output and "all levels are finite" in done.output


def test_glyphs_prints_what_train_needs(tmp_path):
    done = p2s("glyphs", "--output", tmp_path, "--set=train=2", "--set=val=1", "--set=size=48")
    assert done.exit_code == 0 and done.output.startswith("--train ")
    assert re.search(r"next: p2s predict --model glyphs .*/val/\S+ --output FOUND", done.stderr)


@pytest.mark.parametrize("setting", ["foo", "foo=2", "train.=2", "=2", ".train=2", ""])
def test_a_wrong_setting_of_glyphs_is_answered_with_the_valid_ones(tmp_path, setting):
    done = p2s("glyphs", "--output", tmp_path / "new", "--set", setting)
    assert done.exit_code == 2 and len(done.output.splitlines()) == 1
    assert all(name in done.output for name in set(Glyphs.model_fields) - {"kind"})
    assert not (tmp_path / "new").exists()


def test_validation_images_may_have_a_folder_of_their_own(files, trained, tmp_path):
    (tmp_path / "apart" / "val").parent.mkdir()
    shutil.copytree(files.images / "val", tmp_path / "apart" / "val")
    apart = words_of_train(files, tmp_path / "out", "--val-images", tmp_path / "apart")
    done = p2s(*apart, "--set", "recipe.iterations=1")
    assert done.exit_code == 0, done.output
    done = p2s(*words_of_train(files, tmp_path / "out", "--val-images", files.images / "train"))
    assert done.exit_code == 2 and "val/" in done.output


def test_a_missing_detectron2_is_told_in_one_line_by_every_command_that_needs_it(files, tmp_path):
    data = ("--annotations", files.val, "--images", files.images)
    commands = [
        words_of_train(files, tmp_path / "out"),
        ("evaluate", "--model", tmp_path, *data),
        ("predict", "--model", tmp_path, files.val, "--output", tmp_path),
        ("replay", files.val),
        ("bench", "train"),
    ]
    done = without({"detectron2"}, commands)
    assert json.loads(done.stdout) == [[2, f"p2s: {NO_DETECTRON2}\n"]] * 5, done.stderr


def test_a_training_prints_no_warnings_of_the_libraries(files, tmp_path):
    words = words_of_train(files, tmp_path / "out", "--detector", "FasterRCNN-RPN")
    done = in_a_process(*words)
    assert done.returncode == 0 and done.stderr == ""
