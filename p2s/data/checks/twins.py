"""Twins: pictures that a training and a validation set share, which AP would praise.

Two pictures are the same if no cell of their thumbnails differs by more than a few grey levels:
saved anew or in another size they still are, with another object in them they are not. They are
near each other if the cells differ as little on average, as they are or mirrored: cut and mirrored
anew, as sets are that others have enlarged.
"""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from p2s.data.picture import opened, rgb
from p2s.data.pixels.depth import DEEP

SIDE, COARSE = 32, 4  # cells of a thumbnail's side, and of what it is looked up by
CLOSE = 8  # grey levels of 256 that a cell may differ
AT_ONCE = 8  # pictures between two looks at the clock
LARGEST = 2**25  # pixels of a picture that is worth the time
LIKELY = 50  # pictures that one is held against, of those alike when coarse


class Twins(NamedTuple):
    """Pairs of a validation and a training picture, and how many of each were looked at."""

    pairs: list[tuple[Path, Path]]
    val: int
    train: int


def twins(train: list[Path], val: list[Path], seconds: float = 10.0) -> Twins:
    """The validation pictures that are also in training, with the first that each is like.

    Where the seconds are too few for all, of both a part is looked at, by chance.
    """
    begun = time.monotonic()
    ours, mine = _thumbnails(val, begun + seconds / 2)
    theirs, yours = _thumbnails(train, begun + seconds)
    pairs = []
    if len(mine) and len(yours):
        near = cKDTree(_coarse(yours)).query_ball_point(_coarse(mine), CLOSE, p=np.inf)
        for path, cells, likely in zip(ours, mine, near, strict=True):
            likely = sorted(likely)[:LIKELY]
            same = np.flatnonzero((abs(yours[likely] - cells) <= CLOSE).all(1))
            pairs += [(path, theirs[likely[same[0]]])] if len(same) else []
    return Twins(pairs, len(ours), len(theirs))


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
    """Of a picture as it is stored, or None: what cannot be read is told elsewhere."""
    try:
        with opened(path) as picture:
            picture.draft("L", (2 * SIDE, 2 * SIDE))  # JPEG: fewer pixels are made
            if picture.width * picture.height > LARGEST:
                return None
            grey = Image.fromarray(rgb(picture)) if picture.mode in DEEP else picture
            return np.asarray(grey.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)).ravel()
    except Exception:  # Pillow's decoders raise much more than OSError
        return None


def _coarse(cells):
    """Their means over the cells of a coarser thumbnail: no further apart than the cells are."""
    block = SIDE // COARSE
    return cells.reshape(-1, COARSE, block, COARSE, block).mean((2, 4)).reshape(len(cells), -1)
