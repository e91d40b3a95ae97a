"""Processes: work that several ranks do together, each in a process of its own.

They are started here, or by torchrun, whose environment says so. A rank that dies ends all.
"""

import logging
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from multiprocessing import active_children, parent_process, resource_tracker

import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from p2s import environment
from p2s.files import first_problem
from p2s.maths import ranks
from p2s.scratch import scratch
from p2s.train import stops

BACKEND = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
LOST = re.compile("gloo|NCCL")  # in what torch says of another rank that is no more
SILENCE = 20.0  # seconds that a rank waits for its end where another one has the last word
FOUND = 20.0  # seconds in which the name of a host has to be found
GRACE = 3.0  # seconds for the others to end, then after SIGTERM, when a rank has died


def asked_for(processes: int) -> int:
    """How many ranks `together` makes of so many processes; ValueError if torchrun makes others."""
    if not environment.is_rank():
        return processes
    count = environment.Rank.read().world_size
    if processes not in (1, count):
        raise ValueError(f"processes {processes}, but torchrun starts {count}; valid: 1, {count}")
    return count


def on_this_machine(processes: int) -> int:
    """How many of those ranks are at work on this machine."""
    return environment.Rank.read().local_world_size if environment.is_rank() else processes


def together(work: Callable[[], None], count: int) -> None:
    """Let `count` ranks do the same work, which can be pickled, or do it as one of torchrun's.

    Rank 0 alone prints. Raises KeyboardInterrupt if they were stopped, and ValueError, with the
    reason in a line, if a rank died: the others are ended within half a minute.
    """
    if environment.is_rank():
        as_rank(work)
    elif count == 1:
        with _terminable():
            work()
    else:
        _start(work, count)


def as_rank(work: Callable[[], None]) -> None:
    """Do the work as one of ranks that others started, whose environment says which.

    ValueError if a rank died, of the one that knows the reason first, or a variable is wrong.
    """
    try:
        place = environment.Rank.read()
        _find(place.host)
        joined = _joined("env://", place.local_rank)
        with stops.never_lost(), _one_reason(place.rank), joined:
            work()
    except ValueError:
        sys.stderr = sys.__stderr__  # also of a rank that was silent until now: see __main__
        raise


def _find(host):
    """Until the first rank's host is known, which a cluster may tell late; ValueError if never."""
    deadline = time.monotonic() + FOUND
    while True:
        try:
            socket.getaddrinfo(host, None)
            return
        except (OSError, UnicodeError):
            if time.monotonic() > deadline:
                told = f"$MASTER_ADDR: {host[:80]!r}: not found in {FOUND:.0f} s"
                raise ValueError(f"{told} (valid: the first rank's host)") from None
        time.sleep(1)


def _start(work, count):
    asked, started = [], []

    def pass_on(number, _frame):
        asked.append(number)
        for process in started:
            process.terminate()

    with scratch() as folder, stops.answered(pass_on):
        context = _started(work, count, f"file://{folder}/ranks")
        started += context.processes
        if asked:
            pass_on(asked[0], None)
        _wait(context, asked)


def _started(work, count, store):
    """Processes of all ranks, or ValueError and none."""
    others = set(active_children())
    resource_tracker.ensure_running()  # once it runs, it leaves the mask alone
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # ranks inherit it: see _rank
    try:
        return multiprocessing.start_processes(_rank, (work, count, store), count, join=False)
    except Exception as error:
        for process in set(active_children()) - others:
            process.kill()
            process.join()
        raise ValueError(f"{count} processes cannot be started: {_in_a_line(error)}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _wait(context, asked):
    """Until all ranks have ended; what together() says if not all ended well."""
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)  # the reason is told
    try:
        while not context.join(1.0, GRACE):
            pass
    except (ProcessExitedException, ProcessRaisedException) as error:
        *_, last = str(error).strip().splitlines()
        if asked or last == "KeyboardInterrupt":
            raise KeyboardInterrupt from None
        if isinstance(error, ProcessExitedException):
            last = f"rank {error.error_index} died: {last}"
        raise ValueError(last.removeprefix("ValueError: ")) from error


def _rank(number, work, count, store):
    # A terminal's Ctrl-C goes to the process that started this one, and is passed on, once.
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    if not parent_process().is_alive():  # from now on SIGINT tells of that
        return
    torch.set_num_threads(max(1, torch.get_num_threads() // count))
    place = {"rank": number, "world_size": count}
    with stops.never_lost(), _one_reason(number), _joined(store, number, **place):
        work()


@contextmanager
def _one_reason(rank: int) -> Iterator[None]:
    """Let the first rank that fails by itself say why, in a line; the others wait to be ended."""
    try:
        yield
    except Exception as error:
        is_lost = isinstance(error, RuntimeError) and LOST.search(str(error))
        if is_lost or not ranks.is_first("to die"):
            with stops.answered(lambda *_: sys.exit(1), (signal.SIGTERM,)):
                time.sleep(SILENCE)
        raise ValueError(f"rank {rank} died: {_in_a_line(error)}") from error


def _in_a_line(error):
    first, *_ = first_problem(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {first}"


@contextmanager
def _joined(store: str, number: int, **place: int) -> Iterator[None]:
    """This process as one of the ranks, `number` on its machine; a GPU each if there are any."""
    dist.init_process_group(BACKEND, init_method=store, **place)
    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())
    with _silent() if ranks.rank() else nullcontext(), _terminable():
        yield
    dist.destroy_process_group()  # after an error it could wait for the others: the end does it


@contextmanager
def _silent():
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def _terminable():
    """SIGTERM is what Ctrl-C is."""
    return stops.answered(signal.default_int_handler, (signal.SIGTERM,))
