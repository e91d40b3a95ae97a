"""Pictures: whatever a user has, a path, pixels or many of either, as RGB pixels, one by one."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from p2s.data.picture import ENDINGS, MOST, read_any_size, rgb

VALID = "a path, a PIL picture, an array (H, W, 3) or (H, W) of uint8, a tensor (3, H, W)"

BYTES = (bytes, bytearray, memoryview)


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture as it was given, by the name that it is told by; a file is read when asked."""

    source: Any
    name: str

    @classmethod
    def of(cls, source: Any, number: int = 0) -> "Picture":
        """A file by its path, anything else by its number among its like."""
        return cls(source, str(source) if _is_path(source) else f"picture {number}")

    def pixels(self) -> NDArray:
        """RGB, (H, W, 3) uint8, of a file of more than MOST pixels at half its size or less.

        ValueError in a line that names the picture.
        """
        return self.seen().pixels

    def seen(self, most: float = MOST) -> "Seen":
        """Its pixels, of a file at most so many, and its size; ValueError as of `pixels`."""
        if _is_path(self.source):
            return Seen(self, *read_any_size(self.source, most))
        for kind, read in READERS.items():
            if isinstance(self.source, kind):
                pixels = self._read(read)
                return Seen(self, pixels, pixels.shape[:2])
        raise ValueError(f"{self.name}: {type(self.source).__name__}; valid: {VALID}")

    def _read(self, read):
        try:
            return read(self.source)
        except Exception as error:  # a PIL picture decodes only now
            raise ValueError(f"{self.name}: not a readable image: {error}") from error


class Seen(NamedTuple):
    """A picture that was read."""

    picture: Picture
    pixels: NDArray  # (h, w, 3), RGB, uint8
    size: tuple[int, int]  # its own height and width, in which its boxes are


def is_one(given: Any) -> bool:
    """Whether this is one picture, and not a folder, a pattern or several."""
    if _is_path(given):
        return not (os.path.isdir(given) or _is_pattern(given))
    return isinstance(given, Image.Image) or getattr(given, "ndim", 4) < 4


def each(given: Any) -> Iterator[Picture]:
    """The pictures of a folder, a pattern, or of several things, one after the other.

    ValueError, at once, for a folder or a pattern without any and for what is not several, as the
    bytes of a file, or a file that is open.
    """
    if _is_path(given):
        return map(Picture.of, files([given]))
    if not isinstance(given, Iterable) or isinstance(given, BYTES) or hasattr(given, "read"):
        raise ValueError(f"{type(given).__name__}; valid: {VALID}, or several of these")
    return _each_of(given)


def readable(
    pictures: Iterable[Picture], skipped: Callable[[str], None], most: float = MOST
) -> Iterator[Seen]:
    """Each picture as `Picture.seen` has it; `skipped` is told of those that cannot be read."""
    for picture in pictures:
        try:
            seen = picture.seen(most)
        except ValueError as error:
            skipped(str(error))
        else:
            yield seen


def _refused(line):
    raise ValueError(line)


def files(paths: Iterable[str | Path], skipped: Callable[[str], None] = _refused) -> list[Path]:
    """The files that paths, folders and patterns stand for, in their order and none twice.

    A file that is named in several ways, as `a.png` and `./a.png`, has the first of these names.
    Of a folder, and of a pattern such as `photos/**/*.jpg`, what has a picture's ending, by name,
    also if it cannot be read, as a link to nothing; other folders within it are left out. `skipped`
    is told of what stands for no file, as of a folder that may not be read and of a name that is
    too long; without it that is a ValueError.
    """
    chosen: dict[str, Path] = {}
    for path in paths:
        try:
            for file in _files(path):
                chosen.setdefault(os.path.abspath(file), file)
        except OSError as error:
            skipped(f"{path}: {error.strerror}")
        except ValueError as error:
            skipped(f"{error}")
    return [*chosen.values()]


def _files(path):
    if _is_pattern(path):
        found = (Path(name) for name in glob.iglob(str(path), recursive=True))
    elif Path(path).is_dir():
        found = Path(path).iterdir()
    elif Path(path).exists():
        return [Path(path)]
    else:
        raise ValueError(f"{path}: no such file or folder")
    chosen = sorted(file for file in found if file.suffix.lower() in ENDINGS)
    if not chosen:
        raise ValueError(f"{path}: no pictures there (valid: {', '.join(ENDINGS)})")
    return chosen


def _each_of(given):
    """A folder or a pattern among several is all its pictures; one without any is told as bad."""
    for number, source in enumerate(given):
        try:
            yield from [Picture.of(source, number)] if is_one(source) else each(source)
        except ValueError:
            yield Picture.of(source, number)


def _is_path(source):
    return isinstance(source, str | Path)


def _is_pattern(path):
    return glob.has_magic(str(path)) and not os.path.exists(path)


def _of_pil(picture):
    if not all(picture.size):
        raise ValueError(f"{picture.width} x {picture.height} pixels (valid: 1 x 1 or more)")
    return rgb(picture)


def _of_array(array):
    if array.dtype != np.uint8 or not array.size:
        raise ValueError(f"array of {array.dtype}, {array.shape}; valid: {VALID}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, 2)
    if array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(f"array {array.shape}; valid: {VALID}")
    return array


def _of_tensor(tensor):
    """Channels first, as torchvision has them: bytes, or fractions of 255 up to 1."""
    array = tensor.detach().cpu().numpy()
    if array.ndim == 3:
        array = array.transpose(1, 2, 0)
    if np.issubdtype(array.dtype, np.floating):
        if not (array.size and 0 <= array.min() <= array.max() <= 1):
            raise ValueError(f"tensor of {tensor.dtype} beyond 0 to 1; valid there: 0 to 1")
        array = (255 * array).round().astype(np.uint8)
    return _of_array(array)


READERS = {Image.Image: _of_pil, np.ndarray: _of_array, Tensor: _of_tensor}
