"""Evaluation picture by picture: what `p2s evaluate` does, and `p2s train` at its end."""

import json
from collections import Counter
from collections.abc import Callable
from functools import partial, reduce
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from detectron2.structures import Instances
from torch import nn
from tqdm import tqdm

from p2s import __version__, environment
from p2s.cli.job import Where, refuse_training_settings
from p2s.cli.telling import say, warn
from p2s.data.checks.doubts import crowded
from p2s.data.classes import beyond, in_classes_of
from p2s.data.coco import CocoSet, read_coco, read_pictures
from p2s.data.loader import test_inputs
from p2s.deploy.error_page import write_errors
from p2s.files import (
    WEIGHTS,
    canonical_hash,
    file_sha256,
    finite_or_none,
    printable,
    write_atomic,
)
from p2s.maths import ranks
from p2s.measure.coco import Pair, answers, columns, of_each, score
from p2s.measure.kept import Kept, NotKept
from p2s.measure.rows import Rows
from p2s.model.device import whereabouts
from p2s.spec import Spec, Test
from p2s.train.engine import load
from p2s.train.folder import named


class Found(NamedTuple):
    """What a model finds in the pictures of a data set that can be read."""

    data: CocoSet  # with these pictures alone
    detections: list[Instances]
    proposals: list[Instances]
    bad: list[str]  # a line on each of the others

    @classmethod
    def of(cls, data: CocoSet, seen: list[Pair | str]) -> "Found":
        """Of what was seen in each picture, or a line on why it cannot be read."""
        good = [index for index, pair in enumerate(seen) if not isinstance(pair, str)]
        detections, proposals = columns([seen[index] for index in good])
        bad = [line for line in seen if isinstance(line, str)]
        return cls(data.some(good), detections, proposals, bad)

    @property
    def told(self) -> str:
        """How many of how many pictures there are."""
        count = len(self.data)
        return f"{count} of {count + len(self.bad)} pictures" if self.bad else f"{count} pictures"

    def measured(self, target: Path | None, where: dict[str, str]) -> dict:
        """Metrics over these pictures, which are told and, in a file, written."""
        metrics = score(self.data, self.detections, self.proposals)
        if target:
            write_metrics(target, metrics, where, len(self.bad))
        say(*table(metrics))
        if self.bad:
            say(f"AP over {self.told}")
        if line := self._crowded():
            say(line)
        return metrics

    def _crowded(self):
        """What the AP of a table does not count."""
        rows = [row for of_image in self.data.annotations for row in of_image]
        names = dict(zip(self.data.category_ids, self.data.classes, strict=True))
        return crowded(rows, names)


class Job(Where):
    """What is to be evaluated; the fields are the options of `p2s evaluate`."""

    model: Path
    annotations: Path
    images: Path
    output: Path | None = None
    errors: Path | None = None
    submit: Path | None = None
    settings: tuple[dict[str, Any], ...] = ()  # of test

    def run(self) -> bool:
        """Evaluate, and write what is asked for; whether all pictures could be read."""
        refuse_training_settings(self.settings)
        model, spec, classes = load(self.model)
        given = (read_pictures if self.submit else read_coco)(self.annotations, self.images)
        told, trained = f"{self.annotations}", f"{self.model / 'classes.json'}"
        data = in_classes_of(given, classes, told=told, trained=trained)
        spec = reduce(Spec.changed, self.settings, spec)
        kept = kept_of(self.model, self.take(model), data, spec)
        with named(self.model):
            found = found_in_all(model, data, spec.test, kept)
        if self.submit:
            self._submit(self.submit, found, given.classes)
        else:
            metrics = found.measured(self.output, whereabouts(model))
            self._show_errors(found, metrics)
        kept.remove()
        return not found.bad

    def _show_errors(self, found, metrics):
        if self.errors:
            page = write_errors(self.errors, found.data, found.detections, metrics)
            say(f"{page}", err=True)

    def _submit(self, target, found, known):
        """Write COCO's results, which its server takes, but for classes that its file lacks."""
        rows = Rows.of_detections(found.detections)
        names = np.array(found.data.classes, object)[rows.labels]
        results = rows.where(np.isin(names, known)).results(found.data)
        write_atomic(target, json.dumps(results).encode())
        if line := beyond(Counter(names), known, told=f"{self.annotations}"):
            say(line, err=True)
        say(f"{target}: {len(results)} detections in {found.told}")


