"""Paths: none that is given is empty, and nothing that a command reads is written over."""

import json
from shutil import copytree

import click
import pytest
from filelock import FileLock

from p2s.cli.main import main
from p2s.cli.paths import Given
from tests.support.commands import p2s
from tests.support.malformed import require_line
from tests.support.tiny import photo


def paths_of(group, *names):
    """The words of each command and each of its options and arguments that is a path."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from paths_of(command, *names, name)
        else:
            for param in command.params:
                if isinstance(param.type, click.Path):
                    yield (*names, name), param


PATHS = [pytest.param(*each, id=" ".join([*each[0], each[1].name])) for each in paths_of(main)]


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
