"""Faults of a machine, real where it lets us, else injected into every Python process of a work."""

import os
import random
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support import ROOT
from tests.torture.work import Work

MEGABYTE = 2**20
JUMPS = (-400 * 86400, -3600, 0, 3600, 400 * 86400)  # seconds
# libfaketime has an epoll_wait of its own too, by which kernels stand still at any offset.
CLOCK = """
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long offset(void) {
    long seconds = 0;
    FILE *file = fopen(getenv("P2S_CLOCK"), "r");
    if (file) { if (fscanf(file, "%ld", &seconds) != 1) seconds = 0; fclose(file); }
    return seconds;
}
int clock_gettime(clockid_t id, struct timespec *now) {
    int wrong = syscall(SYS_clock_gettime, id, now);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) now->tv_sec += offset();
    return wrong;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *kept) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (kept) *kept = now.tv_sec;
    return now.tv_sec;
}
"""
INJECTED = """
import errno, itertools, os, sys, time
place, clock = os.environ["P2S_FAULT_AT"], os.environ["P2S_CLOCK"]
code, room = int(os.environ["P2S_FAULT"]), int(os.environ["P2S_ROOM"])
writes, now = itertools.count(), time.time
def opened(event, given):
    made = event == "os.mkdir" or event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR)
    if made and isinstance(given[0], (str, os.PathLike)):
        if place and str(given[0]).startswith(place) and next(writes) >= room:
            raise OSError(code, os.strerror(code), given[0])
def jumped():
    try:
        return now() + float(open(clock).read())
    except (OSError, ValueError):
        return now()
if place:
    sys.addaudithook(opened)
if clock:
    time.time = jumped
"""


@cache
def can_mount() -> bool:
    """Whether this process may mount file systems."""
    with TemporaryDirectory() as folder:
        try:
            small_disk(Path(folder) / "disk", MEGABYTE)
        except (OSError, subprocess.CalledProcessError):
            return False
        subprocess.run(["umount", Path(folder) / "disk"], check=True)
    return True


def own_disk(place: Path) -> None:
    """A folder that is a disk of its own where the machine lets us, else a folder."""
    (small_disk if can_mount() else Path.mkdir)(place)


def small_disk(place: Path, size: int = 512 * MEGABYTE) -> None:
    """A folder that is a disk of its own; CalledProcessError where the machine does not let us."""
    place.mkdir()
    _quietly("mount", "-t", "tmpfs", "-o", f"size={size}", "torture", place)


@contextmanager
def full(work: Work, room: int) -> Iterator[dict[str, str]]:
    """A work's disk with so many bytes left; variables for its command.

    Injected: with so many files, of 64 kB each, that can still be written.
    """
    if not can_mount():
        yield injected(work, work.disk, "ENOSPC", room // 2**16)
        return
    assert os.path.ismount(work.disk), "of a disk that is not the work's own nothing is taken"
    filler, disk = work.disk / "filler", os.statvfs(work.disk)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, disk.f_bavail * disk.f_frsize - room))
    try:
        yield {}
    finally:
        filler.unlink()


@contextmanager
def read_only(work: Work, folder: Path) -> Iterator[dict[str, str]]:
    """A folder of a work in which nothing can be written."""
    folder.mkdir(parents=True, exist_ok=True)
    if not can_mount():
        yield injected(work, folder, "EROFS")
        return
    aside = work.place / "aside"  # where no file is open, which would keep it writable
    aside.mkdir(exist_ok=True)
    _quietly("mount", "--bind", folder, aside)
    try:
        _quietly("mount", "-o", "remount,ro,bind", aside)
        _quietly("mount", "--bind", aside, folder)
    finally:
        _quietly("umount", aside)
    try:
        yield {}
    finally:
        _quietly("umount", "--lazy", folder)


@contextmanager
def jumping_clock(work: Work, draw: random.Random) -> Iterator[dict[str, str]]:
    """A clock that is put forward and back by hours and years while a work is at it."""
    offset, over = work.place / "clock", threading.Event()

    def jump() -> None:
        while not over.wait(draw.uniform(0.1, 2)):
            offset.write_text(f"{draw.choice(JUMPS):+d}")

    offset.write_text("+0")
    jumper = threading.Thread(target=jump)
    jumper.start()
    try:
        library = lent_clock(work)
        lent = {"LD_PRELOAD": f"{library}", "P2S_CLOCK": f"{offset}"}
        yield lent if library else injected(work, clock=offset)
    finally:
        over.set()
        jumper.join()


def lent_clock(work: Work) -> Path | None:
    """A library of another clock, that each process of a work loads first; None: no compiler."""
    library, source = work.place / "clock.so", work.place / "clock.c"
    source.write_text(CLOCK)
    try:
        _quietly("cc", "-shared", "-fPIC", "-o", library, source)
    except (OSError, subprocess.CalledProcessError):
        return None
    return library


def injected(
    work: Work, place: Path | str = "", error: str = "EIO", room: int = 0, clock: Path | str = ""
) -> dict[str, str]:
    """Variables by which each Python process of a work has a fault from its start."""
    import errno

    (work.place / "sitecustomize.py").write_text(INJECTED)
    told = {"P2S_FAULT_AT": f"{place}", "P2S_FAULT": f"{getattr(errno, error)}"}
    told |= {"P2S_ROOM": f"{room}", "P2S_CLOCK": f"{clock}"}
    return told | {"PYTHONPATH": f"{work.place}{os.pathsep}{ROOT}"}


def emptied(path: Path, draw: random.Random) -> None:
    """A file without a byte."""
    path.write_bytes(b"")


def cut(path: Path, draw: random.Random) -> None:
    """A file of which the end is missing."""
    path.write_bytes(path.read_bytes()[: -1 - draw.randrange(path.stat().st_size)])


def scrambled(path: Path, draw: random.Random) -> None:
    """A file of as many bytes by chance."""
    path.write_bytes(draw.randbytes(path.stat().st_size))


def _quietly(*words):
    subprocess.run([*map(str, words)], check=True, capture_output=True)
