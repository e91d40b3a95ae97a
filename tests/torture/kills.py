"""Kills: kill -9 at random moments of a work, which is started again until it is done."""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import psutil

from tests.torture.campaign import Campaign
from tests.torture.work import LONGEST, Answer, Kind, Work, eventually

Kill = Callable[[Work, subprocess.Popen], bool]
KERNEL_DIED = r"^failed .*kernel died"
OFTEN = 8  # kills of a work in as long as its steps take without them
TRACEBACK, LETTERS = "Traceback (most recent call last)", 2000


class Life(NamedTuple):
    """How long a work takes that nobody disturbs, in seconds."""

    setup: float  # until its first step is done
    whole: float

    def moment(self, draw: random.Random) -> float:
        """When to kill it, in seconds after a start: OFTEN times in a whole life.

        Every second of a life is as likely; a work goes on from its last step, but has to be set up
        again, and that is hit as often as in a life without kills.
        """
        if draw.uniform(0, self.whole) < self.setup:
            return draw.uniform(0, self.setup)
        return self.setup + draw.expovariate(OFTEN / (self.whole - self.setup))


def undisturbed(kind: Kind) -> tuple[Answer, Life]:
    """The answer of a work that nobody disturbs, and how long it takes."""
    work, begun = Work.fresh(kind), time.monotonic()
    process = work.start()
    eventually(lambda: [*work.home.glob(kind.sign)] or process.poll() is not None, LONGEST)
    setup, code = time.monotonic() - begun, process.wait(LONGEST)
    life, left = Life(setup, time.monotonic() - begun), work.left()
    assert (code, left) == (0, []), f"{work.told()}\n{left}"
    answer = work.answer()
    work.remove()
    return answer, life


def runner(work: Work, process: subprocess.Popen) -> bool:
    """Kill the process that was started and nothing else."""
    os.kill(process.pid, signal.SIGKILL)
    return True


def group(work: Work, process: subprocess.Popen) -> bool:
    """Kill all processes of a work at once, as a machine does that has no memory left."""
    return any([_kill(each) for each in work.processes()])


def kernel(work: Work, process: subprocess.Popen) -> bool:
    """Kill a kernel, waiting for one; the runner goes on. False: there was none any more."""
    eventually(lambda: work.kernels() or process.poll() is not None, seconds=600)
    return any([_kill(each) for each in work.kernels()[:1]])


def killed(
    kind: Kind, kills: dict[str, Kill], seen: Campaign, draw: random.Random
) -> Iterator[Campaign]:
    """Kill works as often as is asked, and hold each against one that was left alone.

    A work is killed several times before it is done, and compared then; what was seen until then is
    given after each.
    """
    expected, life = undisturbed(kind)
    while sum(seen.tried.values()) < seen.asked:
        work = Work.fresh(kind)
        while not _is_done(work, kills, seen, draw, life):
            pass
        settle(work, expected, seen)
        yield seen


def settle(work: Work, expected: Answer, seen: Campaign) -> None:
    """Note what a work that is done has left behind, and what of its answer is another."""
    seen.left += work.left()
    seen.compare(work.answer(), expected)
    work.remove()


def require_told(seen: Campaign, fault: str, work: Work, code: int, pattern: str) -> None:
    """Note a command that failed without a line in which a pattern is, or with a traceback."""
    told = work.told()
    lines = [line for line in told.splitlines() if re.search(pattern, line, re.IGNORECASE)]
    if TRACEBACK in told or (code and not lines) or code not in (0, 1, 2):
        seen.untold.append(f"{fault}: exit {code}: {told[-LETTERS:]}")
    assert len(seen.untold) < 5, seen.untold


def _is_done(work, kills, seen, draw, life):
    """Start a work and kill it at a moment, unless enough were killed; whether it is done."""
    process, name = work.start(), draw.choice([*kills])
    if sum(seen.tried.values()) < seen.asked:
        try:
            process.wait(life.moment(draw))
        except subprocess.TimeoutExpired:
            if kills[name](work, process):
                seen.note(name)
    code = process.wait()
    if code != -signal.SIGKILL:
        require_told(seen, name, work, code, KERNEL_DIED)
    return code == 0


def _kill(process):
    try:
        process.kill()
        return True
    except psutil.NoSuchProcess:
        return False
