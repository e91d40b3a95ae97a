"""Records: what a run leaves behind, one JSON file each.

A record is written once and never edited. Its file ends in a digest of all its other fields, so an
edit by hand is found, and the run counts as not done.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from p2s.files import (
    bytes_of,
    canonical_digest,
    finite_or_none,
    first_problem,
    shortened,
    write_atomic,
)
from p2s.spec.identity import NUMERICS_VERSION
from p2s.spec.part import LARGEST, Part

MAX_BYTES = 200_000  # records live in git
PARTS = ("backbone", "first_stage", "second_stage", "recipe", "test", "data")  # of a Spec
SIZES = ("memory_mb", "weights_mb")

Number = Annotated[float | None, BeforeValidator(finite_or_none)]


def _described(spec):
    """A Spec as JSON, perhaps an older one's, in which parts that are asked are what they were."""
    for name in PARTS:
        if not isinstance(spec.get(name, {}), dict):
            raise ValueError(f"{name}: not an object")
    count = spec.get("recipe", {}).get("iterations", 0)
    if type(count) is not int or not 0 <= count <= LARGEST:
        raise ValueError("recipe.iterations: not a number of steps")
    return spec


def _counted(machine):
    for name in SIZES:
        if type(machine.get(name)) not in (int, NoneType):
            raise ValueError(f"{name}: not a whole number")
    return machine


class Record(Part):
    """One evaluation of one training: what was asked, what came out, and where it was made."""

    schema_version: Literal[1] = 1
    id: str  # evaluation_id; also the file's name
    training_id: str
    source: Literal["measured", "paper"] = "measured"
    detector: str  # a name of the paper's tables
    scale: str
    seed: int
    spec: Annotated[dict[str, Any], AfterValidator(_described)]  # the whole Spec as JSON
    train_fingerprint: str  # of the annotation file, or of the scenes drawn: what was trained on
    val_fingerprint: str  # the same of what was evaluated on
    numerics_version: int = NUMERICS_VERSION
    metrics: dict[str, Number]  # percent; None where undefined, such as APs without small objects
    per_class: dict[str, Number] = {}  # AP by class name, percent
    replicates: dict[str, list[Number]] = {}  # of a metric, on images drawn again; see bootstrap
    parts: dict[str, dict[str, list[Number]]] = {}  # AP by threshold and size; see measure.parts
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
    machine: Annotated[dict[str, str | int | None], AfterValidator(_counted)] = {}
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def write(record: Any, folder: Path | str) -> Path:
    """Write `<folder>/<id>.json` in one step and return its path; refuses more than 200 kB."""
    fields = record.model_dump(mode="json")
    fields["digest"] = canonical_digest(fields)
    lines = [
        f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in fields.items()
    ]
    content = ("{\n" + ",\n".join(lines) + "\n}\n").encode()
    if len(content) > MAX_BYTES:
        raise ValueError(f"record {record.id} has {len(content)} bytes; the limit is {MAX_BYTES}")
    path = Path(folder) / f"{record.id}.json"
    write_atomic(path, content)
    return path


def read(path: Path | str, kind: type[Part] = Record) -> Any:
    """A Record or Bench; ValueError names file and field if it is damaged or was edited by hand."""
    try:
        fields = json.loads(bytes_of(path, MAX_BYTES))
        digest = fields.pop("digest", None)
        record: Any = kind.model_validate(fields)
        own = canonical_digest(fields)
    except ValidationError as error:
        raise ValueError(f"{path}: {first_problem(error)}") from None
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: not a JSON record: {shortened(str(error))}") from None
    if digest != own:
        raise ValueError(f"{path}: digest: the record was edited by hand; delete it or run again")
    if record.id != Path(path).stem:
        raise ValueError(f"{path}: id: {record.id} is not the file's name")
    return record


def survey(folder: Path | str, kind: type[Part] = Record) -> tuple[dict[str, Any], dict[str, str]]:
    """All records of a kind in a folder by id, and what is wrong with the others, by file stem."""
    records, problems = {}, {}
    for path in sorted(Path(folder).glob("*.json")):
        try:
            records[path.stem] = read(path, kind)
        except ValueError as error:
            problems[path.stem] = str(error)
    return records, problems


class Outline(NamedTuple):
    """What the progress of a study needs of a record; of a damaged one only the problem."""

    size: int  # of the file, in bytes
    modified: int  # when, in ns
    problem: str = ""
    asked: str = ""  # of what run, see `asked`
    kind: str = ""
    iterations: int = 0
    source_hash: str = ""
    train_s: float | None = None
    evaluate_s: float | None = None
    training: str = ""  # its training_id
    memory_mb: int | None = None  # the most that its process held
    weights_mb: int | None = None  # what its training left


OUTLINES = TypeAdapter(dict[str, Outline], config=ConfigDict(strict=True))


def outlines(folder: Path, kept: Path) -> dict[str, Outline]:
    """The Outline of each record in a folder, by file stem.

    `kept` is a file of earlier ones: of hundreds of records only those are read that have changed.
    """
    try:
        before = OUTLINES.validate_json(bytes_of(kept))
    except (OSError, ValueError):
        before = {}
    now = {path.stem: _outline(path, before.get(path.stem)) for path in folder.glob("*.json")}
    if now != before:
        write_atomic(kept, json.dumps(now).encode())
    return now


def asked(run: Any) -> str:
    """What the record of a run must repeat of it, besides its id, in words."""
    return f"training {run.training_id}, scale {run.scale}, seed {run.seed}"


def misfit(said: str, run: Any) -> str:
    """Why a record that has said what it is `asked` is not this run's; a digest can be made."""
    wanted = asked(run)
    return "" if said == wanted else f"{run.evaluation_id}.json: of {said}, not {wanted}"


def kind(detector: str, spec: dict[str, Any]) -> str:
    """What a run's time depends on most, as a word: the detector, and of its Spec as JSON a few."""
    backbone, recipe = spec.get("backbone", {}), spec.get("recipe", {})
    sizes = [spec.get("num_classes"), backbone.get("depth"), backbone.get("width")]
    return f"{detector} {[*sizes, recipe.get('batch'), recipe.get('short_edge')]}"


def _outline(path, before):
    stat = path.stat()
    if before and (before.size, before.modified) == (stat.st_size, stat.st_mtime_ns):
        return before
    try:
        record = read(path)
    except ValueError as error:
        return Outline(stat.st_size, stat.st_mtime_ns, str(error))
    iterations = record.spec.get("recipe", {}).get("iterations", 0)
    told = asked(record), kind(record.detector, record.spec), iterations, record.source_hash
    times = (record.timings.get(name) for name in ("train_s", "evaluate_s"))
    sizes = (record.machine.get(name) for name in SIZES)
    return Outline(stat.st_size, stat.st_mtime_ns, "", *told, *times, record.training_id, *sizes)
