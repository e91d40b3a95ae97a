"""Variables of the environment: which, its value and what is valid, in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from p2s import environment
from p2s.cli import telling
from p2s.environment import Allocation, Rank, Task, cache
from p2s.study.project import Place
from p2s.train import nodes, processes
from tests.support.malformed import require_line, require_told

RANK = {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "RANK": "3", "LOCAL_RANK": "1"}
RANK |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
TASK = {"SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
COUNTS = ("0", "-3", "abc", "1.5", "1_0", "٣", " 1", "9" * 5000)
GONE, NUMBERS = ("", None), COUNTS[1:]
MORE_THAN_0, BELOW = "valid: a whole number, more than 0", "valid: a whole number, less than "
TABLE = [  # how it is read, the variable, its wrong values (None: missing), what is told as valid
    (Rank.read, "WORLD_SIZE", (*COUNTS, *GONE), MORE_THAN_0),
    (Rank.read, "LOCAL_WORLD_SIZE", (*COUNTS, *GONE, "5"), f"{MORE_THAN_0}, WORLD_SIZE at most"),
    (Rank.read, "RANK", (*NUMBERS, *GONE, "4"), f"{BELOW}WORLD_SIZE"),
    (Rank.read, "LOCAL_RANK", (*NUMBERS, *GONE, "2"), f"{BELOW}LOCAL_WORLD_SIZE"),
    (Rank.read, "MASTER_PORT", (*COUNTS, *GONE, "65536"), "valid: 1 to 65535"),
    (Rank.read, "MASTER_ADDR", GONE, "valid: a name or an address"),
    (Task.read, "SLURM_NTASKS", (*COUNTS, *GONE), MORE_THAN_0),
    (Task.read, "SLURM_PROCID", (*NUMBERS, *GONE), "valid: a whole number"),
    (Task.read, "SLURM_LOCALID", (*NUMBERS, *GONE), "valid: a whole number"),
    (Allocation.read, "SLURM_CPUS_PER_TASK", COUNTS, MORE_THAN_0),
    (Place.here, "P2S_PROCESSES", COUNTS, MORE_THAN_0),
    (Place.here, "P2S_NODES", COUNTS, MORE_THAN_0),
    (Place.here, "P2S_WORKERS", NUMBERS, "valid: a whole number"),
    (Place.here, "P2S_SAVE_MINUTES", ("often", "0", "-1", "nan", "inf"), "valid: a number, more"),
    (Place.here, "P2S_DEVICE", ("tpu", "cuda:-1", "cuda:", "CPU", "cuda:1\n"), "valid: cpu, cuda,"),
    (Place.here, "P2S_PRECISION", ("fp8", "FP32"), "valid: fp32, tf32, bf16"),
]
VALUES = [(*row[:2], value, row[3]) for row in TABLE for value in row[2]]


@pytest.fixture
def sound(monkeypatch):
    """Variables of a rank and of a task that are read."""
    for name, value in (RANK | TASK).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def change(sound, variable, value):
    sound.setenv(variable, value) if value is not None else sound.delenv(variable)


@pytest.mark.parametrize(
    ("read", "variable", "value", "valid"),
    [pytest.param(*row, id=f"{row[1]} {row[2]!r}"[:40]) for row in VALUES],
)
def test_a_variable_is_told_with_its_value_and_what_is_valid(sound, read, variable, value, valid):
    read()
    change(sound, variable, value)
    told = "missing" if value is None else repr(value[:80])
    require_told(read, rf"^\${variable}: ", valid)
    with pytest.raises(ValueError) as error:
        read()
    assert str(error.value).startswith(f"${variable}: {told} (valid: ")


def test_a_sound_one_is_read(sound):
    assert Rank.read().model_dump() == {
        "world_size": 4, "local_world_size": 2, "rank": 3, "local_rank": 1,
        "host": "127.0.0.1", "port": 29511,
    }  # fmt: skip
    assert Task.read().model_dump() == {"count": 4, "number": 3, "of_node": 1}
    assert Allocation.read().cores is None


@pytest.mark.parametrize(
    "value", ["file", "file/below", "loop", "/dev/null", "/proc/x", "x" * 5000]
)
def test_a_cache_that_can_be_none_is_told(tmp_path, monkeypatch, value):
    (tmp_path / "file").write_text("a file")
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.setenv("P2S_CACHE", str(tmp_path / value))
    require_told(lambda: cache(tmp_path), r"^\$P2S_CACHE: .*valid: a folder, or where one can be")


def test_a_cache_is_a_folder_or_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("P2S_CACHE", "")
    assert cache(tmp_path / "default") == tmp_path / "default"
    assert not (tmp_path / "default").exists()
    monkeypatch.setenv("P2S_CACHE", str(tmp_path / "a" / "b"))
    assert cache(tmp_path / "default") == tmp_path / "a" / "b" and (tmp_path / "a/b").is_dir()


@pytest.mark.parametrize("variable", RANK)
@pytest.mark.parametrize("value", ["", None, "no such one"])
def test_torchruns_variables_are_told_whoever_reads_them(sound, variable, value):
    sound.setenv("TORCHELASTIC_RUN_ID", "x")
    sound.setattr(processes, "FOUND", 0)
    change(sound, variable, value)
    require_told(lambda: processes.together(int, 1), rf"^\${variable}: ")
    if variable != "MASTER_ADDR":
        require_told(lambda: processes.asked_for(1), rf"^\${variable}: ")
        require_told(lambda: processes.on_this_machine(1), rf"^\${variable}: ")
    assert value == "no such one" and variable == "MASTER_ADDR" or telling.is_first()


def test_slurms_variables_are_told_by_the_first_node_and_by_a_rank(sound):
    sound.setenv("SLURM_CPUS_PER_TASK", "abc")
    require_told(lambda: nodes.together(int, 2, 1), r"^\$SLURM_CPUS_PER_TASK: 'abc'")
    sound.setenv("SLURM_NTASKS", "0")
    done = subprocess.run([sys.executable, "-m", "p2s.train.nodes"], capture_output=True, text=True)
    assert done.returncode == 1
    require_line(done.stderr.strip(), r"^error: \$SLURM_NTASKS: '0'")


@pytest.mark.parametrize("place", ["nowhere/x", ".", "pipe"])
def test_what_is_wrong_is_heard_whatever_torchruns_variables_are(tmp_path, place):
    os.mkfifo(tmp_path / "pipe")
    words = ("glyphs", "--output", "o", "--set", "train=0")
    told = {"TORCHELASTIC_RUN_ID": "x", "RANK": "5", "WORLD_SIZE": "1"}
    told["TORCHELASTIC_ERROR_FILE"] = str(tmp_path / place)
    command = [sys.executable, "-m", "p2s", *words]
    how = {"capture_output": True, "text": True, "cwd": tmp_path, "timeout": 60}
    done = subprocess.run(command, env=os.environ | told, **how)
    assert done.returncode == 2
    require_line(done.stderr.strip(), "^p2s: train: ")


def test_torchrun_finds_the_line_in_its_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    telling.tell("p2s: no")
    assert json.loads((tmp_path / "error.json").read_text())["message"]["message"] == "p2s: no"


@pytest.mark.parametrize("home", ["", None])
@pytest.mark.parametrize("of_system", ["/of/user", None])
def test_a_user_without_a_home_is_told_what_to_set(sound, tmp_path, home, of_system):
    def of_user(number):
        if not of_system:
            raise KeyError(number)
        return SimpleNamespace(pw_dir=of_system)

    sound.setattr(environment.pwd, "getpwuid", of_user)
    sound.setenv("HOME", "x")
    change(sound, "HOME", home)
    sound.setenv("P2S_CACHE", f"{tmp_path}")
    assert environment.user_cache() == tmp_path
    sound.delenv("P2S_CACHE")
    if of_system:
        assert environment.user_cache() == Path("/of/user/.cache/p2s")
    else:
        require_told(environment.user_cache, r"\$HOME: missing .*\$P2S_CACHE")


def test_a_refusal_that_takes_a_gigabyte_first_is_no_refusal():
    def greedy():
        np.ones(15 * 10**7)
        raise ValueError("too large")

    np.ones(30 * 10**7)  # what was there before does not hide it
    with pytest.raises(AssertionError):
        require_told(greedy, "too large")
