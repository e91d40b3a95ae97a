"""Twins: pictures that a training and a validation set share, which AP would praise.

Two pictures are the same if their files are, or if no cell of their thumbnails differs by more than
a few grey levels once both are equally bright: saved anew or in another size they still are, with
another object in them they are not. They are near each other if the cells differ as little on
average, as they are or mirrored: cut and mirrored anew, as sets are that others have enlarged.
"""

import filecmp
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from p2s.data.picture import opened, rgb
from p2s.data.pixels.depth import DEEP
from p2s.data.pixels.turns import as_stored, orientation

SIDE, COARSE = 32, 4  # cells of a thumbnail's side, and of what it is looked up by
CLOSE = 8  # grey levels of 256 that a cell may differ
BRIGHTER = 16  # grey levels that a whole picture may differ
PIECE = 2**12  # bytes at the beginning, middle and end of a file that a copy is looked up by
AT_ONCE = 8  # pictures between two looks at the clock
LARGEST = 2**25  # pixels of a picture that is worth the time
LIKELY = 50  # pictures that one is held against, the nearest when coarse


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
    ours, mine = _thumbnails(val, begun + seconds / 2)
    theirs, yours = _thumbnails(train, begun + seconds)
    if len(mine) and len(yours):
        alike = zip(ours, _alike(mine, yours), strict=True)
        pairs = {path: theirs[number] for path, number in alike if number is not None} | pairs
    return Twins(list(pairs.items()), len(ours), len(theirs))


def near_twins(train: list[Path], val: list[Path]) -> list[Path]:
    """The validation pictures that are near one in training, however long it takes."""
    mine, ours = _thumbnails(val, math.inf)
    _, theirs = _thumbnails(train, math.inf)
    mirrored = ours.reshape(-1, SIDE, SIDE)[..., ::-1].reshape(ours.shape)
    return [
        path
        for path, *ways in zip(mine, ours, mirrored, strict=True)
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


def _alike(mine, yours):
    """Of each of my thumbnails the number of the nearest of yours that is the same, or None."""
    own, others = mine.mean(1, np.float32), yours.mean(1, np.float32)
    mine, yours = mine - own[:, None], yours - others[:, None]
    tree, ranks = cKDTree(_coarse(yours)), np.arange(LIKELY) + 1
    _, nearest = tree.query(_coarse(mine), ranks, p=np.inf, distance_upper_bound=CLOSE)
    for cells, bright, likely in zip(mine, own, nearest, strict=True):
        likely = likely[likely < len(yours)]  # where there are too few it is that number
        near = abs(others[likely] - bright) <= BRIGHTER
        same = np.flatnonzero(near & (abs(yours[likely] - cells) <= CLOSE).all(1))
        yield likely[same[0]] if len(same) else None


def _thumbnails(paths, until):
    """Paths, and thumbnails (N, SIDE * SIDE) int16 in grey levels, until the time is over."""
    order = np.random.default_rng(0).permutation(len(paths)).tolist()
    kept, cells = [], []
    with ThreadPoolExecutor(AT_ONCE, "p2s-twins") as pool:
        for start in range(0, len(order), AT_ONCE):
            if time.monotonic() > until:
                break
            some = [paths[k] for k in order[start : start + AT_ONCE]]
            for path, thumbnail in zip(some, pool.map(_thumbnail, some), strict=True):
                if thumbnail is not None:
                    kept.append(path)
                    cells.append(thumbnail)
    return kept, np.array(cells, np.int16).reshape(-1, SIDE * SIDE)


def _thumbnail(path):
    """Of a picture as it is seen, or None: what cannot be read is told elsewhere."""
    try:
        with opened(path) as picture:
            picture.draft("L", (2 * SIDE, 2 * SIDE))  # JPEG: fewer pixels are made
            if picture.width * picture.height > LARGEST:
                return None
            grey = Image.fromarray(rgb(picture)) if picture.mode in DEEP else picture
            cells = grey.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
            seen = np.empty((SIDE, SIDE), np.uint8)
            as_stored(seen, orientation(cells))[:] = cells
            return seen.ravel()
    except Exception:  # Pillow's decoders raise much more than OSError
        return None


def _coarse(cells):
    """Their means over the cells of a coarser thumbnail: no further apart than the cells are."""
    block = SIDE // COARSE
    return cells.reshape(-1, COARSE, block, COARSE, block).mean((2, 4)).reshape(len(cells), -1)
