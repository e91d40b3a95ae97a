"""Temporary folders: private, gone after use, and gone at the next start after kill -9."""

import os
import re
import signal
import subprocess
import sys
import tempfile

import pytest

from p2s.scratch import scratch
from tests.support import ROOT

HOLD = """
import sys, time
from pathlib import Path
from p2s.scratch import scratch
with scratch(*map(Path, sys.argv[1:])) as folder:
    (folder / "socket").touch()
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def held(*parent):
    words = [sys.executable, "-c", HOLD, *parent]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def test_a_folder_is_private_and_gone_afterwards(temporary):
    with scratch() as folder:
        assert folder.parent == temporary and folder.stat().st_mode & 0o777 == 0o700
        (folder / "a").touch()
    assert not [*temporary.iterdir()]
    with pytest.raises(KeyError), scratch():
        raise KeyError
    assert not [*temporary.iterdir()]


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_not(temporary):
    (killed, orphan), (alive, kept) = held(), held()
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert os.path.exists(orphan)
        with scratch():
            assert not os.path.exists(orphan) and os.path.exists(f"{kept}/socket")
    finally:
        alive.kill()
        alive.wait()
    with scratch():
        pass
    assert not [*temporary.iterdir()]


def test_a_link_with_the_name_of_a_lock_leads_nowhere(temporary):
    (temporary / "mine").mkdir()
    (temporary / "p2s-a").symlink_to(temporary / "mine")
    (temporary / "p2s-a.lock").symlink_to(temporary / "precious")
    (temporary / "precious").write_text("kept")
    with scratch():
        pass
    assert (temporary / "mine").is_dir() and (temporary / "precious").read_text() == "kept"


def test_what_was_killed_in_a_given_folder_is_removed_by_the_next_there(tmp_path):
    parent = tmp_path / "beside"
    parent.mkdir()
    process, orphan = held(parent)
    process.kill()
    process.wait()
    assert os.path.exists(orphan)
    with scratch(parent) as folder:
        assert folder.parent == parent and not os.path.exists(orphan)
    assert not [*parent.iterdir()]


def test_no_module_makes_temporary_folders_that_a_kill_leaves():
    modules = (ROOT / "p2s").rglob("*.py")
    plain = [each for each in modules if re.search("TemporaryDirectory|mkd?temp", each.read_text())]
    assert not plain
