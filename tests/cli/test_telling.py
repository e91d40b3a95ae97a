"""Telling: whatever outside text an error holds, it is short lines that no terminal obeys."""

import pytest
from safetensors.torch import load_file, save_file

from p2s.cli.telling import in_a_line, plain
from tests.support.commands import p2s
from tests.support.malformed import require_line
from tests.support.tiny import lively_folder


@pytest.mark.parametrize("text", ["x" * 10**6, "a\x1b[31mb\x07", "\udc80\x9b"])
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
