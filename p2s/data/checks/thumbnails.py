"""Thumbnails: small squares of grey of many pictures, as far as the time goes."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from p2s.data.picture import opened, rgb
from p2s.data.pixels.depth import DEEP
from p2s.data.pixels.turns import as_stored, orientation

AT_ONCE = 8  # pictures between two looks at the clock
LARGEST = 2**25  # pixels of a picture that is worth the time

Box = tuple[float, float, float, float]
Shrink = Callable[[Image.Image, Box | None], Image.Image]  # the box: what is the picture, if less
Make = Callable[[Path], np.ndarray | None]


def each_of(paths: list[Path], make: Make, until: float) -> tuple[list[Path], np.ndarray]:
    """Paths in an order by chance, and what is made of each, (N, ...), until the time is over.

    What nothing can be made of is left out.
    """
    order = np.random.default_rng(0).permutation(len(paths)).tolist()
    kept, made = [], []
    with ThreadPoolExecutor(AT_ONCE, "p2s-twins") as pool:
        for start in range(0, len(order), AT_ONCE):
            if time.monotonic() > until:
                break
            some = [paths[k] for k in order[start : start + AT_ONCE]]
            for path, one in zip(some, pool.map(make, some), strict=True):
                if one is not None:
                    kept.append(path)
                    made.append(one)
    return kept, np.array(made)


def thumbnail(path: Path, least: int, shrink: Shrink) -> np.ndarray | None:
    """A shrunk picture (S, S) uint8 as it is seen, or None: what cannot be read is told elsewhere.

    `shrink` is given one of at least so many pixels a side, unless the picture has fewer.
    """
    try:
        with opened(path) as picture:
            drafted = picture.draft("L", (least, least))  # JPEG: fewer pixels are made
            if picture.width * picture.height > LARGEST:
                return None
            grey = Image.fromarray(rgb(picture)) if picture.mode in DEEP else picture
            cells = shrink(grey.convert("L"), drafted and drafted[1])
            seen = np.empty(cells.size, np.uint8)
            as_stored(seen, orientation(cells))[:] = cells
            return seen
    except Exception:  # Pillow's decoders raise much more than OSError
        return None
