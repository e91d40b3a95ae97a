import re
import signal
import subprocess
import sys

import pytest
from pydantic import ValidationError

import p2s
from p2s import files
from p2s.files import first_problem
from p2s.spec import Spec


def test_a_byte_order_mark_does_not_matter_in_json(tmp_path):
    path = tmp_path / "classes.json"
    path.write_text('["猫", "b"]', encoding="utf-8-sig")
    assert files.read_json(path, list[str]) == ["猫", "b"]


HOLD = """
import sys, time
from pathlib import Path
from p2s import files
with files._partial(Path(sys.argv[1])) as file:
    print(file.name, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """A process that is writing a file, and the name of what it has written so far."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "a.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process, tmp_path / process.stdout.readline().strip()
        process.kill()


@pytest.mark.parametrize("number", [None, signal.SIGKILL])
def test_what_a_killed_writer_left_is_removed_and_what_is_being_written_is_not(writer, number):
    process, partial = writer
    if number:
        process.send_signal(number)
        process.wait()
    assert partial.exists()
    files.write_atomic(partial.with_name("b.json"), b"")
    assert partial.exists() == (number is None)


def test_a_full_disk_is_told_with_the_file(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*a.json'"):
        files.write_atomic(tmp_path / "a.json", b"")
    assert not [*tmp_path.iterdir()]


def test_what_is_not_valid_is_told_with_what_was_given():
    told = []
    for change in ({"recipe": {"batch": 0}}, {"recipe": {"batch": -(10**10)}}, {"first": "rpm"}):
        with pytest.raises(ValidationError) as error:
            Spec().changed(change)
        told.append(first_problem(error.value))
    assert told[0] == "recipe.batch: Input should be greater than 0, not 0"
    assert told[1] == "recipe.batch: Input should be greater than 0"  # too long to be told
    assert re.fullmatch(r"first_stage.design: rpm \(valid: rpn, .*, fcos\)", told[2])


def test_the_package_lists_what_it_has():
    assert {"load", "build", "optimize", "Spec", "__version__"} <= {*dir(p2s)}


def test_a_line_of_anybodys_text_is_short_and_a_terminal_obeys_nothing_in_it():
    assert files.shortened("a\n b\x1b[31m\x9b\ud800") == "a b\\x1b[31m\\x9b\\ud800"
    assert files.shortened("é 日本\u200d") == "é 日本\u200d"
    line = files.shortened(f"first {'x' * 10**6} last")
    assert len(line) < 1000 and line.startswith("first ") and line.endswith(" last")
