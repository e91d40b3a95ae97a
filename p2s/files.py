"""Files: whole reads, atomic writes, hashes, and JSON values; knows nothing of the study."""

import fcntl
import hashlib
import json
import math
import os
import secrets
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import TypeAdapter, ValidationError

MOST_JSON = 2**28  # bytes
START, END = 700, 150  # letters of a longer line that tells of an error
SHORT = 1e9  # the number below which one is told as it is
WEIGHTS = "model.safetensors"  # of a model's folder, the last file of its training
MODEL_FILES = (  # of a model's folder, what it is and how it came about
    *(WEIGHTS, "spec.json", "classes.json", "imported.json"),
    *("training.json", "curve.json", "settings.json", "state.pt"),
)
PARTIAL = ".partial"  # the end of the name of a file that is being written
TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # show a text in another order
BOM = b"\xef\xbb\xbf"  # of UTF-8: some editors write one


def read_json(path: Path | str, kind: Any) -> Any:
    """The content of a JSON file as `kind`; ValueError names the file and the first field.

    A byte order mark of UTF-8 is left out.
    """
    try:
        text = bytes_of(path, MOST_JSON).removeprefix(BOM)
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        raise ValueError(f"{path}: {first_problem(error)}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def text_of(path: Path | str, most: float = math.inf) -> str:
    """The text of a regular file of UTF-8; ValueError names a file that is none, as `bytes_of`.

    A byte order mark is left out.
    """
    try:
        return bytes_of(path, most).decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8, at byte {error.start}: save it as UTF-8") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def bytes_of(path: Path | str, most: float = math.inf) -> bytes:
    """The bytes of a regular file; ValueError, at once, for a pipe or a device: it may not end.

    Also for one that is larger than the `most` bytes that a file of its kind may have.
    """
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file (valid: a file on a disk)")
    if status.st_size > most:
        raise ValueError(f"{status.st_size} bytes (valid: up to {most:.0f})")
    with Path(path).open("rb") as file:
        return file.read(status.st_size)  # no more, should it grow


def first_problem(error: Exception) -> str:
    """A ValidationError's first problem as `field: what is wrong`; other errors as they are."""
    if not isinstance(error, ValidationError):
        return str(error)
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = _message(problem)
    return shortened(f"{where}: {message}" if where else message)


def _message(problem):
    """What pydantic says, of a choice and of a bound also what was given."""
    given, more = problem["input"], problem.get("ctx", {})
    if problem["type"] == "union_tag_invalid":
        return f"{more['tag']} (valid: {more['expected_tags'].replace(chr(39), '')})"
    message = problem["msg"].removeprefix("Value error, ")
    is_bound = more.keys() & {"gt", "ge", "lt", "le"} and isinstance(given, int | float)
    return f"{message}, not {given}" if is_bound and abs(given) < SHORT else message


def shortened(text: str) -> str:
    """A text of anybody's as one line, as `cut`."""
    return cut(" ".join(text.split()))


def cut(line: str) -> str:
    """A printable line of a moderate length: the beginning and the end of anybody's."""
    seen = printable(line)
    return seen if len(seen) <= START + END else f"{seen[:START]} ... {seen[-END:]}"


def printable(text: str) -> str:
    """A text of anybody's in which what a terminal would obey is written as an escape."""
    return "".join(map(_seen, text))


def _seen(letter):
    obeyed = unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or letter in TURNS
    return letter.encode("unicode_escape").decode() if obeyed else letter


def write_atomic(path: Path, content: bytes) -> None:
    """Write bytes so that a reader, or a crash, never meets half a file.

    A writer has a partial file of its own, so two never mix. What a killed one left is removed
    when another process first writes into the folder. OSError names the path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_orphans(path.parent)
    try:
        with _partial(path) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut may keep the new name and lose the bytes
            Path(file.name).replace(path)
    except OSError as error:  # of a full disk it does not say which file
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def _partial(path: Path) -> Iterator[BinaryIO]:
    """A new file beside a path, locked while its writer lives, and gone or renamed afterwards."""
    while True:
        partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}{PARTIAL}")
        try:
            with partial.open("xb") as file:
                _lock(file, fcntl.LOCK_EX)
                if partial.exists():  # else taken for an orphan before it was locked
                    yield file
                    return
        finally:
            partial.unlink(missing_ok=True)


@cache
def _remove_orphans(folder: Path) -> None:
    """Remove the partial files in a folder whose writers are gone."""
    for partial in folder.glob(f".*{PARTIAL}"):
        with suppress(OSError), partial.open("rb") as file:
            if _lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
                partial.unlink()


def _lock(file: BinaryIO, how: int) -> bool:
    """Whether a file could be locked: some file systems know no locks, and nothing is held."""
    try:
        fcntl.flock(file, how)
        return True
    except OSError:
        return False


def require_file(path: Path | str) -> None:
    """ValueError if a path is there and no regular file: a pipe or a device may not end."""
    if not Path(path).is_file() and Path(path).exists():
        raise ValueError(f"{path}: not a regular file (valid: a file on a disk)")


def file_sha256(path: Path | str) -> str:
    """The SHA-256 of a file's bytes in hex; ValueError as of `require_file`."""
    require_file(path)
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


def joined_fingerprint(fingerprints: Sequence[str]) -> str:
    """That of files that are one data set; of a single file its own."""
    return fingerprints[0] if len(fingerprints) == 1 else canonical_hash([*fingerprints])


def canonical_hash(value: Any) -> str:
    """The first 16 hex digits of `canonical_digest`."""
    return canonical_digest(value)[:16]


def finite_or_none(value: Any) -> Any:
    """The value, or None for NaN and infinity, which JSON has no word for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
