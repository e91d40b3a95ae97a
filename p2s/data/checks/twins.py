"""Twins: pictures that a training and a validation set share, which AP would praise.

Two pictures are the same if their files are, or by their likeness: saved anew, in another size,
brighter or mirrored they still are, with another object in them they are not. They are near each
other if the cells of their thumbnails differ by a few grey levels on average, as they are or
mirrored: cut and mirrored anew, as sets are that others have enlarged.
"""

import filecmp
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from p2s.data.checks.likeness import SIDE, alike, mirrored, signature
from p2s.data.checks.thumbnails import AT_ONCE, Box, each_of, thumbnail

CLOSE = 8  # grey levels of 256 that the cells of near twins differ by on average
PIECE = 2**12  # bytes at the beginning, middle and end of a file that a copy is looked up by
PARTS = 0.4, 0.8  # of the time: when val, and when training, must have been read


class Twins(NamedTuple):
    """Pairs of a validation and a training picture, and of how many each there were thumbnails."""

    pairs: list[tuple[Path, Path]]
    val: int
    train: int


def twins(train: list[Path], val: list[Path], seconds: float = 10.0) -> Twins:
    """The validation pictures that are also in training, each with one that it is like.

    Copies of a file are all found; for others, where the seconds are too few for all, of both a
    part is looked at, by chance.
    """
    train, val = list(dict.fromkeys(train)), list(dict.fromkeys(val))
    pairs, begun = _copies(train, val), time.monotonic()
    read, all_read = (begun + part * seconds for part in PARTS)
    ours, mine = each_of(val, signature, read)
    theirs, yours = each_of(train, signature, all_read)
    if not (ours and theirs):
        return Twins([*pairs.items()], len(ours), len(theirs))
    found = [*alike(mine, yours, begun + seconds)]
    likes = zip(ours, found, strict=False)  # of the last none were found where time was over
    pairs = {path: theirs[number] for path, number in likes if number is not None} | pairs
    return Twins([*pairs.items()], len(found), len(theirs))


def told(train: Path, val: Path, of_train: list[Path], of_val: list[Path]) -> Iterator[str]:
    """A line if annotation files share pictures, given those of each: how many, and one pair."""
    found = twins(of_train, of_val)
    if found.pairs:
        mine, other = found.pairs[0]
        yield (
            f"{val}: {len(found.pairs)} of {len(of_val)} pictures are like ones of {train} "
            f"(looked at: {found.val} and {found.train}): {mine} like {other}"
        )


def near_twins(train: list[Path], val: list[Path]) -> list[Path]:
    """The validation pictures that are near one in training, however long it takes."""
    mine, ours = each_of(val, _cells, math.inf)
    theirs = each_of(train, _cells, math.inf)[1].reshape(-1, SIDE * SIDE)  # also if there are none
    return [
        path
        for path, *ways in zip(mine, ours, mirrored(ours), strict=True)
        if any((abs(theirs - cells).mean(1) <= CLOSE).any() for cells in ways)
    ]


def _copies(train, val):
    """The validation files that are, to the byte, in training, each with the first there."""
    with ThreadPoolExecutor(AT_ONCE, "p2s-copies") as pool:
        sizes = {*pool.map(os.path.getsize, val)}
        fit = zip(train[::-1], pool.map(os.path.getsize, train[::-1]), strict=True)
        as_large = [path for path, size in fit if size in sizes]
        firsts = dict(zip(pool.map(_mark, as_large), as_large, strict=True))
        marks = pool.map(_mark, val)
        likely = [(path, firsts.get(mark)) for path, mark in zip(val, marks, strict=True)]
    return {path: other for path, other in likely if other and filecmp.cmp(path, other, False)}


def _mark(path):
    """What two files are likely to have in common only if they are the same."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        pieces = []
        for place in (0, size // 2, max(0, size - PIECE)):
            file.seek(place)
            pieces.append(file.read(PIECE))
    return size, *map(hash, pieces)


def _cells(path):
    """Of a picture (SIDE * SIDE,) int16 grey levels, or None."""
    cells = thumbnail(path, 2 * SIDE, _boxed)
    return None if cells is None else cells.ravel().astype(np.int16)


def _boxed(grey: Image.Image, box: Box | None) -> Image.Image:
    """All of it: data sets that are published hold to these very numbers."""
    return grey.resize((SIDE, SIDE), Image.Resampling.BOX)
