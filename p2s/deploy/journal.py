"""Journal: what was found in many pictures, written as it comes, so that a stop loses nothing."""

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from p2s.deploy.detections import Detections
from p2s.files import first_problem, read_json, write_atomic


class Line(BaseModel):
    """What must be in a line: a file, and the picture of it that was drawn, in the folder."""

    file: str
    picture: Annotated[str, Field(pattern=r"^[^./\\\x00][^/\\\x00]*$")]
    width: int
    height: int
    detections: list[dict[str, Any]]


@dataclass
class Journal:
    """A folder of answers: `settings.json`, a drawn picture each, and a line of JSON each.

    The lines are in `detections.jsonl`; `write` makes `detections.json` of them.
    """

    folder: Path
    draw_above: float
    places: dict[str, tuple[int, str]] = field(default_factory=dict)  # by file: line, picture

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
        """Whether a file is done and has not changed since its picture was drawn."""
        _, name = self.places.get(str(path), (0, ""))
        drawn = self.folder / name
        return bool(name) and drawn.exists() and drawn.stat().st_mtime >= path.stat().st_mtime

    def add(self, found: Detections) -> None:
        """Draw a picture and write its line; cut short, it counts as not done."""
        file, (height, width) = found.picture.name, found.size
        # Equal stems stay apart, and a number is never given anew.
        _, name = self.places.get(file, (0, f"{len(self.places):03d}-{Path(file).stem}.png"))
        picture = io.BytesIO()
        found.draw(self.draw_above).save(picture, "png")
        write_atomic(self.folder / name, picture.getvalue())
        row = {"file": file, "width": width, "height": height, "picture": name}
        with self._lines.open("ab") as lines:
            self.places[file] = (lines.tell(), name)
            lines.write(json.dumps(row | {"detections": found.rows()}).encode() + b"\n")

    def write(self, paths: Iterable[Path]) -> None:
        """Write `detections.json`: a list with a row of each of these files that is done."""
        lines = b",\n".join(line.strip() for line in self._of(paths))
        write_atomic(self.folder / "detections.json", b"[" + lines + b"]\n")

    def rows(self, paths: Iterable[Path]) -> Iterator[dict]:
        """The rows of those files that are done: file, width, height, picture, detections."""
        return map(json.loads, self._of(paths))

    @property
    def _lines(self):
        return self.folder / "detections.jsonl"

    def _of(self, paths):
        done = [self.places[str(path)] for path in paths if str(path) in self.places]
        if not done:
            return
        with self._lines.open("rb") as lines:
            for start, _ in done:
                lines.seek(start)
                yield lines.readline()

    def _row(self, line):
        try:
            return Line.model_validate_json(line)
        except ValidationError as error:
            told = f"{first_problem(error)}; remove the line, or choose another folder"
            raise ValueError(f"{self._lines}: {told}") from None

    def _read(self):
        """Find the lines, the last of a file counts; one that a kill cut short is removed."""
        if not self._lines.exists():
            return
        with self._lines.open("r+b") as lines:
            start = 0
            while line := lines.readline():
                if not line.endswith(b"\n"):
                    lines.truncate(start)
                    return
                row = self._row(line)
                self.places[row.file] = (start, row.picture)
                start = lines.tell()


ELSEWHERE = "nothing was changed: choose another folder, or remove this one"


def _refuse_other(kept, settings):
    there = read_json(kept, dict[str, Any])
    for name, value in settings.items():
        if there.get(name) != value:
            raise ValueError(f"{kept}: {name} {there.get(name)}, now {value}; {ELSEWHERE}")
