"""Malformed inputs: one is a sound input in which one place is changed; each is told in a line."""

import copy
import re
import resource
import time

import pytest

GONE = object()  # the value of a place that is removed
MOST_SECONDS, MOST_KB, MOST_LETTERS = 10, 10**6, 1000


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
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((ValueError, OSError)) as told:
        call()
    require_line(str(told.value), *patterns)
    assert type(told.value) is not UnicodeDecodeError
    assert time.monotonic() - begun < MOST_SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KB


def require_line(text, *patterns):
    """Hold that a text is one line of a moderate length in which the patterns are found."""
    assert len(text.splitlines()) == 1 and len(text) < MOST_LETTERS, text[:MOST_LETTERS]
    for pattern in patterns:
        assert re.search(pattern, text), f"{pattern} is not in {text}"


def _key(inner, name):
    return int(name) if isinstance(inner, list) or name not in inner and name.isdigit() else name
