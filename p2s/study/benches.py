"""Measurements of speed as records, and the tables that they become."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from p2s.files import canonical_hash, finite_or_none
from p2s.spec.part import Part
from p2s.study import provenance, records
from p2s.study.project import Project

SHOWN = {  # columns of a printed table: unit factor and digits
    "way": None, "precision": None,
    **dict.fromkeys(("pre", "first", "second", "post", "total"), (1e3, 1)),
    "rate": (1, 1), "ratio": (1, 2), "share": (1, 2), "operations": (1e-9, 1), "memory": (1, 0),
    "proposals": (1, 0), "detections": (1, 0), "unmatched": (1, 0), "unmatched_inside": (1, 0),
    "valid": None,
}  # fmt: skip
UNITS = {
    "operations": "GFLOP", "memory": "MB", "share": "of ceiling", "rate": "images/s",
    **dict.fromkeys(("pre", "first", "second", "post", "total"), "ms"),
}  # fmt: skip


Runtime = Literal[
    "ours",
    "authors",
    "detectron2",
    "torchvision",
    "onnxruntime",
    "openvino",
    "pycocotools",
    "hotcoco",
]


class Row(TypedDict):
    """A way to do it: what it is, as columns that a table selects by, and any numbers besides.

    None where a bench has no such thing.
    """

    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]

    way: str  # as a table prints it
    detector: str | None  # a name of the paper's tables, or of torchvision's
    count: int | None  # of classes or proposals, where that is what varies
    runtime: Runtime | None  # whose program it is
    means: Literal["none", "eager", "compiled"] | None  # of ours that make it fast
    precision: Literal["fp32", "bf16", "int8"] | None


class Bench(Part):
    """One measurement of speed: what was measured, how fast each way was, and where."""

    schema_version: Literal[2] = 2
    id: str  # bench_id; also the file's name
    bench: str  # a command of `p2s bench`
    settings: dict[str, Any]  # what was asked of it
    rows: list[Row]
    facts: dict[str, Any] = {}  # what holds for all rows, such as the machine's ceiling
    git: dict[str, str | bool | None] = {}
    versions: dict[str, str] = {}
    machine: dict[str, str | int | None] = {}
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def bench_id(bench: str, settings: Mapping[str, Any], created: str) -> str:
    """The name of a measurement: what, and when."""
    return f"{bench}-{canonical_hash({'settings': settings, 'created': created})}"


def rows_of(experiment: str) -> str:
    """The kind of measurement that holds the times of an experiment's rows."""
    return f"rows_{experiment}"


def write(project: Project, bench: str, settings: dict, measured: dict[str, Any]) -> Path:
    """Keep what a bench measured ({"rows": [...], other facts}); returns the record's path.

    Columns that a row lacks are None. An allocator that is not the C library's default is added
    to the settings.
    """
    created = datetime.now(UTC).isoformat(timespec="seconds")
    allocator = provenance.allocator()
    settings = settings | ({"allocator": allocator} if allocator else {})
    columns = dict.fromkeys(Row.__annotations__)
    record = Bench(
        id=bench_id(bench, settings, created),
        bench=bench,
        settings=settings,
        rows=[
            {key: finite_or_none(value) for key, value in (columns | row).items()}
            for row in measured["rows"]
        ],
        facts={key: value for key, value in measured.items() if key != "rows"},
        git=provenance.git_state(project.root),
        versions=provenance.versions(),
        machine=provenance.machine(),
        created=created,
    )
    return records.write(record, project.benches)


def table(record: Bench) -> str:
    """A Bench as text: its rows as a table, the machine and the facts below."""
    machine = record.machine
    lines = [
        readable(record).to_markdown(index=False, disable_numparse=True),
        f"{machine['cpu']}, {machine['threads']} of {machine['cores']} cores, {machine['isa']}",
        *([record.settings["device"]] if "device" in record.settings else []),
        *(f"{name}: {value}" for name, value in record.facts.items()),
    ]
    return "\n\n".join(lines)


def readable(record: Bench) -> pd.DataFrame:
    """The rows of a Bench for people: rounded, units in the column names, nothing that is empty."""
    frame = pd.DataFrame(record.rows).dropna(axis="columns", how="all")
    return pd.DataFrame({
        f"{name}, {UNITS[name]}" if name in UNITS else name: _rounded(frame[name], shown)
        for name, shown in SHOWN.items() if name in frame
    })  # fmt: skip


def _rounded(column, shown):
    if shown is None:
        return column
    factor, digits = shown
    return [f"{factor * v:.{digits}f}" if pd.notna(v) else "–" for v in column]
