"""Campaigns: how often a fault was tried and what came of it, kept in a record and told in a page.

A campaign that the record holds, as long and of this code, is not tried again, and one of kills
that was stopped goes on: `make torture` does what is left. $TORTURE names another file for the
record; then the page stays as it is.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import BaseModel, PrivateAttr

from p2s.files import read_json, write_atomic
from p2s.study import provenance
from p2s.study.project import TRAIN_EVAL
from tests.support import ROOT
from tests.torture.work import Answer

COMMITTED = ROOT / "results" / "torture.json"
RECORD = Path(os.environ.get("TORTURE") or COMMITTED)
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- torture -->\n", "<!-- /torture -->"
HEAD = "| campaign | faults | tried | another answer | left behind | not told | minutes | code |\n"
HEAD += "|---|---|---|---|---|---|---|---|\n"


class Campaign(BaseModel):
    """What came of a fault. `tried` is by kind; the lists under it are empty where all is well."""

    asked: int  # how often, or for how many minutes
    code: str  # of the package and of the notebook that is run, a hash
    commit: str = ""  # at which it was; older campaigns do not tell
    how: str = "real"  # or injected
    tried: dict[str, int] = {}
    different: list[str] = []  # from an undisturbed run
    left: list[str] = []  # processes, locks, temporary and unfinished files
    untold: list[str] = []  # faults without a line of their own
    seconds: float = 0.0
    done: bool = True
    _since: float = PrivateAttr(default_factory=time.monotonic)

    @property
    def broken(self) -> list[str]:
        """All that went wrong."""
        return [*self.different, *self.left, *self.untold]

    def note(self, kind: str) -> None:
        """Count one more fault of a kind."""
        self.tried[kind] = self.tried.get(kind, 0) + 1

    def clock(self) -> None:
        """Count the seconds since it was begun, read or clocked last."""
        now = time.monotonic()
        self.seconds, self._since = round(self.seconds + now - self._since, 1), now

    def compare(self, answer: Answer, expected: Answer) -> None:
        """Note the names of what differs between two answers."""
        names = sorted(answer.keys() | expected.keys())
        self.different += [name for name in names if answer.get(name) != expected.get(name)]


class Record(BaseModel):
    """All campaigns by name, and where the last of them was."""

    campaigns: dict[str, Campaign] = {}
    versions: dict[str, str] = {}
    machine: dict[str, str | int | None] = {}


@contextmanager
def campaign(name: str, asked: int) -> Iterator[Campaign]:
    """A campaign to be filled in, which is recorded and held to be without a fault afterwards.

    One that is in the record is skipped, or goes on if it was stopped.
    """
    commit = provenance.git_state(ROOT)["sha"] or ""
    new = Campaign(asked=asked, code=code(), commit=commit, done=False)
    known = record(RECORD).campaigns.get(name)
    if known and not known.broken and (known.asked, known.code) == (asked, new.code):
        if known.done:
            pytest.skip(f"in {RECORD}")
        new = known
    yield new
    new.done = True
    keep(name, new)
    assert not new.broken


def record(path: Path) -> Record:
    """The record in a file; an empty one if there is none yet."""
    return read_json(path, Record) if path.exists() else Record()


def keep(name: str, new: Campaign) -> None:
    """Put a campaign into the record, and the record into the page that is made of it."""
    new.clock()
    where = {"versions": provenance.versions(), "machine": provenance.machine()}
    whole = Record(campaigns=record(RECORD).campaigns | {name: new}, **where)
    write_atomic(RECORD, f"{whole.model_dump_json(indent=1)}\n".encode())
    if RECORD == COMMITTED:
        write_atomic(PAGE, filled(PAGE.read_text(), whole).encode())


def code() -> str:
    """What a campaign is of: the package and the notebook."""
    return provenance.source_hash(ROOT / TRAIN_EVAL)[:16]


def filled(page: str, whole: Record) -> str:
    """A page with the table of a record between its markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin and end, f"{PAGE}: no markers {BEGIN.strip()} and {END}"
    return f"{before}{begin}{HEAD}{''.join(_rows(whole))}{end}{after}"


def _rows(whole: Record) -> Iterable[str]:
    for name, one in sorted(whole.campaigns.items()):
        tried = ", ".join(f"{count} {kind}" for kind, count in sorted(one.tried.items()))
        tried += "" if one.done else f" of {one.asked}, to go on"
        broken = [str(len(names)) for names in (one.different, one.left, one.untold)]
        minutes, of = f"{one.seconds / 60:.0f}", one.commit[:7] or one.code[:7]
        cells = [name, one.how, tried, *broken, minutes, of]
        yield f"| {' | '.join(cells)} |\n"
