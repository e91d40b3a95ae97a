"""Measurements of speed as records, and the tables that they become."""

from datetime import UTC, datetime
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from p2s.files import canonical_hash, finite_or_none
from p2s.spec.part import Part
from p2s.study import provenance, records

SHOWN = {  # columns of a printed table: unit factor and digits
    "way": None, "precision": None,
    **dict.fromkeys(("pre", "first", "second", "post", "total"), (1e3, 1)),
    "ratio": (1, 2), "share": (1, 2), "operations": (1e-9, 1), "memory": (1, 0),
    "proposals": (1, 0), "detections": (1, 0), "unmatched": (1, 0), "unmatched_inside": (1, 0),
    "valid": None,
}  # fmt: skip
UNITS = {"operations": "GFLOP", "memory": "MB", "share": "of ceiling"} | dict.fromkeys(
    ("pre", "first", "second", "post", "total"), "ms"
)


class Bench(Part):
    """One measurement of speed: what was measured, how fast each way was, and where."""

    schema_version: Literal[1] = 1
    id: str  # bench_id; also the file's name
    bench: str  # a command of `p2s bench`
    settings: dict[str, Any]  # what was asked of it
    rows: list[dict[str, Any]]  # a dict a way
    facts: dict[str, Any] = {}  # what holds for all rows, such as the machine's ceiling
    git: dict[str, str | bool | None] = {}
    versions: dict[str, str] = {}
    machine: dict[str, str | int | None] = {}
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def bench_id(bench, settings, created):
    """The name of a measurement: what, and when."""
    return f"{bench}-{canonical_hash({'settings': settings, 'created': created})}"


def write(project, bench, settings, measured):
    """Keep what a bench measured ({"rows": [...], other facts}); returns the record's path.

    An allocator that is not the C library's default is added to the settings.
    """
    created = datetime.now(UTC).isoformat(timespec="seconds")
    allocator = provenance.allocator()
    settings = settings | ({"allocator": allocator} if allocator else {})
    facts = {key: value for key, value in measured.items() if key != "rows"}
    record = Bench(
        id=bench_id(bench, settings, created),
        bench=bench,
        settings=settings,
        rows=[{key: finite_or_none(v) for key, v in row.items()} for row in measured["rows"]],
        facts=facts,
        git=provenance.git_state(project.root),
        versions=provenance.versions(),
        machine=provenance.machine(),
        created=created,
    )
    return records.write(record, project.benches)


def read(path):
    """A Bench from its file."""
    return records.read(path, Bench)


def table(record):
    """A Bench as text: its rows as a table, the machine and the facts below."""
    frame = readable(record)
    machine = record.machine
    lines = [
        frame.to_markdown(index=False, disable_numparse=True),
        f"{machine['cpu']}, {machine['threads']} of {machine['cores']} cores, {machine['isa']}",
        *(f"{name}: {value}" for name, value in record.facts.items()),
    ]
    return "\n\n".join(lines)


def readable(record):
    """The rows of a Bench as a data frame for people: rounded, units in the column names."""
    frame = pd.DataFrame(record.rows)
    return pd.DataFrame({
        f"{name}, {UNITS[name]}" if name in UNITS else name: _rounded(frame[name], shown)
        for name, shown in SHOWN.items() if name in frame
    })  # fmt: skip


def _rounded(column, shown):
    if shown is None:
        return column
    factor, digits = shown
    return [f"{factor * v:.{digits}f}" if pd.notna(v) else "–" for v in column]
