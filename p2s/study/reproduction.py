"""Reproduction: a record made again from nothing, held against it number by number."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from p2s.spec.part import Part
from p2s.study import records
from p2s.study.project import Project
from p2s.study.records import Number, Record
from p2s.study.runs import Run
from p2s.study.study import Study

COMPARED = ("metrics", "per_class", "replicates", "parts", "curve", "scenes", "findings")
MADE = ("machine", "versions", "git", "created")


class Numbers(Part):
    """How the numbers of one part of a record come out again."""

    count: int
    equal: int
    most: Number = 0.0  # the largest difference; None: a number is there on one side alone
    where: str = ""  # the name of that number

    def __str__(self):
        if self.equal == self.count:
            return f"all {self.count} numbers are equal"
        told = f"{self.equal} of {self.count} numbers are equal"
        return f"{told}; most differs {self.where}, {'by ' * (self.most is not None)}{self.by}"

    @property
    def by(self) -> str:
        """By how much that number differs."""
        return "is there once only" if self.most is None else f"{self.most:.3g}"


class Reproduction(Part):
    """What came out again of a record, and where both were made."""

    schema_version: Literal[1] = 1
    id: str  # the record's; also the file's name
    label: str  # of the run, in words
    scale: str
    weights: bool  # whether they are equal to the last bit
    parts: dict[str, Numbers]
    made: dict[str, Any]  # MADE of the record
    again: dict[str, Any]

    @property
    def equal(self) -> bool:
        """Whether every number and all weights are."""
        return self.weights and all(part.equal == part.count for part in self.parts.values())


def reproduce(
    project: Project, path: Path, folder: Path, make: Callable[[Run, Project], Record]
) -> Reproduction:
    """Make a record of the project again, in a folder that holds nothing of it, and compare.

    `make` trains and evaluates a run; see p2s.study.train_eval.made. What the folder has of an
    earlier try is used. ValueError for a record that no experiment asks for any more: it has other
    settings, or an older numerics version.
    """
    record = records.read(path)
    runs = Study.load(project, record.scale).runs()
    if not (run := next((run for run in runs if run.evaluation_id == record.id), None)):
        told = f"{path}: of other settings or an older numerics version than the experiments"
        raise ValueError(f"{told} (valid: a record that `p2s study status` counts as done)")
    again = make(run, replace(project, cache=folder.resolve()))
    found = compared(run, record, again)
    records.write(found, project.reproduced)
    return found


def compared(run: Run, record: Record, again: Record) -> Reproduction:
    """A record and the same made again; times, places and dates are left aside."""
    one, other = (each.model_dump(mode="json") for each in (record, again))
    return Reproduction(
        id=record.id,
        label=run.label,
        scale=run.scale,
        weights=record.weights == again.weights,
        parts={name: numbers(one[name], other[name]) for name in COMPARED if one[name]},
        made={name: one[name] for name in MADE},
        again={name: other[name] for name in MADE},
    )


def numbers(one: Any, other: Any) -> Numbers:
    """How two nested values of dicts and lists agree, number by number."""
    left, right = dict(_leaves(one)), dict(_leaves(other))
    names = {**left, **right}
    differences = {name: _difference(left, right, name) for name in names}
    most = max(differences, key=differences.__getitem__, default="")
    largest = differences.get(most, 0.0)
    equal = sum(difference == 0 for difference in differences.values())
    return Numbers(count=len(names), equal=equal, most=largest, where=most if largest else "")


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, float | None]]:
    """The numbers in nested dicts and lists by their names; None is one that is undefined."""
    if isinstance(value, Mapping | list):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in items:
            yield from _leaves(part, f"{name}.{key}" if name else str(key))
    elif value is None or isinstance(value, int | float):
        yield name, value


def _difference(left, right, name):
    if name not in left or name not in right:
        return math.inf
    one, other = left[name], right[name]
    if one is None or other is None:
        return 0.0 if one is other else math.inf
    return abs(one - other)
