"""Headers: what the beginning and the end of a picture file tell, without decoding it.

Fast and light on purpose, as `health` is.
"""

import os
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from p2s.data.picture import opened, reason, require_rule, rgb
from p2s.data.pixels.codestream import is_whole
from p2s.data.pixels.depth import has_doubtful_range
from p2s.data.pixels.turns import ASIDE, orientation, stored_sides

ENDS = {  # the last bytes of a whole file
    "GIF": b";",
    "JPEG": b"\xff\xd9",
    "MPO": b"\xff\xd9",
}
STRIPS = ((273, 324), (279, 325))  # offsets and byte counts of strips, of tiles: TIFF 6.0
TABLES = 347  # of JPEG in a TIFF, behind its strips
LAST = 64  # bytes of a file that are looked at: some programs add zeros
AT_ONCE = 8  # files: most of the time is the disk's


class Header(NamedTuple):
    """What is told of a picture: its sides as stored, EXIF's orientation, or what is wrong."""

    sides: tuple[int, int] = (0, 0)  # width, height
    orientation: int = 1
    problem: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture as `read_picture` gives it."""
        return self.sides[::-1] if self.orientation in ASIDE else self.sides


def headers(paths: Iterable[Path]) -> list[Header]:
    """The header of each file, in their order; nothing is raised."""
    Image.init()  # not by several threads at once
    with warnings.catch_warnings(), ThreadPoolExecutor(AT_ONCE, "p2s-headers") as pool:
        warnings.simplefilter("ignore")  # of odd metadata, which do not matter here
        return list(pool.map(header, paths))


def header(path: Path) -> Header:
    """The header of one file; a file that seems cut is decoded, to be sure."""
    try:
        with opened(path) as picture:
            require_rule(picture)
            told = Header(stored_sides(picture), orientation(picture))
            if has_doubtful_range(picture):
                rgb(picture)
            elif not _ends_well(picture, path):
                picture.draft(None, (1, 1))  # the same bytes are read, and fewer pixels made
                picture.load()
        return told
    except Exception as error:  # Pillow's decoders raise much more than OSError
        return Header(problem=f"not a readable image: {reason(error)}")


def _ends_well(picture, path):
    """Whether a file is whole by its last bytes; False also where they cannot tell."""
    if picture.format == "PNG":
        return True  # `opened` has seen its end
    if picture.format == "JPEG2000":
        return is_whole(picture.fp)
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        start = file.read(12)
        file.seek(max(0, size - LAST))
        end = file.read(LAST)
    if picture.format in ENDS:
        return end.rstrip(b"\0").endswith(ENDS[picture.format])
    if picture.format == "WEBP":
        return size >= 8 + int.from_bytes(start[4:8], "little")
    if picture.format == "BMP":
        return size >= int.from_bytes(start[2:6], "little") > 0
    if picture.format == "TIFF":
        has_tables = picture.info["compression"] != "jpeg" or TABLES in picture.tag_v2
        return has_tables and size >= _last_strip(picture.tag_v2)
    return False


def _last_strip(tags):
    """The byte behind the last strip or tile of a TIFF."""
    offsets, counts = (tags.get(pair[0]) or tags.get(pair[1], ()) for pair in STRIPS)
    return max(map(sum, zip(offsets, counts, strict=False)), default=float("inf"))