def kept_of(folder: Path, model: nn.Module, data: CocoSet, spec: Spec) -> Kept:
    """Where an evaluation's answers are until it is done, by all that they depend on."""
    of_data = data.fingerprint, f"{data.folder.absolute()}", data.classes
    of_model = file_sha256(folder / WEIGHTS), spec.model_dump(mode="json"), whereabouts(model)
    key = canonical_hash([__version__, *of_data, *of_model])
    return Kept(environment.user_cache() / "evaluations" / key)


def found_in_all(model: nn.Module, data: CocoSet, test: Test, kept: Kept) -> Found:
    """What a model finds in all pictures, of which bad ones are told; ValueError if all are bad."""
    kept.remove_old()
    if ranks.ranks() == 1 and (done := len(kept)):  # of several another one may have begun
        say(f"{done} of {len(data)} pictures are done already", err=True)
    # disable=None: a bar in a terminal only, nothing in a log
    with tqdm(total=len(range(len(data))[ranks.part()]), disable=None, unit="picture") as bar:

        def look(index):
            bar.update()
            return _seen(model, data, test, kept, index)

        found = Found.of(data, of_each(data, look))
    return _told(found, found.bad)


def ap_of(data: CocoSet, test: Test) -> Callable[[nn.Module], float]:
    """What asks a model for its AP over the pictures that can be read; others are told once."""
    told: set[str] = set()

    def ap(model: nn.Module) -> float:
        found = Found.of(data, of_each(data, partial(_seen, model, data, test, NotKept())))
        _told(found, [line for line in found.bad if line not in told])
        told.update(found.bad)
        return score(found.data, found.detections, found.proposals)["AP"]

    return ap


def _told(found, bad):
    """What is found, after a line on each bad picture; ValueError if all are bad."""
    for line in bad:
        warn(line)
    if not found.detections:
        raise ValueError(f"{found.data.name}: no picture can be read")
    return found


def _seen(model, data, test, kept, index):
    """What is found in a picture, now or before, or a line on why it cannot be read."""
    try:
        picture = data.path(index)
        if pair := kept.of(index, picture):
            return pair
        inputs = test_inputs(data, index, test)
    except ValueError as error:
        return f"{error}"
    [pair] = answers(model, [inputs], test)
    kept.keep(index, picture, pair)
    return pair


def write_metrics(
    path: str | Path, metrics: dict, where: dict[str, str], left_out: int = 0
) -> None:
    """Write metrics, and where they were taken, as JSON; null where a number is undefined.

    "left_out" is how many pictures could not be read, if any.
    """
    classes = {name: finite_or_none(value) for name, value in metrics["per_class"].items()}
    numbers = {
        name: finite_or_none(value) for name, value in metrics.items() if name != "per_class"
    }
    told = {"left_out": left_out} if left_out else {}
    row = {**told, **numbers, "per_class": classes, "where": where}
    text = json.dumps(row, indent=1, allow_nan=False)
    write_atomic(Path(path), text.encode())


def table(metrics: dict) -> list[str]:
    """Metrics as lines of text, a dash where a number is undefined."""
    flat = {name: value for name, value in metrics.items() if name != "per_class"}
    flat |= {f"AP of {printable(name)}": value for name, value in metrics["per_class"].items()}
    width = max(map(len, flat))
    return [
        f"{name:{width}}  {'-' if finite_or_none(value) is None else format(value, '.1f')}"
        for name, value in flat.items()
    ]
