"""Disturbed: works that have a fault for a while, then none, and are started again."""

import random
import re
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from shutil import copytree

from tests.torture import faults
from tests.torture.campaign import Campaign
from tests.torture.kills import LETTERS, TRACEBACK, group, require_told, settle, undisturbed
from tests.torture.work import LONGEST, Answer, Kind, Work, eventually

NO_ROOM, NO_WRITING = "No space left on device", "Read-only file system|Permission denied"
DAMAGES = (faults.emptied, faults.cut, faults.scrambled)
OWN = ("results/", ".p2s/", "model/")  # what a work makes
Where = dict[str, tuple[str, ...]]  # patterns of files by one that says when to stop
OF_A_STUDY: Where = {
    ".p2s/weights/*/state.pt": (
        ".p2s/weights/*/state.pt",
        ".p2s/weights/*/settings.json",
        ".p2s/fingerprints/*.json",
        ".p2s/data/*/*.json",
        ".p2s/data/*/train/*.bmp",
        "notebooks/train_eval.ipynb",
        "experiments/once.yaml",
    ),
    ".p2s/weights/*/model.safetensors": (
        ".p2s/weights/*/model.safetensors",
        ".p2s/weights/*/[cst]*.json",
    ),
    "results/runs/*/*.json": ("results/runs/*/*.json", ".p2s/runs/*/*.ipynb"),
}
OF_A_TRAINING: Where = {
    "model/state.pt": ("model/state.pt", "model/settings.json", "train.json", "train/*.bmp"),
    "model/metrics.json": ("model/model.safetensors", "model/[cst]*.json", "model/*.png"),
}


def together(kind: Kind, seen: Campaign, draw: random.Random) -> None:
    """Two runners of one store, the second somewhat later: both end well, nothing is done twice."""
    expected, life = undisturbed(kind)
    for _ in range(seen.asked):
        work = Work.fresh(kind)
        first = work.start()
        time.sleep(draw.uniform(0, life.whole / 2))
        codes = work.start("other").wait(), first.wait()
        told = work.told() + work.told("other")
        seen.note("as a pair")
        done = [line for line in told.splitlines() if line.startswith("done ")]
        here = [line.partition(": ")[0] for line in done if "by another process" not in line]
        if any(codes) or TRACEBACK in told or len(here) > len({*here}):
            seen.untold.append(f"exits {codes}: {told[-LETTERS:]}")
        settle(work, expected, seen)


def without_room(kind: Kind, seen: Campaign, draw: random.Random) -> None:
    """A disk that is full, sooner or later, until something is removed from it."""
    expected, _ = undisturbed(kind)
    seen.how = "real" if faults.can_mount() else "injected"
    for _ in range(seen.asked):
        work = Work.fresh(kind, faults.own_disk)
        room = int(2 ** draw.uniform(9, 25))  # bytes: the work needs some 10 MB
        with faults.full(work, room) as variables:
            code, _ = work.run(**variables)
        require_told(seen, f"{room} bytes", work, code, NO_ROOM)
        seen.note("too small" if code else "large enough")
        finish(work, expected, seen)


def read_only(kind: Kind, folders: Iterable[str], seen: Campaign, draw: random.Random) -> None:
    """Folders in which nothing can be written, from the start or from a moment on."""
    expected, life = undisturbed(kind)
    seen.how = "real" if faults.can_mount() else "injected"
    for folder in folders:
        for moment in (0.0, *(draw.uniform(0, life.whole) for _ in range(seen.asked - 1))):
            work = Work.fresh(kind)
            process = work.start() if moment else None
            time.sleep(moment)
            with faults.read_only(work, work.home / folder) as variables:
                process = process or work.start(**variables)
                code = process.wait()
            require_told(seen, f"{folder} after {moment:.0f} s", work, code, NO_WRITING)
            seen.note("later" if moment else "from the start")
            finish(work, expected, seen)


def by_the_clock(kind: Kind, seen: Campaign, draw: random.Random) -> None:
    """A clock that is put forward and back all the time, which nobody needs to notice."""
    expected, _ = undisturbed(kind)
    for _ in range(seen.asked):
        work = Work.fresh(kind)
        with faults.jumping_clock(work, draw) as variables:
            seen.how = "lent" if "LD_PRELOAD" in variables else "injected"
            code, told = work.run(**variables)
        if code or TRACEBACK in told:
            seen.untold.append(f"exit {code}: {told[-LETTERS:]}")
        seen.note("all along")
        finish(work, expected, seen)


def damaged(kind: Kind, where: Where, seen: Campaign, draw: random.Random) -> None:
    """Files that are empty, cut or of other bytes, in a work that was killed at a certain point.

    What the command names is removed, or put back if it came from outside. Of each pattern as many
    files as are asked for, each damaged in another way.
    """
    expected, _ = undisturbed(kind)
    for sign, patterns in where.items():
        begun = stopped(kind, sign)
        again = kind._replace(fill=partial(copytree, begun.home, dirs_exist_ok=True))
        count = min(seen.asked, len(DAMAGES))
        for pattern, damage in [
            (one, way) for one in patterns for way in draw.sample(DAMAGES, count)
        ]:
            work = Work.fresh(again)
            path = draw.choice(sorted(filter(Path.is_file, work.home.glob(pattern))))
            sound = path.read_bytes()
            damage(path, draw)
            code, _ = work.run()
            require_told(seen, f"{pattern} {damage.__name__}", work, code, re.escape(path.name))
            seen.note(damage.__name__)
            if not pattern.startswith(OWN):
                path.write_bytes(sound)
            elif code:
                (work.home / remedy(work.told(), path)).unlink()
            finish(work, expected, seen)
        begun.remove()


def remedy(told: str, path: Path) -> Path:
    """The file that is to be deleted: another one if the line about a damaged one says so."""
    other = re.search(r"; delete (\S+) to train again", told)
    return Path(other[1]) if other else path


def stopped(kind: Kind, sign: str) -> Work:
    """A work that was killed when a file of this pattern was there."""
    work = Work.fresh(kind)
    process = work.start()
    eventually(lambda: [*work.home.glob(sign)] or process.poll() is not None, LONGEST)
    group(work, process)
    process.wait()
    return work


def finish(work: Work, expected: Answer, seen: Campaign) -> None:
    """Start a work again, now without a fault: it is done, and nothing differs."""
    code, told = work.run()
    if code:
        seen.untold.append(f"exit {code} without a fault: {told[-LETTERS:]}")
    settle(work, expected, seen)
