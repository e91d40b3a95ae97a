"""Detection in many pictures: what `p2s predict` does."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import PositiveInt
from tqdm import tqdm

from p2s.cli.health import required
from p2s.cli.job import Where, refuse_training_settings
from p2s.cli.paths import alone_in
from p2s.cli.telling import say, warn
from p2s.data import health
from p2s.data.classes import beyond, require_shared
from p2s.data.coco import read_pictures
from p2s.data.names import Endings
from p2s.deploy import pictures
from p2s.deploy.detections import coco_results
from p2s.deploy.journal import Journal
from p2s.deploy.predict import Predictor, load
from p2s.files import WEIGHTS, canonical_hash, cut, file_sha256, write_atomic
from p2s.spec import Spec
from p2s.train.folder import named


class Job(Where):
    """What is to be found in which pictures; the fields are the options of `p2s predict`."""

    model: Path
    images: tuple[str, ...]  # files, folders, patterns
    output: Path
    draw_above: float | None  # None: nothing is drawn
    score_above: float | None
    batch: PositiveInt
    coco: Path | None
    settings: tuple[dict[str, Any], ...]  # of --set, as Spec.changed takes them
    tile: PositiveInt | None = None

    def run(self) -> bool:
        """Detect, and tell of each picture that cannot be read; whether there was none."""
        refuse_training_settings(self.settings)
        missing: list[str] = []
        paths = self._paths(missing.append)
        if not paths:
            raise ValueError("; ".join(missing))
        _refuse_own(self.output, paths)
        self.tell()
        for line in missing:
            warn(line)
        predictor = self._loaded()
        ids = Ids.of(self.coco, paths, predictor.classes) if self.coco else None
        with alone_in(self.output):
            journal = Journal.at(self.output, self._identity(predictor))
            with named(self.model):
                answered = self._detect(predictor, journal, paths)
            target = self._write(predictor, journal, answered)
            if ids:
                ids.write(self.output / "coco_results.json", journal, answered)
            self._tell_others(journal.drawn_of_others(answered))
        asked = len(paths) + len(missing)
        say(f"{target}: {len(answered)} of {asked} pictures")
        return len(answered) == asked

    def _paths(self, skipped: Callable[[str], None]) -> list[Path]:
        """The files to detect in; `skipped` is told of what is none."""
        return pictures.files(self.images, skipped)

    def _write(self, _predictor: Predictor, journal: Journal, paths: list[Path]) -> Path:
        """Write what was found in these files; returns where."""
        journal.write(paths)
        return self.output / "detections.json"

    def _loaded(self):
        predictor = load(self.model, self.device, self.precision)
        lowest = {} if self.score_above is None else {"score_threshold": self.score_above}
        changes = (*self.settings, {"test": lowest})
        return replace(predictor, spec=reduce(Spec.changed, changes, predictor.spec))

    def _detect(self, predictor, journal, paths):
        """Detect in all pictures that are not done; returns those that could be read."""
        todo = [path for path in paths if not journal.has(path)]
        answered = set(paths) - set(todo)
        if answered:
            say(f"{len(answered)} of {len(paths)} pictures are done already", err=True)
        # disable=None: a bar in a terminal only, nothing in a log
        with tqdm(total=len(todo), disable=None, unit="picture") as bar:

            def skipped(line):
                bar.update()
                bar.write(cut(line), file=sys.stderr)

            for found in predictor.predict(todo, batch=self.batch, tile=self.tile, skipped=skipped):
                try:
                    journal.add(found)
                except ValueError as error:  # read again to be drawn, it was gone
                    skipped(f"{error}")
                else:
                    answered.add(found.picture.source)
                    bar.update()
        return [path for path in paths if path in answered]

    def _tell_others(self, names):
        """Drawings that stay from earlier runs: they are the user's."""
        if names:
            told = names[0] + f" and {len(names) - 1} more" * (len(names) > 1)
            line = f"drawings of earlier runs stay, {told}; detections.json has this run's alone"
            warn(f"{self.output}: {line}")

    def _identity(self, predictor):
        """All that the answers depend on, as `Journal` keeps it."""
        spec, test = predictor.spec, predictor.spec.test_fields()
        return {
            "model": file_sha256(self.model / WEIGHTS),
            "spec": canonical_hash(spec.model_dump(mode="json", exclude={"test"})),
            "classes": list(predictor.classes),
            **{name: getattr(self, name) for name in ("precision", "draw_above", "tile")},
            **{f"test.{name}": value for name, value in test.items()},
        }


@dataclass(frozen=True)
class Ids:
    """The ids that an annotation file has for pictures and classes."""

    annotations: Path
    images: dict[str, int]  # by path
    categories: dict[str, int]  # by name

    @classmethod
    def of(cls, annotations: Path, paths: list[Path], classes: tuple[str, ...]) -> "Ids":
        """Of these pictures and a model's classes; exit code 2 after a line for each problem."""
        required([health.of_given(annotations, paths)])
        data = read_pictures(annotations, Path())
        require_shared(data.classes, classes, told=f"{annotations}")
        names = Endings(row["file_name"] for row in data.images)
        images = {str(path): data.images[names.of(path)[0]]["id"] for path in paths}
        return cls(annotations, images, dict(zip(data.classes, data.category_ids, strict=True)))

    def write(self, target: Path, journal: Journal, paths: list[Path]) -> None:
        """Write COCO's results of those pictures; what has no category is left out and told."""
        results: list[dict] = []
        found: Counter[str] = Counter()
        for row in journal.rows(paths):
            found.update(one["class"] for one in row["detections"])
            known = [one for one in row["detections"] if one["class"] in self.categories]
            results += coco_results(known, self.images[row["file"]], self.categories)
        write_atomic(target, json.dumps(results).encode())
        if line := beyond(found, self.categories, told=f"{self.annotations}"):
            say(line, err=True)


def _refuse_own(output, paths):
    if output.resolve() in {folder.resolve() for folder in {path.parent for path in paths}}:
        raise ValueError(f"--output {output}: pictures to detect in are there; valid: another one")
