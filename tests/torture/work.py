"""Work: a command that whoever starts it again brings to its end, in a place of its own."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import psutil
from filelock import FileLock, Timeout

from p2s.files import PARTIAL
from tests.support import ROOT

MARK = "P2S_TORTURED"  # the variable by which all processes of a work are known
UNFINISHED = (PARTIAL, ".part")  # the ends of names
CACHES = ("torchinductor_",)  # of torch, which keeps them among temporary files on purpose
PATIENCE = 60.0  # seconds in which what must go has gone, also on a busy machine
LONGEST = 3600.0  # seconds that a command may take
Answer = dict[str, str]  # what must not differ: a digest by name


class Kind(NamedTuple):
    """A command of Python, what it needs in the folder where it starts, and what it leaves.

    `sign` is a pattern of files that are there once it is set up and has done a first step.
    """

    words: tuple[str, ...]
    fill: Callable[[Path], None]
    answer: Callable[[Path], Answer]
    sign: str


@dataclass(frozen=True)
class Work:
    """A command with a folder that holds all of it.

    The folder has a short path: sockets of kernels below it may have 107 letters.
    """

    kind: Kind
    place: Path

    @classmethod
    def fresh(cls, kind: Kind, disk: Callable[[Path], None] = Path.mkdir) -> "Work":
        """A work of a kind that is ready to be started, on what `disk` makes at a path."""
        work = cls(kind, Path(mkdtemp(prefix="torture-")))
        disk(work.disk)
        for folder in (work.home, work.temporary):
            folder.mkdir()
        kind.fill(work.home)
        return work

    @property
    def disk(self) -> Path:
        """What all files of the command are on."""
        return self.place / "disk"

    @property
    def home(self) -> Path:
        """Where the command is started."""
        return self.disk / "home"

    @property
    def temporary(self) -> Path:
        """Its temporary files."""
        return self.disk / "tmp"

    def answer(self) -> Answer:
        """A digest by name of all that must be as in a work that nobody disturbs."""
        return self.kind.answer(self.home)

    def start(self, told: str = "told", **variables: str) -> subprocess.Popen:
        """The command at work, in a process group of its own; `told` is for what it says."""
        own = {MARK: str(self.place), "TMPDIR": str(self.temporary), "PYTHONPATH": str(ROOT)}
        own |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "COLUMNS": "1000"}
        inherited = {name: text for name, text in os.environ.items() if name != "P2S_CACHE"}
        with (self.place / told).open("w") as lines:  # not on its disk
            return subprocess.Popen(
                [sys.executable, *self.kind.words],
                cwd=self.home,
                env=inherited | own | variables,
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, **variables: str) -> tuple[int, str]:
        """Its exit code and what it told, once it has ended."""
        return self.start(**variables).wait(LONGEST), self.told()

    def told(self, name: str = "told") -> str:
        """What the command that was started last has told."""
        return (self.place / name).read_text(errors="replace")

    def processes(self) -> list[psutil.Process]:
        """All that the command has started and that is alive, also what has left its group."""
        return [each for each in psutil.process_iter() if _mark(each) == str(self.place)]

    def kernels(self) -> list[psutil.Process]:
        """Those that execute notebooks."""
        return [each for each in self.processes() if "ipykernel_launcher" in _words(each)]

    def left(self) -> list[str]:
        """What it must not leave: processes, held locks, temporary and unfinished files."""
        eventually(lambda: not self.processes())
        found = [f"process {each.pid}" for each in self.processes()]
        temporary = (path.name for path in self.temporary.iterdir())
        found += [f"temporary {name}" for name in temporary if not name.startswith(CACHES)]
        for path in self.home.rglob("*"):
            if path.name.endswith(UNFINISHED):
                found.append(f"unfinished {path.relative_to(self.home)}")
            if path.name.endswith(".lock") and _is_held(path):
                found.append(f"lock {path.relative_to(self.home)}")
        return found

    def remove(self) -> None:
        """End what is still at work, and remove the place."""
        for each in self.processes():
            each.kill()
        while os.path.ismount(self.disk):
            subprocess.run(["umount", "--lazy", self.disk], check=True)
        shutil.rmtree(self.place, ignore_errors=True)


def eventually(condition: Callable[[], object], seconds: float = PATIENCE) -> object:
    """What a condition says, as soon as it holds or when the time is over."""
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def _mark(process):
    try:
        return process.environ().get(MARK) if process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, OSError):
        return None


def _words(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _is_held(path):
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
