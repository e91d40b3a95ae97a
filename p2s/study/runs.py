"""Runs: one evaluation of one training, with its identity."""

import ast
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from p2s.data.catalogue import model_folder
from p2s.files import (
    canonical_hash,
    file_fingerprint,
    joined_fingerprint,
    read_json,
    shortened,
    text_of,
    write_atomic,
)
from p2s.spec import Coco, Glyphs, Spec
from p2s.spec.identity import evaluation_id, imported_id, released_id, training_id
from p2s.study import records
from p2s.study.experiments import annotation_files
from p2s.study.project import PACKAGE, Project

State = Literal["done", "running", "failed", "missing"]
PARAMETERS = ("experiment", "row", "variant", "scale", "seed")


@dataclass(frozen=True)
class Run:
    """One evaluation of one training; the first five fields are the notebook's parameters."""

    experiment: str
    row: str
    variant: str  # "" in an experiment without variants
    scale: str
    seed: int
    detector: str
    spec: Spec
    measures: tuple[str, ...]  # of the experiment
    train_fingerprint: str
    val_fingerprint: str
    training_id: str
    evaluation_id: str
    weights: str | None = None  # of a released detector, which `p2s fetch` knows by this name
    start: "Run | None" = None  # the one from whose weights its training starts

    @property
    def starts_from(self) -> str | None:
        """The training_id of that one."""
        return self.start and self.start.training_id

    @property
    def label(self) -> str:
        """The run in words, for people."""
        variant = f" | {self.variant}" if self.variant else ""
        return f"{self.experiment} | {self.row}{variant} | seed {self.seed}"

    def record(self, **fields: Any) -> records.Record:
        """The Record of this run, of what it was asked and the fields that it measured."""
        return records.Record(
            id=self.evaluation_id,
            training_id=self.training_id,
            detector=self.detector,
            scale=self.scale,
            seed=self.seed,
            spec=self.spec.model_dump(mode="json"),
            train_fingerprint=self.train_fingerprint,
            val_fingerprint=self.val_fingerprint,
            **fields,
        )


@dataclass(frozen=True)
class Standing:
    """A run and how it stands; the note says why, or what to know about it."""

    run: Run
    state: State
    note: str = ""

    def __str__(self):
        return f"{self.state:8}{self.run.label}" + (f": {self.note}" if self.note else "")


def given(project: Project, run: Run) -> dict[str, Any]:
    """The parameters of a run's notebook."""
    return {name: getattr(run, name) for name in PARAMETERS} | {"root": str(project.root)}


def typed(template: Path, values: dict[str, Any]) -> dict[str, Any]:
    """`values` with every value in the type of the default in the notebook's parameters cell.

    The text of a command line is converted; an unknown name or a wrong type is a ValueError that
    lists the valid ones. papermill itself would let both pass.
    """
    types = _types(template)
    valid = ", ".join(f"{name} ({kind.__name__})" for name, kind in types.items())
    if unknown := sorted(set(values) - set(types)):
        raise ValueError(f"{template}: unknown parameter {', '.join(unknown)}; valid: {valid}")
    return {
        name: _of_kind(value, types[name], f"{template}: {name}: {value!r}; valid: {valid}")
        for name, value in values.items()
    }


def identified(project: Project, names: dict, spec: Spec) -> Run:
    """The Run of a Spec, with its fingerprints and identities; `names` are its other fields.

    On which data released weights were trained nobody can tell: their fingerprint is empty.
    """
    train, val = fingerprints(spec.data, project)
    if weights := names["weights"]:
        train, training = "", released_id(imported_id(model_folder(project.root, weights)))
    else:
        training = training_id(spec, train, names["seed"], project.root)
    return Run(
        **names,
        spec=spec,
        train_fingerprint=train,
        val_fingerprint=val,
        training_id=training,
        evaluation_id=evaluation_id(training, spec, val, names["measures"]),
    )


def fingerprints(data: Coco | Glyphs, project: Project) -> list[str]:
    """The identities of the training and validation data.

    They are those of the `CocoSet`s that a run loads, had without drawing or reading an image. Of
    files of which none is there they are those of the records that came with the project.
    """
    if isinstance(data, Coco):
        paths = annotation_files(data, project.root)
        if data.recorded and not any(path.exists() for path in paths):
            return [*data.recorded]
        train, val, *pseudo = map(file_fingerprint, paths)
        return [joined_fingerprint([train, *pseudo]), val]
    return [*_of_scenes(data, project.cache / "fingerprints")]


def _of_kind(value, kind, told):
    """A value as of a kind, for which True is no number; ValueError says what is told."""
    with suppress(ValidationError):
        if kind is bool or type(value) is not bool:
            return TypeAdapter(kind).validate_python(value)
    raise ValueError(told)


def _types(template):
    """Those of the defaults in a notebook's parameters cell; ValueError for what is no notebook."""
    from papermill import inspect_notebook  # takes seconds to import, and status needs none of it

    text_of(template)  # papermill would wait for a pipe
    try:
        told = {name: given["default"] for name, given in inspect_notebook(template).items()}
        return {name: type(ast.literal_eval(text)) for name, text in told.items()}
    except Exception as error:  # whatever its readers make of a file that is none
        raise ValueError(f"{template}: not a notebook: {shortened(str(error))}") from None


@cache
def _of_scenes(data: Glyphs, folder: Path) -> tuple[str, str]:
    """Those of scenes, kept in a folder: to know them one scene is drawn, which takes a while."""
    settings = data.model_dump(mode="json")
    path = folder / f"{canonical_hash([settings, drawing()])}.json"
    with suppress(OSError, ValueError):  # not there, or damaged: no more is lost than time
        return read_json(path, tuple[str, str])
    from p2s.data import glyphs  # its fonts and pictures take long to import

    train, val = (glyphs.fingerprint(data, split) for split in glyphs.SPLITS)
    write_atomic(path, json.dumps([train, val]).encode())
    return train, val


@cache
def drawing() -> list[str]:
    """What scenes are drawn with: the source, and the versions of the packages behind it."""
    source = sorted((PACKAGE / "data" / "glyphs").glob("*.*"))
    versions = [metadata.version(name) for name in ("numpy", "pillow", "matplotlib")]
    return [*map(file_fingerprint, source), *versions]
