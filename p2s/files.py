"""Files: strict YAML, atomic writes, hashes, and JSON values; knows nothing of the study."""

import hashlib
import json
import math
import os
import secrets
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError


def read_yaml(path: Path | str, kind: Any) -> Any:
    """The content of a file as `kind`, a type that pydantic can check.

    A slip is a ValueError that names the file, the line and the field.
    """
    text = Path(path).read_text(encoding="utf-8")
    try:
        return TypeAdapter(kind).validate_python(yaml.load(text, _UniqueKeys))
    except yaml.reader.ReaderError as error:
        line, problem = text.count("\n", 0, error.position) + 1, error.reason
    except yaml.MarkedYAMLError as error:
        line, problem = error.problem_mark.line + 1, error.problem
    except ValidationError as error:
        line, problem = _line(yaml.compose(text), error.errors()[0]["loc"]), first_problem(error)
    raise ValueError(f"{path}: line {line}: {problem}")


def first_problem(error: Exception) -> str:
    """A ValidationError's first problem as `field: what is wrong`; other errors as they are."""
    if not isinstance(error, ValidationError):
        return str(error)
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def write_atomic(path: Path, content: bytes) -> None:
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


def file_sha256(path: Path | str) -> str:
    """The SHA-256 of a file's bytes in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_fingerprint(path: Path | str) -> str:
    """What identifies a file by content, kept until the file changes; one of a missing file."""
    path = Path(path)
    return _kept_sha256(path, path.stat().st_mtime_ns) if path.exists() else f"missing {path.name}"


@lru_cache
def _kept_sha256(path, _modified):
    return file_sha256(path)


def canonical_digest(value: Any) -> str:
    """The SHA-256, in hex, of a value's canonical JSON; ValueError for NaN and infinity."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def canonical_hash(value: Any) -> str:
    """The first 16 hex digits of `canonical_digest`."""
    return canonical_digest(value)[:16]


def finite_or_none(value: Any) -> Any:
    """The value, or None for NaN and infinity, which JSON has no word for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a repeated key is an error; PyYAML would keep the last one silently."""

    def construct_mapping(self, node, deep=False):
        seen = []
        for key, _ in node.value:
            if (name := self.construct_object(key, deep=True)) in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"given twice: {name}", problem_mark=key.start_mark
                )
            seen.append(name)
        return super().construct_mapping(node, deep)


def _line(node, place):
    """The line of what stands at `place`, keys and indices, or of the last part that is there."""
    for part in place:
        inside = {}
        if isinstance(node, yaml.MappingNode):
            inside = {key.value: value for key, value in node.value}
        elif isinstance(node, yaml.SequenceNode):
            inside = dict(enumerate(node.value))
        node = inside.get(part, node)
    return node.start_mark.line + 1 if node else 1
