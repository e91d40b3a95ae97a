"""Trainings by several processes, as commands of their own."""

import json
import subprocess
import sys
import time

import psutil

from tests.support import ROOT
from tests.support.commands import words_of_train

ALIKE = (
    *("recipe.batch=4", "recipe.rate=0.002", "backbone.norm=GN"),
    "recipe.short_edge=[96, 160]",  # padded to 128 and 256: a rank's own images may all be small
    "recipe.long_edge=160",
    "second_stage.regions=256",  # nothing is sampled, which would be a rank's own
)
P2S = (sys.executable, "-m", "p2s")
TORCHRUN = (
    *(sys.executable, "-m", "torch.distributed.run"),
    *("--standalone", "--nproc-per-node", "2", "-m", "p2s"),
)


def words(files, output, *settings, detector="CenterNet*", iterations=20):
    more = ("--iterations", iterations, "--detector", detector)
    return words_of_train(
        files, output, *more, *[word for each in (*ALIKE, *settings) for word in ("--set", each)]
    )


def run(*command):
    return subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True)


def started(*command):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*map(str, command)], cwd=ROOT, **pipes)


def curve(folder):
    return json.loads((folder / "curve.json").read_text())


def ranks_of(pid):
    """The processes that a command, here or under torchrun, has started as ranks."""
    return [one for one in psutil.Process(pid).children(recursive=True) if _is_rank(one)]


def _is_rank(process):
    try:
        words = " ".join(process.cmdline())
    except psutil.Error:  # it has just ended, or nobody has asked how
        return False
    return "spawn_main" in words or "-m p2s" in words


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()
