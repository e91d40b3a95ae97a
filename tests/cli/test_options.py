"""Options: their words, paths and numbers, and the experiment behind defaults of `p2s train`."""

import json
from pathlib import Path
from shutil import copytree
from typing import get_args

import click
import pytest
from filelock import FileLock

from p2s.cli import job, main
from p2s.cli.paths import Given
from p2s.model.device import PRECISIONS
from p2s.study.executors import Local, Slurm
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT
from tests.support.commands import p2s
from tests.support.malformed import require_line
from tests.support.tiny import photo

ADAMW = {"recipe": {"optimizer": "adamw", "rate": 0.004}}  # as --set takes them
OPTIMISERS = {"SGD": (), "AdamW": (ADAMW,)}
TRUNKS = {"from scratch": None, "Lite0": "lite0"}


@pytest.fixture(scope="module")
def runs():
    return Study.load(Project.at(ROOT), "pictures").asked(["defaults"])


def asked_of_train(row, classes):
    """The Spec of `p2s train` with the options that a row names."""
    detector, optimiser, trunk, *_ = row.split(", ")
    files = {"train": "a.json", "val": "b.json", "images": "images", "output": "model"}
    options = {"detector": detector, "backbone": TRUNKS[trunk], "settings": OPTIMISERS[optimiser]}
    asked = job.Job(**files, **options, seed=0, iterations=2000, weights=None)
    return asked.spec([str(number) for number in range(classes)])


def test_a_row_is_what_train_makes_of_its_options(runs, monkeypatch):
    monkeypatch.setattr(job, "trunk_file", lambda name: Path("there.pth"))
    for run in runs:
        spec = asked_of_train(run.row, run.spec.num_classes)
        where = {"weights": run.spec.backbone.weights}
        test = {name: getattr(run.spec.test, name) for name in ("fusion", "score_threshold")}
        spec = spec.changed({"backbone": where, "test": test})
        assert spec.model_copy(update={"data": run.spec.data}) == run.spec, run.label


def test_all_see_the_same_three_sets_and_scores_share_a_training(runs):
    sets = {run.train_fingerprint for run in runs}
    assert len(sets) == 3 and len({run.training_id for run in runs}) == 6 * 3
    by_training = {}
    for run in runs:
        by_training.setdefault(run.training_id, set()).add(run.spec.test.score_threshold)
    assert all(thresholds == {0.0, 0.05} for thresholds in by_training.values())


def test_the_command_offers_the_precisions_that_there_are():
    assert f"[{'|'.join(PRECISIONS)}]" in p2s("train", "--help").output


@pytest.mark.parametrize("executor", [Local, Slurm])
def test_so_does_an_executor(executor):
    assert get_args(executor.model_fields["precision"].annotation) == PRECISIONS


def paths_of(group, *names):
    """The words of each command and each of its options and arguments that is a path."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from paths_of(command, *names, name)
        else:
            for param in command.params:
                if isinstance(param.type, click.Path):
                    yield (*names, name), param


PATHS = [pytest.param(*each, id=" ".join([*each[0], each[1].name])) for each in paths_of(main.main)]


@pytest.fixture
def here(model, tmp_path, monkeypatch):
    """A folder with a model, pictures and annotations of none, in which a command runs."""
    copytree(model, tmp_path / "m")
    photo(tmp_path / "photos" / "0.png")
    for name in ("a.json", "m/settings.json", "oc/detections.json", "oc/coco_results.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(dict.fromkeys(("images", "categories"), [])))
    (tmp_path / "link.json").hardlink_to(tmp_path / "a.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command, param", PATHS)
def test_no_path_is_empty(here, command, param):
    assert isinstance(param.type, Given)
    word = (param.opts[0], "") if isinstance(param, click.Option) else ("",)
    before = contents(here)
    done = p2s(*command, *word)
    assert done.exit_code == 2 and contents(here) == before
    require_line(done.stderr, f"{word[0] or param.human_readable_name} '': no path")


EVALUATE = "evaluate --model m --annotations a.json --images photos"
TRAIN = "--val a.json --images photos"


@pytest.mark.parametrize(
    "words, told",
    [
        (f"{EVALUATE} --output a.json", "--output a.json: --annotations reads a.json"),
        ("evaluate --output a.json --annotations a.json", "--output a.json: --annotations"),
        (f"{EVALUATE} --output photos/../a.json", "--annotations reads"),
        (f"{EVALUATE} --submit link.json", "--submit link.json: --annotations reads"),
        (f"{EVALUATE} --output m/model.safetensors", "--output .*: --model reads m/model.safe"),
        (f"{EVALUATE} --submit m/classes.json", "--submit .*: --model reads m/classes.json"),
        (f"{EVALUATE} --output photos/0.png", "--output .*: --images reads photos/0.png"),
        ("export m --to onnx --output m/model.safetensors", "--output .*: MODEL reads m/model"),
        ("export m --to onnx --output m/spec.json", "--output .*: MODEL reads m/spec.json"),
        (
            "predict --model m photos --coco oc/coco_results.json --output oc",
            "--output oc: --coco reads oc/coco_results.json",
        ),
        ("predict --model m photos --output m", "--output m: --model reads m/settings.json"),
        ("pseudo-label --model m --images photos --output m", "--output m: --model reads"),
        (f"train --train a.json {TRAIN} --start m --output m", "--output m: --start reads m/"),
        (f"train --train m/classes.json {TRAIN} --output m", "--output m: --train reads m/cl"),
    ],
)
def test_what_a_command_reads_it_does_not_write_over(here, words, told):
    before = contents(here)
    done = p2s(*words.split())
    assert done.exit_code == 2 and contents(here) == before
    require_line(done.stderr, f"^p2s: .*{told}.* overwritten .valid: another path")


@pytest.mark.parametrize("name", ["m/metrics.json", "numbers.json", "photos/numbers.json"])
def test_what_was_written_before_is_written_anew(here, name):
    (here / name).write_text("{}")
    done = p2s(*EVALUATE.split(), "--output", name)
    assert "overwritten" not in done.stderr and "a.json: images" in done.stderr


@pytest.mark.parametrize(
    "words", ["predict --model m photos", "pseudo-label --model m --images photos"]
)
def test_into_one_folder_one_process_detects_at_a_time(here, words):
    (here / "out").mkdir()
    with FileLock(here / "out" / ".lock"):
        before = contents(here)
        done = p2s(*words.split(), "--output", "out")
        assert done.exit_code == 2 and contents(here) == before
        require_line(done.stderr, "--output out: another process writes into it .valid: another")
    (here / "m" / "settings.json").unlink()
    assert p2s(*words.split(), "--output", "out").exit_code == 0


def numbers_of(group, *names):
    """The words of each command and each of its options that is a number."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from numbers_of(command, *names, name)
        else:
            for param in command.params:
                if isinstance(param.type, click.types.IntParamType | click.types.FloatParamType):
                    yield pytest.param((*names, name, param.opts[0]), param.nargs, id=param.name)


@pytest.mark.parametrize("words, count", [*numbers_of(main.main)])
@pytest.mark.parametrize("value", ["٣", "1_0", " 1", "½"])
def test_a_number_is_in_plain_digits(words, count, value):
    done = p2s(*words, *[value] * count)
    assert done.exit_code == 2 and f"{value!r} is not a number in digits 0 to 9" in done.stderr
