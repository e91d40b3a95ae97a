"""Processes: work that several ranks do together, each in a process of its own.

They are started here, or by torchrun, whose environment says so. A rank that dies ends all.
"""

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from p2s.maths import ranks

BACKEND = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
LAST_WORDS = 3.0  # seconds that a rank has to tell why it dies before the others do
GRACE = 10.0  # seconds for the others to end, then after SIGTERM, when a rank has died


def together(work: Callable[[], None], count: int) -> None:
    """Let `count` ranks do the same work, which can be pickled, or do it as one of torchrun's.

    Rank 0 alone prints. Raises KeyboardInterrupt if all were stopped, and ValueError, with the
    reason in a line, if a rank died: the others are ended within half a minute.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        with _joined("env://"):
            work()
    elif count == 1:
        work()
    else:
        _start(work, count)


def _start(work, count):
    with TemporaryDirectory(prefix="p2s-") as folder:
        context = multiprocessing.start_processes(
            _rank, (work, count, f"file://{folder}/ranks"), count, join=False
        )
        with _terminations_passed_on(context.processes):
            _wait(context)


def _wait(context):
    """Until all ranks have ended; what together() says if not all ended well."""
    try:
        while not context.join(1.0, GRACE):
            pass
    except ProcessExitedException as error:
        if error.exit_code == 128 + signal.SIGINT:
            raise KeyboardInterrupt from None
        raise ValueError(f"rank {error.error_index} died: {error}") from None
    except ProcessRaisedException as error:
        _raise_again(error)


def _raise_again(error):
    """What a rank raised, without its traceback; of an interrupted one all were interrupted."""
    *_, last = str(error).strip().splitlines()
    if last == "KeyboardInterrupt":
        raise KeyboardInterrupt from None
    raise ValueError(f"rank {error.error_index} died: {last}") from None


def _rank(number, work, count, store):
    torch.set_num_threads(max(1, torch.get_num_threads() // count))
    try:
        with _joined(store, rank=number, world_size=count):
            work()
    except RuntimeError as error:
        if re.search("gloo|NCCL", str(error)):  # of a lost rank, whose own words count: it is first
            time.sleep(LAST_WORDS)
        raise


@contextmanager
def _joined(store: str, **place: int) -> Iterator[None]:
    """This process as one of the ranks; a GPU each where there are any."""
    dist.init_process_group(BACKEND, init_method=store, **place)
    if torch.cuda.is_available():
        torch.cuda.set_device(ranks.rank() % torch.cuda.device_count())
    with (
        open(os.devnull, "w") as nowhere,
        redirect_stdout(nowhere if ranks.rank() else sys.stdout),
    ):
        yield
    dist.destroy_process_group()  # after an error it could wait for the others: the end does it


@contextmanager
def _terminations_passed_on(processes):
    """SIGTERM for this process goes to all ranks; Ctrl-C reaches them by itself."""

    def pass_on(_number, _frame):
        for process in processes:
            process.terminate()

    before = signal.signal(signal.SIGTERM, pass_on)
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the ranks answer it
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, ignored)
