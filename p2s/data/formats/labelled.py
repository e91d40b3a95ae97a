"""Labelled: a picture with the objects that a label file has for it, whatever its format.

hotcoco reads the label files. It names a picture as they do, which need not be a file's name, says
in some formats at which byte something is wrong, and knows UTF-8 alone. So it is shown plain copies
that have numbers for names; pictures are found, and lines counted, here.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from p2s.data.checks.header import headers
from p2s.data.inside import leaves
from p2s.files import printable
from p2s.scratch import scratch

ALL = "all"  # the name of a part that is the whole data set
Size = tuple[int, int]  # width and height in pixels, as a picture is seen


class Labelled(NamedTuple):
    """A picture with its size, and its objects as COCO's annotations, whose category is a name."""

    picture: Path
    label: Path | None  # none: nothing is in the picture
    size: Size
    objects: list[dict[str, Any]]  # bbox, iscrowd, category


class Parts(NamedTuple):
    """A data set: the names of its classes, and its parts by their names, such as train."""

    classes: list[str]
    labelled: dict[str, list[Labelled]]


class Format(NamedTuple):
    """A format: how a folder of it is read, and in which lines a label file has its objects."""

    read: Callable[[Path], Parts]
    lines: Callable[[Path], list[int]]


def files_by_folder(root: Path, endings: Iterable[str]) -> dict[Path, list[Path]]:
    """The folders in a tree that hold files of these endings, each with them, by name.

    ValueError as `listed`, also for a folder that is a link out of the tree.
    """
    wanted, found = tuple(endings), {}
    for place, folders, _ in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for folder in (Path(place) / name for name in folders):
            if folder.is_symlink() and _fitting(folder, wanted):  # it is not walked
                require_inside(root, folder)
        if files := listed(Path(place), root, wanted):
            found[Path(place)] = files
    return found


def listed(folder: Path, root: Path, endings: Iterable[str]) -> list[Path]:
    """The files in a folder of these endings, by name; none if it is not there.

    ValueError for a link, of the folder or of one of them, that leads out of a root, and for one of
    them that is no regular file.
    """
    if not require_inside(root, folder).is_dir():
        return []
    return [regular(root, path) for path in _fitting(folder, tuple(endings))]


def _fitting(folder, endings):
    """What is in a folder with one of these endings and is no folder itself, by name."""
    paths = [path for path in sorted(folder.iterdir()) if path.name.lower().endswith(endings)]
    return [path for path in paths if path.name[0] != "." and not path.is_dir()]


def regular(root: Path, path: Path) -> Path:
    """A regular file in a root; ValueError for another, as a pipe or a device may not end."""
    if not path.is_file():
        raise ValueError(f"{path}: not a regular file (valid: a file on a disk, or a link to one)")
    return require_inside(root, path) if path.is_symlink() else path


def require_inside(root: Path, path: Path) -> Path:
    """A path in a root, which may be a link itself; ValueError for a link that leads out of it."""
    if leaves(os.path.realpath(root), path):
        raise ValueError(f"{path}: outside of {root} (valid: a path inside it)")
    return path


def sizes(pictures: list[Path]) -> list[Size]:
    """Width and height of each picture; ValueError names the first that cannot be read."""
    told = headers(pictures)
    for picture, header in zip(pictures, told, strict=True):
        if header.problem:
            raise ValueError(f"{picture}: {header.problem}")
    return [header.size for header in told]


def part_of(folder: Path, root: Path, without: str) -> str:
    """The name of the part of a data set in a folder: its path, a word left out; or ALL.

    ValueError for one that a terminal does not show as it is, or takes for an option.
    """
    parts = [part for part in folder.relative_to(root).parts if part != without]
    name = "-".join(parts) or ALL
    if printable(name) != name or name.startswith("-"):
        raise ValueError(f"{str(folder)!r}: {name!r} (valid: printable letters, the first not -)")
    return name


def instead(folder: Path, root: Path, word: str, other: str) -> Path:
    """The folder beside a folder, with the last part that is a word replaced by another."""
    parts = list(folder.relative_to(root).parts)
    if word not in parts:
        return folder
    parts[len(parts) - 1 - parts[::-1].index(word)] = other
    return root.joinpath(*parts)


@contextmanager
def copied(files: Mapping[str, Path], plain: Callable[[Path], bytes]) -> Iterator[str]:
    """A folder that has by other names what is `plain` of files, with the lines where they are.

    What is found wrong in one is a ValueError with the file and the line.
    """
    with scratch() as folder:
        for name, path in files.items():
            (folder / name).write_bytes(plain(path))
        try:
            yield str(folder)
        except (ValueError, OSError) as error:
            raise ValueError(_told(" ".join(str(error).split()), folder, files)) from None


@contextmanager
def linked(files: Mapping[str, Path]) -> Iterator[str]:
    """A folder that has files by other names."""
    with scratch() as folder:
        for name, path in files.items():
            (folder / name).symlink_to(path.absolute())
        yield str(folder)


def _told(text, folder, files):
    """A message of hotcoco's with the file that was meant, and a line in place of a byte."""
    match = re.search(rf"{re.escape(str(folder))}/([\w.]+)(?:: near byte (\d+))?(.*)", text)
    if not match or match[1] not in files:
        return text
    name, byte, rest = match.groups()
    if not byte:
        return f"{files[name]}{rest}"
    line = (folder / name).read_bytes().count(b"\n", 0, int(byte)) + 1
    return f"{files[name]}: line {line}{rest}"
