"""The health of a command's data, told before any of its work; without torch."""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

from p2s.cli.telling import is_first, tell, warn
from p2s.data import health
from p2s.data.checks import doubts
from p2s.data.checks.problems import Problems
from p2s.data.health import Health
from p2s.files import read_json
from p2s.spec.changes import merge


class Files(NamedTuple):
    """An annotation file, its pictures, and what is doubted of it."""

    annotations: Path
    images: Path
    doubt: Callable[[dict, Problems], None] = doubts.of_validation


def of_annotations(files: Files) -> Health:
    """Pictures and what is annotated in them."""
    return health.health(*files)


def of_pictures(files: Files) -> Health:
    """Pictures alone."""
    return health.of_pictures(files.annotations, files.images)


def require_health(*files: Files, of: Callable[[Files], Health] = of_annotations) -> list[Health]:
    """Exit with 2 after a line for every problem; else what is likely not meant is a warning."""
    alike = len({each.annotations.name for each in files}) < len({*files})
    return required([_placed(of(each), each) if alike else of(each) for each in files])


def required(told: list[Health]) -> list[Health]:
    """The same as it is, of what has been told already."""
    if problems := [line for each in told for line in each.problems]:
        tell("\n".join(problems))
        sys.exit(2)
    for line in (line for each in told for line in each.doubts):
        _warn(line)
    return told


def _placed(told, files):
    """Lines that name a file by its path: another one of a command has the same name."""
    lines = (
        [f"{files.annotations}{line.removeprefix(files.annotations.name)}" for line in each]
        for each in told[:2]
    )
    return Health(*lines, told.pictures)


def require_apart(*train: Files, val: Files) -> None:
    """As `require_health` of all; pictures that a training file and `val` have are a warning.

    Of torchrun's ranks the first looks: if it ends, torchrun ends the others.
    """
    if not is_first():
        return
    *of_train, of_val = require_health(*train, val)
    from p2s.data.checks import twins

    for files, told in zip(train, of_train, strict=True):
        both = files.annotations, val.annotations
        for line in twins.told(*both, told.pictures, of_val.pictures):
            _warn(line)


def trains_empty(start: Path | None, settings: Sequence[dict[str, Any]]) -> bool:
    """Whether images without objects train: by --set, or else as of the model to start from."""
    told = {}
    if start:
        with suppress(OSError, ValueError):  # it is refused later
            told = read_json(start / "spec.json", dict[str, Any])
    recipe = reduce(merge, settings, told).get("recipe")
    return isinstance(recipe, dict) and bool(recipe.get("empty"))


def _warn(line):
    warn(f"warning: {line}")
