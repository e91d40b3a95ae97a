"""Files: strict YAML, atomic writes, hashes, and JSON values; knows nothing of the study."""

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

import yaml
from pydantic import TypeAdapter, ValidationError

DEEPEST, MOST_NODES = 50, 50_000  # of a YAML text; more take seconds
MOST_YAML, MOST_JSON = 2**20, 2**28  # bytes
START, END = 700, 150  # letters of a longer line that tells of an error
SHORT = 1e9  # the number below which one is told as it is
WEIGHTS = "model.safetensors"  # of a model's folder, the last file of its training
PARTIAL = ".partial"  # the end of the name of a file that is being written
BOM = b"\xef\xbb\xbf"  # of UTF-8: some editors write one
TEXT = "tag:yaml.org,2002:str"
NODES = dict.fromkeys(("null", "bool", "int", "float", "str"), yaml.ScalarNode)
NODES |= {"seq": yaml.SequenceNode, "map": yaml.MappingNode}
TAGS = {f"tag:yaml.org,2002:{name}": node for name, node in NODES.items()}  # and what has them


def read_yaml(path: Path | str, kind: Any) -> Any:
    """The content of a file as `kind`, a type that pydantic can check.

    A slip is a ValueError that names the file, the line and the field.
    """
    text = text_of(path, MOST_YAML)
    try:
        content = parsed_yaml(text)
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        line = _line(yaml.compose(text), error.errors()[0]["loc"])
        raise ValueError(f"{path}: line {line}: {first_problem(error)}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parsed_yaml(text: str) -> Any:
    """What is in a YAML text, of plain values; ValueError has the line and what is wrong there."""
    try:
        return yaml.load(text, _Plain)
    except yaml.reader.ReaderError as error:
        line, problem = text.count("\n", 0, error.position) + 1, error.reason
    except yaml.MarkedYAMLError as error:
        line, problem = error.problem_mark.line + 1, error.problem
    raise ValueError(f"line {line}: {shortened(problem)}")


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
    """The text of a regular file of UTF-8; ValueError names a file that is none, as `bytes_of`."""
    try:
        return bytes_of(path, most).decode()
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
    """A text of anybody's as one line of a moderate length, its beginning and its end."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= START + END else f"{line[:START]} ... {line[-END:]}"


def printable(text: str) -> str:
    """A text of anybody's in which what a terminal would obey is written as an escape."""
    return "".join(map(_seen, text))


def _seen(letter):
    is_control = unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")
    return letter.encode("unicode_escape").decode() if is_control else letter


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


class _Plain(yaml.SafeLoader):
    """YAML of plain values, and bounded; a repeated key is an error, PyYAML keeps the last one.

    A key is what is written, also a number. No value is of a type that JSON lacks, and what aliases
    repeat counts as often as it is there.
    """

    depth = size = 0

    def __init__(self, stream):
        super().__init__(stream)
        self.sizes = {}  # of composed nodes, in nodes

    def fetch_more_tokens(self):
        try:
            super().fetch_more_tokens()
        except (ValueError, OverflowError) as error:  # of what it takes for a character or number
            told = "no such character or number"
            raise yaml.MarkedYAMLError(problem=told, problem_mark=self.get_mark()) from error

    def compose_node(self, parent, index):
        mark, before = self.peek_event().start_mark, self.size
        is_alias = self.check_event(yaml.AliasEvent)
        self.depth, self.size = self.depth + 1, before + 1
        _refuse(self.depth > DEEPEST, f"nested more than {DEEPEST} deep", mark)
        node = super().compose_node(parent, index)
        _refuse(is_alias and node not in self.sizes, "an alias of what it stands in", mark)
        self.depth, self.size = (
            self.depth - 1,
            before + self.sizes.setdefault(node, self.size - before),
        )
        _refuse(self.size > MOST_NODES, f"more than {MOST_NODES} values", mark)
        return node

    def construct_object(self, node, deep=False):
        _refuse(node.tag not in TAGS, f"{node.tag[:80]} is not read (valid: plain values)", node)
        _refuse(not isinstance(node, TAGS[node.tag]), f"a {node.id} is no {node.tag[18:]}", node)
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:  # what PyYAML makes of odd values is anybody's guess
            told = f"no {node.tag.rsplit(':')[-1]}: {shortened(str(node.value))[:40]}"
            raise yaml.MarkedYAMLError(problem=told, problem_mark=node.start_mark) from error

    def construct_mapping(self, node, deep=False):
        seen = set()
        for place, (key, value) in enumerate(node.value):
            is_text = isinstance(key, yaml.ScalarNode) and key.tag in TAGS
            _refuse(not is_text, "a key that is not a text", key)
            _refuse(key.value in seen, f"given twice: {key.value}", key)
            seen.add(key.value)
            named = yaml.ScalarNode(TEXT, key.value, key.start_mark, key.end_mark)
            node.value[place] = named, value
        return super().construct_mapping(node, deep)


_Plain.yaml_implicit_resolvers = {  # a date is a text
    start: [pair for pair in pairs if not pair[0].endswith(("timestamp", "merge", "value"))]
    for start, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _refuse(wrong, problem, place):
    """A YAMLError at a mark, or where a node begins, if something is wrong."""
    if wrong:
        raise yaml.MarkedYAMLError(
            problem=problem, problem_mark=getattr(place, "start_mark", place)
        )


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
