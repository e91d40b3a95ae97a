"""Pseudo-labels: what `p2s pseudo-label` writes."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from p2s.cli import pictures
from p2s.data.inside import leads_outside
from p2s.deploy.detections import coco_results
from p2s.deploy.journal import Journal
from p2s.deploy.predict import Predictor
from p2s.files import write_atomic

NAME = "pseudo_labels.json"


class Job(pictures.Job):
    """As of `p2s predict`; `folder` is what file names are relative to."""

    folder: Path

    def _paths(self, skipped: Callable[[str], None]) -> list[Path]:
        """The files to annotate: one that `p2s train` would refuse is told and left out."""
        paths = super()._paths(skipped)
        problems = {path: self._problem(path.relative_to(self.folder)) for path in paths}
        for path, problem in problems.items():
            if problem:
                skipped(f"{path}: left out, p2s train refuses it: {problem}")
        return [path for path, problem in problems.items() if not problem]

    def _problem(self, name):
        if leads_outside(self.folder, f"{name}"):
            return "its name or link leads out of the folder (valid: a path inside it)"
        try:
            f"{name}".encode()
        except UnicodeEncodeError:
            return "its name is not UTF-8 (valid: a name that JSON can hold)"
        return ""

    def _write(self, predictor: Predictor, journal: Journal, paths: list[Path]) -> Path:
        tables = annotations(journal.rows(paths), self.folder, predictor.classes)
        about = {"pseudo_labels": self._identity(predictor)}
        write_atomic(self.output / NAME, json.dumps({"info": about, **tables}).encode())
        return self.output / NAME


def annotations(
    found: Iterable[dict[str, Any]], folder: Path, classes: tuple[str, ...]
) -> dict[str, list[dict]]:
    """COCO's tables of what was found in the files of a folder; a score stands beside each box."""
    ids = {name: number for number, name in enumerate(classes, 1)}
    images, labels = [], []
    for number, row in enumerate(found, 1):
        place = Path(row["file"]).relative_to(folder).as_posix()
        sides = {side: row[side] for side in ("width", "height")}
        images.append({"id": number, "file_name": place, **sides})
        labels += coco_results(row["detections"], number, ids)
    return {
        "images": images,
        "annotations": [*_numbered(labels)],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }


def _numbered(labels: list[dict]) -> Iterator[dict]:
    for number, label in enumerate(labels, 1):
        _, _, width, height = label["bbox"]
        yield {"id": number, "area": width * height, "iscrowd": 0, **label}
