"""Health: what is wrong with a data set in COCO's format, told before any work.

Fast and light on purpose: no numpy, no torch, one pass over the tables, a header of each picture.
"""

import gc
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from p2s.data.annotation_file import parsed, read
from p2s.data.checks import fields, pictures
from p2s.data.checks.pictures import Places
from p2s.data.checks.problems import Problems, all_lines

OF_PICTURES = ("images", "categories")  # tables of a file without annotations
Look = Callable[[Places, Path, Problems, Problems], None]  # see p2s.data.checks.pictures.hold


class Health(NamedTuple):
    """What is wrong with a data set, and what is valid but likely wrong, in lines."""

    problems: list[str]
    doubts: list[str]
    pictures: list[Path]  # that are there


def nothing_special(tables: dict, problems: Problems) -> None:
    """COCO's own format has no more rules."""


def no_doubts(tables: dict, doubts: Problems) -> None:
    """Whatever is valid is taken as meant."""


def check(
    annotation_file: str | Path,
    image_dir: str | Path,
    special: Callable[[dict, Problems], None] = nothing_special,
    mended: Collection[str] = (),
    look: Look = pictures.hold,
) -> list[str]:
    """Problems of a data set, one line each: file, id, field, what is wrong and what is valid.

    Empty if there are none. Of each kind the first 20 are told and the rest counted. What is
    `special` to a format goes first: it adds lines by kind to `problems` and may name the pictures.
    Of the kinds `mended` nothing is told: in reading, "flat" boxes are left out and those that
    reach "outside" are cut.
    """
    file, folder = Path(annotation_file), Path(image_dir)
    with _no_collecting():
        problems, *_ = _examined(file, folder, _Asked(special, look=look))
    problems = {kind: lines for kind, lines in problems.items() if kind not in mended}
    return [f"{file.name}: {line}" for line in all_lines(problems)]


def health(
    annotation_file: str | Path, image_dir: str | Path, doubt: Callable[[dict, Problems], None]
) -> Health:
    """Problems as of `check`, and doubts: those of `doubt`, and of pictures and their names.

    See p2s.data.checks.doubts; where there are problems annotations are not doubted.
    """
    file, folder = Path(annotation_file), Path(image_dir)
    with _no_collecting():
        return _told(file, *_examined(file, folder, _Asked(doubt=doubt)))


def of_pictures(annotation_file: str | Path, image_dir: str | Path) -> Health:
    """As `health`, of pictures and classes alone: a file to submit results for has no more."""
    file, folder = Path(annotation_file), Path(image_dir)
    return _told(file, *_examined(file, folder, _Asked(tables=OF_PICTURES)))


def of_given(annotation_file: str | Path, paths: list[Path]) -> Health:
    """As `of_pictures`, of pictures that were given; what cannot be read is no problem yet."""
    file, asked = Path(annotation_file), _Asked(tables=OF_PICTURES)
    asked = asked._replace(locate=partial(pictures.match, paths))
    problems, doubts, found = _examined(file, Path(), asked)
    problems.pop("header", None)
    return _told(file, problems, doubts, found)


def _told(file, problems, doubts, paths):
    both = ([f"{file.name}: {line}" for line in all_lines(each)] for each in (problems, doubts))
    return Health(*both, paths)


class _Asked(NamedTuple):
    """What a file is examined for."""

    special: Callable[[dict, Problems], None] = nothing_special
    doubt: Callable[[dict, Problems], None] = no_doubts
    look: Look = pictures.hold
    tables: Collection[str] = fields.TABLES
    locate: Callable[..., Places] = pictures.locate


def _examined(file, folder, asked):
    problems, doubts = defaultdict(list), defaultdict(list)
    try:
        data = parsed(read(file))
    except OSError as error:
        problems["file"].append(f"cannot be read: {error.strerror}")
        return problems, doubts, []
    except ValueError as error:
        problems["json"].append(str(error))
        return problems, doubts, []
    if not fields.are_tables(data, problems, asked.tables):
        return problems, doubts, []
    asked.special(data, problems)
    sizes = fields.image_sizes(data["images"], problems)
    places = asked.locate(data["images"], folder, problems, doubts)
    asked.look(places, folder, problems, doubts)
    categories = fields.ids(data["categories"], "category", problems)
    fields.category_names(data["categories"], problems)
    if "annotations" in asked.tables:
        fields.annotations(data["annotations"], sizes, categories, problems)
    if not any(problems.values()):
        asked.doubt(data, doubts)
    return problems, doubts, [folder / place for _, place in places]


@contextmanager
def _no_collecting() -> Iterator[None]:
    """A million small objects that all stay alive: collecting doubles the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
