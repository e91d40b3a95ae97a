"""Records: what a run leaves behind, one JSON file each, and what says when it is needed again.

A record is written once and never edited. Its file ends in a digest of all its other fields, so an
edit by hand is found, and the run counts as not done.
"""

import hashlib
import json
import math
import os
import secrets
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from p2s.part import Part
from p2s.spec import canonical_hash

NUMERICS_VERSION = (
    1  # raised by any change that moves a golden trace; older records then no longer count
)
MAX_BYTES = 200_000  # records live in git
AUDIT = "audit/"  # begins the names of what is noted beside the losses and not minimised


def finite_or_none(value):
    """The value, or None for NaN and infinity, which JSON has no word for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(finite_or_none)]


class Record(Part):
    """One evaluation of one training: what was asked, what came out, and where it was made."""

    schema_version: Literal[1] = 1
    id: str  # evaluation_id; also the file's name
    training_id: str
    source: Literal["measured", "paper"] = "measured"
    detector: str  # a name of the paper's tables
    scale: str
    seed: int
    spec: dict[str, Any]  # the whole Spec as JSON
    train_fingerprint: str  # of the annotation file, or of the scenes drawn: what was trained on
    val_fingerprint: str  # the same of what was evaluated on
    numerics_version: int = NUMERICS_VERSION
    metrics: dict[str, Number]  # percent; None where undefined, such as APs without small objects
    per_class: dict[str, Number] = {}  # AP by class name, percent
    timings: dict[str, Number] = {}  # train_s, evaluate_s
    curve: dict[str, list[Number]] = {}  # "iteration", one list a loss or audit, at most 200
    scenes: list[
        dict[str, Any]
    ] = []  # image_id, proposals, detections of four fixed validation images
    findings: dict[str, Any] = {}  # by measure: what an experiment asks for besides
    weights: str | None = None  # SHA-256 of the weights: equal in rows that are paired by training
    git: dict[str, str | bool | None] = {}
    source_hash: str = ""
    versions: dict[str, str] = {}
    machine: dict[str, str | int | None] = {}
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


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


def training_id(spec, train_fingerprint, seed, root=""):
    """The identity of a training: every setting, the data and the seed that can move a weight.

    Pretrained weights count by content; their path is relative to `root`.
    """
    settings = spec.training_fields()
    if isinstance(spec.backbone.weights, Path):
        settings["backbone"]["weights"] = file_fingerprint(Path(root) / spec.backbone.weights)
    fields = {
        "spec": settings,
        "data": train_fingerprint,
        "seed": seed,
        "numerics": NUMERICS_VERSION,
    }
    return canonical_hash(fields)


def evaluation_id(training, spec, val_fingerprint, measures=()):
    """The identity of an evaluation: its training's, its settings and data, and its measures."""
    fields = {"training": training, "test": spec.test_fields(), "data": val_fingerprint}
    return canonical_hash(fields | ({"measures": list(measures)} if measures else {}))


def write(record, folder):
    """Write `<folder>/<id>.json` in one step and return its path; refuses more than 200 kB."""
    fields = record.model_dump(mode="json")
    fields["digest"] = _digest(fields)
    lines = [
        f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in fields.items()
    ]
    content = ("{\n" + ",\n".join(lines) + "\n}\n").encode()
    if len(content) > MAX_BYTES:
        raise ValueError(f"record {record.id} has {len(content)} bytes; the limit is {MAX_BYTES}")
    path = Path(folder) / f"{record.id}.json"
    write_atomic(path, content)
    return path


def write_atomic(path, content):
    """Write bytes so that a reader, or a crash, never meets half a file.

    A writer has a partial file of its own, so two never mix; only a killed one leaves it behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut may keep the new name and lose the bytes
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def file_sha256(path):
    """The SHA-256 of a file's bytes in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_fingerprint(path):
    """What identifies a file by content, kept until the file changes; one of a missing file."""
    path = Path(path)
    return _kept_sha256(path, path.stat().st_mtime_ns) if path.exists() else f"missing {path.name}"


@lru_cache
def _kept_sha256(path, _modified):
    return file_sha256(path)


def read(path, kind=Record):
    """A Record or Bench; ValueError names file and field if it is damaged or was edited by hand."""
    try:
        fields = json.loads(Path(path).read_bytes())
        digest = fields.pop("digest", None)
        record = kind.model_validate(fields)
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: not a JSON record: {error}") from None
    except ValidationError as error:
        raise ValueError(f"{path}: {first_problem(error)}") from None
    if digest != _digest(fields):
        raise ValueError(f"{path}: digest: the record was edited by hand; delete it or run again")
    if record.id != Path(path).stem:
        raise ValueError(f"{path}: id: {record.id} is not the file's name")
    return record


def survey(folder, kind=Record):
    """All records of a kind in a folder by id, and what is wrong with the others, by file stem."""
    records, problems = {}, {}
    for path in sorted(Path(folder).glob("*.json")):
        try:
            records[path.stem] = read(path, kind)
        except ValueError as error:
            problems[path.stem] = str(error)
    return records, problems


def first_problem(error):
    """A ValidationError's first problem as `field: what is wrong`; other errors as they are."""
    if not isinstance(error, ValidationError):
        return str(error)
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _digest(fields):
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
