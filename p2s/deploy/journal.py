"""Journal: what was found in many pictures, written as it comes, so that a stop loses nothing."""

import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from p2s.deploy.detections import Detections
from p2s.files import first_problem, read_json, require_file, write_atomic
from p2s.spec.part import LARGEST, Probability

Side = Annotated[int, Field(gt=0, le=LARGEST)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Typed(BaseModel):
    model_config = ConfigDict(strict=True)


class Row(_Typed):
    """What must be in a detection, as `Detections.rows` has it."""

    box: Annotated[list[Finite], Field(min_length=4, max_length=4)]
    name: str = Field(alias="class")
    score: Probability
    p_object: Probability
    p_class: Probability
    level: int


class Line(_Typed):
    """What must be in a line: a file by its `_key`, and what it was when it was read."""

    file: str
    bytes: int = 0
    modified: int = 0  # ns
    picture: str = ""
    width: Side
    height: Side
    detections: list[Row]


class Drawn(Line):
    """A line with the picture that was drawn, in the folder."""

    picture: Annotated[str, Field(pattern=r"^[^./\\\x00][^/\\\x00]*$")]


class Place(NamedTuple):
    """Where a file's line starts, and what that says of the file."""

    start: int  # bytes
    picture: str
    stamp: tuple[int, int]  # bytes, ns


@dataclass
class Journal:
    """A folder of answers: `settings.json`, perhaps a drawn picture each, a line of JSON each.

    The lines are in `detections.jsonl`; `write` makes `detections.json` of them.
    """

    folder: Path
    draw_above: float | None  # the lowest score that is drawn; None: no picture
    places: dict[str, "Place"] = field(default_factory=dict)  # by `_key`

    @classmethod
    def at(cls, folder: Path, settings: dict[str, Any]) -> "Journal":
        """That of a folder, new or gone on with; ValueError if it is of other settings.

        `settings` are all that the answers depend on, also "draw_above".
        """
        journal, kept = cls(folder, settings["draw_above"]), folder / "settings.json"
        if kept.exists():
            _refuse_other(kept, settings)
            journal._read()
        elif (folder / "detections.json").exists():
            raise ValueError(f"{folder} has detections without settings.json; {ELSEWHERE}")
        write_atomic(kept, json.dumps(settings, indent=1).encode())
        return journal

    def has(self, path: Path) -> bool:
        """Whether a file is done, and is still the one that was read."""
        place = self.places.get(_key(path))
        if place is None or not place.stamp == _stamp(path) != GONE:
            return False
        return self.draw_above is None or (self.folder / place.picture).is_file()

    def add(self, found: Detections) -> None:
        """Draw a picture and write its line; cut short, it counts as not done."""
        name, (height, width) = found.picture.name, found.size
        file, stamp = _key(name), _stamp(name)
        row = {"file": file, "bytes": stamp[0], "modified": stamp[1]}
        row |= {"width": width, "height": height}
        if self.draw_above is not None:
            row |= {"picture": self._draw(found)}
        with self._lines.open("ab") as lines:
            self.places[file] = Place(lines.tell(), row.get("picture", ""), stamp)
            lines.write(json.dumps(row | {"detections": found.rows()}).encode() + b"\n")

    def _draw(self, found):
        """Draw a picture; returns its name."""
        # Equal stems stay apart, and a number is never given anew.
        stem = _fitting(Path(found.picture.name).stem)
        new = Place(0, f"{len(self.places):03d}-{stem}.png", GONE)
        name = self.places.get(_key(found.picture.name), new).picture
        picture = io.BytesIO()
        found.draw(self.draw_above).save(picture, "png")
        write_atomic(self.folder / name, picture.getvalue())
        return name

    def write(self, paths: Iterable[Path]) -> None:
        """Write `detections.json`: a list with a row of each of these files that is done."""
        rows = (row | {"file": _told(row["file"])} for row in self.rows(paths))
        lines = ",\n".join(map(json.dumps, rows))
        write_atomic(self.folder / "detections.json", f"[{lines}]\n".encode())

    def rows(self, paths: Iterable[Path]) -> Iterator[dict]:
        """The rows of those files that are done: file (as here), width, height, detections ..."""
        done = [path for path in paths if _key(path) in self.places]
        if not done:
            return
        with self._lines.open("rb") as lines:
            for path in done:
                lines.seek(self.places[_key(path)].start)
                row = json.loads(lines.readline()) | {"file": str(path)}
                yield {name: value for name, value in row.items() if name not in STAMP}

    def drawn_of_others(self, paths: Iterable[Path]) -> list[str]:
        """The names of drawings in the folder that are of none of these files."""
        mine = {*map(_key, paths)}
        names = [place.picture for file, place in self.places.items() if file not in mine]
        return sorted(name for name in names if name and (self.folder / name).is_file())

    @property
    def _lines(self):
        return self.folder / "detections.jsonl"

    def _row(self, line, number):
        try:
            kind = Line if self.draw_above is None else Drawn
            return kind.model_validate_json(line)
        except ValidationError as error:
            told = f"{first_problem(error)}; remove the line, or choose another folder"
            raise ValueError(f"{self._lines}: line {number}: {told}") from None

    def _read(self):
        """Find the lines, the last of a file counts; one that a kill cut short is removed."""
        if not self._lines.exists():
            return
        require_file(self._lines)
        with self._lines.open("r+b") as lines:
            start = number = 0
            while line := lines.readline():
                number += 1
                if not line.endswith(b"\n"):
                    lines.truncate(start)
                    return
                row = self._row(line, number)
                self.places[row.file] = Place(start, row.picture, (row.bytes, row.modified))
                start = lines.tell()


STAMP = ("bytes", "modified")  # what a line has besides its row
GONE = (0, 0)
LONGEST = 200  # bytes of a stem: a name has 255, and a partial file's is longer than the file's
ELSEWHERE = "nothing was changed: choose another folder, or remove this one"


def _key(path):
    """What a file goes by: its absolute path, as `_told`."""
    return _told(os.path.abspath(path))


def _told(path):
    """A path that JSON can hold: one that is no UTF-8 is written as an address, file:///..."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return Path(os.path.abspath(path)).as_uri()
    return path


def _fitting(stem):
    """A stem in UTF-8, without backslashes, and short enough for what is put around it."""
    return os.fsencode(stem)[:LONGEST].decode(errors="ignore").replace("\\", "_")


def _stamp(path):
    """What tells a file from one that has taken its place: its size, and when it was written."""
    try:
        status = os.stat(path)
    except OSError:
        return GONE
    return status.st_size, status.st_mtime_ns


def _refuse_other(kept, settings):
    there = read_json(kept, dict[str, Any])
    for name, value in settings.items():
        if there.get(name) != value:
            raise ValueError(f"{kept}: {name} {there.get(name)}, now {value}; {ELSEWHERE}")
