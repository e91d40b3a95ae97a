"""Stops: how SIGINT (Ctrl-C) and SIGTERM end what is at work in this process."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

BOTH = (signal.SIGINT, signal.SIGTERM)
AGAIN = 0.5  # seconds until a stop that Python could not raise comes again


@contextmanager
def noted() -> Iterator[list[int]]:
    """A list that both are added to, so that no step is cut in half; the second ends at once."""
    asked: list[int] = []

    def note(number, _frame):
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    with answered(note):
        yield asked


@contextmanager
def answered(by: Callable, numbers: tuple[int, ...] = BOTH) -> Iterator[None]:
    """Let a function of a signal's number and the frame answer these signals."""
    before = {number: signal.signal(number, by) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def never_lost() -> Iterator[None]:
    """Let a stop that falls into a callback of an import or of the collector come again.

    Python cannot raise KeyboardInterrupt there: it would print it, and the work would go on.
    """
    before = sys.unraisablehook

    def hook(told):
        heard = [number for number in BOTH if callable(signal.getsignal(number))]
        if heard and issubclass(told.exc_type, KeyboardInterrupt):
            threading.Timer(AGAIN, os.kill, (os.getpid(), heard[0])).start()
        else:
            before(told)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
