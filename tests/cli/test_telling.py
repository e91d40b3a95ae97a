"""Telling: whatever outside text an error holds, it is short lines that no terminal obeys."""

import json

import pytest
from safetensors.torch import load_file, save_file

from p2s.cli.telling import in_a_line, plain
from tests.support import ROOT
from tests.support.commands import p2s
from tests.support.malformed import require_line
from tests.support.tiny import lively_folder, photo


@pytest.mark.parametrize(
    "text", ["x" * 10**6, "a\x1b[31mb\x07", "\udc80\x9b", "\u202egpj\u2066\u2069"]
)
def test_lines_of_outside_text_are_short_and_plain(text):
    for line in plain(f"{text}\nfile: {text}: why").splitlines():
        require_line(line)
        assert line.isprintable()


@pytest.mark.parametrize(
    "words",
    [
        ("info", "y" * 5000),
        ("glyphs", "--output", "found", "--set", f"size=*{'a' * 10**5}"),
        ("glyphs", "--output", "found", "--set", f"{'b' * 5000}=1"),
        ("replay", f"\x1b[31m{'c' * 300}"),
        ("predict", "--model", "glyphs", "--output", "found", "d\x1b[31m" * 999),
    ],
)
def test_a_command_tells_its_error_so(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = p2s(*words)
    assert done.exit_code == 2
    for line in done.stderr.splitlines():
        assert len(line) < 1000 and line.isprintable(), line[:200]


def test_a_line_keeps_the_spaces_of_a_name():
    assert plain("photos/a  b.jpg: not\nread") == "photos/a  b.jpg: not\nread"


def test_an_error_in_a_line_keeps_its_end():
    assert in_a_line(ValueError(f"{'x' * 5000}; valid: all")).endswith("; valid: all")


def test_weights_whose_numbers_overflow_are_named(tmp_path, photos):
    path = lively_folder(tmp_path / "mine") / "model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if name.endswith("conv1.weight"))
    save_file(tensors | {name: tensors[name] * 0 + 3e38}, path, {"training_id": "0123"})
    done = p2s("predict", "--model", path.parent, "--output", tmp_path / "out", *photos)
    assert done.exit_code == 2
    require_line(done.stderr.splitlines()[-1], "mine/model.safetensors: .*(non-finite|not finite)")


HOSTILE = "a\x1b]0;owned\x07\u202eb\x9b"


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """The folder of a model, pictures and annotations with names that a terminal would obey."""
    monkeypatch.chdir(tmp_path)
    names = [f"{HOSTILE}{number}" for number in range(4)]
    (lively_folder(tmp_path / "m") / "classes.json").write_text(json.dumps(names[1:]))
    photo(tmp_path / "photos" / "0.png")
    box = {"image_id": 0, "category_id": 1, "bbox": [5, 4, 40, 30], "area": 1200, "iscrowd": 0}
    tables = {
        "images": [{"id": 0, "file_name": "0.png", "width": 80, "height": 60}],
        "annotations": [{"id": number, **box} for number in range(101)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names[:2])],
    }
    (tmp_path / "a.json").write_text(json.dumps(tables))
    tables["categories"] = tables["categories"][1:]
    (tmp_path / "b.json").write_text(json.dumps(tables))


TRAIN = "train --train a.json --val a.json --images photos --start m --iterations 1 --output out"


@pytest.mark.parametrize(
    "words, told",
    [
        ("info m", ["classes "]),
        (TRAIN, ["left behind: a", "more than 100 objects", "AP of a", "classes kept: a"]),
        ("predict --model m photos/0.png --coco b.json --output out", ["not there: "]),
        ("evaluate --model m --annotations b.json --images photos --submit out.json", ["there: "]),
        ("evaluate --model m --annotations a.json --images photos", [f"a{chr(92)}x1b", "valid"]),
    ],
)
def test_names_in_what_a_command_says_are_plain(hostile, words, told):
    done = p2s(*words.split())
    assert done.exit_code in (0, 2) and all(text in done.output for text in told), done.output
    assert all(line.isprintable() or not line for line in done.output.split("\n"))


def test_commands_print_by_nothing_else():
    modules = (ROOT / "p2s" / "cli").glob("*.py")
    assert [path.name for path in modules if "click.echo" in path.read_text()] == ["telling.py"]
