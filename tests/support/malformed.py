"""Malformed inputs: one is a sound input in which one place is changed; each is told in a line."""

import copy
import re
import time
from contextlib import contextmanager

import psutil
import pytest

from p2s.bench.timing import peak_memory

GONE = object()  # the value of a place that is removed
MOST_SECONDS, MOST_MB, MOST_LETTERS = 10, 1000, 1000


def rows(table):
    """The rows of a table, each a test by its number and first word."""
    return [pytest.param(*row, id=f"{number} {row[0]}"[:60]) for number, row in enumerate(table)]


def put(content, place, value):
    """A copy of nested dicts and lists with another value at a place such as `a.0.b`."""
    if not place:
        return value
    content = copy.deepcopy(content)
    inner, *names = content, *place.split(".")
    for name in names[:-1]:
        inner = inner[_key(inner, name)]
    if value is GONE:
        del inner[_key(inner, names[-1])]
    else:
        inner[_key(inner, names[-1])] = value
    return content


def nested(depth):
    """A list in a list, and so on."""
    inner = []
    for _ in range(depth):
        inner = [inner]
    return inner


def require_told(call, *patterns):
    """Hold that a call ends in an expected error of one line, soon and without much memory."""
    with in_bounds(), pytest.raises((ValueError, OSError)) as told:
        call()
    require_line(str(told.value), *patterns)
    assert type(told.value) is not UnicodeDecodeError


@contextmanager
def in_bounds():
    """Hold that what is done ends soon, and takes little memory besides what the process has."""
    begun, has, peak = time.monotonic(), psutil.Process().memory_info().rss / 1024e3, []
    with peak_memory(peak):
        yield
    assert time.monotonic() - begun < MOST_SECONDS
    assert all(most - has < MOST_MB for most in peak)  # none where it cannot be measured


def require_line(text, *patterns):
    """Hold that a text is one line of a moderate length in which the patterns are found."""
    assert len(text.splitlines()) == 1 and len(text) < MOST_LETTERS, text[:MOST_LETTERS]
    for pattern in patterns:
        assert re.search(pattern, text), f"{pattern} is not in {text}"


def _key(inner, name):
    return int(name) if isinstance(inner, list) or name not in inner and name.isdigit() else name
