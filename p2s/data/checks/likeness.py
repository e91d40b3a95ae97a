"""Likeness: whether two pictures are one, whatever its format, size, quality and brightness.

A signature is how each cell of a small square of grey differs from those around it, over how much
all of them do: a plain change of brightness or contrast leaves it as it is, and so does what all
skies and pages share. Two pictures are one if their signatures, or that of one and the other's
mirrored, correlate nearly wholly, and nowhere differ as they do where an object is put in.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from p2s.data.checks.thumbnails import Box, thumbnail

SIDE, FINE = 32, 128  # cells of a signature's side, and pixels that they are means of
AROUND = 2  # cells to each side that a cell is held against
FAINT = 0.25  # grey levels of 256 that cells differ by: of fewer nothing can be told
SAME = 0.98  # correlation of two signatures of a picture
ALONE = 1.2  # times the usual difference that a single cell may be off
ROUGH, LIKELY = 16, 0.9  # cells of a side when many are looked through, and their correlation
ROWS = 256  # signatures that are looked up at once


def signature(path: Path) -> np.ndarray | None:
    """Of a picture (SIDE * SIDE,) float32, mean 0 and variance 1; None if it is plain or broken."""
    pixels = thumbnail(path, FINE, _shrunk)
    if pixels is None:
        return None
    cells = _means(pixels.astype(np.float32), SIDE)
    detail = cells - _SMOOTH @ cells @ _SMOOTH.T
    detail -= detail.mean()
    spread = detail.std()
    return (detail / spread).ravel() if spread >= FAINT else None


def alike(mine: np.ndarray, yours: np.ndarray, until: float) -> Iterator[int | None]:
    """Of each of my signatures (N, SIDE * SIDE) which of yours is likest, None if none is the same.

    Fewer come where the time is over before.
    """
    rough = _rough(yours)
    for start in range(0, len(mine), ROWS):
        ways = np.stack([mine[start : start + ROWS], mirrored(mine[start : start + ROWS])], 1)
        near = np.maximum(*(_rough(way) @ rough.T for way in ways.swapaxes(0, 1)))  # (ROWS, M)
        for both, row in zip(ways, near, strict=True):
            if time.monotonic() > until:
                return
            yield _likest(both, yours, np.flatnonzero(row >= LIKELY))


def mirrored(cells: np.ndarray) -> np.ndarray:
    """Squares (N, SIDE * SIDE) with left and right in each other's place."""
    return cells.reshape(-1, SIDE, SIDE)[..., ::-1].reshape(cells.shape)


def _likest(ways, yours, likely):
    """The number of the likest of those of yours, if it is the same in one of two ways."""
    best, number = SAME, None
    for cells in ways:
        correlations = yours[likely] @ cells / cells.size
        for k in np.flatnonzero(correlations >= best):
            if correlations[k] >= best and abs(yours[likely[k]] - cells).max() <= ALONE:
                best, number = correlations[k], int(likely[k])
    return number


def _rough(cells):
    """Signatures (N, ROUGH * ROUGH) of fewer cells and of length 1."""
    means = _means(cells.reshape(-1, SIDE, SIDE), ROUGH).reshape(len(cells), -1)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def _means(pixels, side):
    """Of squares (..., S, S) their means over so many cells a side."""
    block = pixels.shape[-1] // side
    return pixels.reshape(*pixels.shape[:-2], side, block, side, block).mean((-3, -1))


def _smooth():
    """Takes cells to the means around them; over the border their slope goes on."""
    ends = ((AROUND, AROUND), (0, 0))
    rows = np.pad(np.eye(SIDE, dtype=np.float32), ends, "reflect", reflect_type="odd")
    return np.lib.stride_tricks.sliding_window_view(rows, 2 * AROUND + 1, 0).mean(-1)


_SMOOTH = _smooth()


def _shrunk(grey: Image.Image, box: Box | None) -> Image.Image:
    return grey.resize((FINE, FINE), Image.Resampling.BILINEAR, box)
