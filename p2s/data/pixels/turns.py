"""Turns: how a picture lies in its file, and how it is seen: EXIF's orientation, else XMP's.

Light on purpose, as `health` is.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from PIL import ExifTags, Image

if TYPE_CHECKING:
    import numpy as np

ASIDE = (5, 6, 7, 8)  # EXIF's orientations in which width and height change places
STEPS = {  # of rows and of columns: from a turned picture, its sides back in place, to the file's
    1: (1, 1), 2: (1, -1), 3: (-1, -1), 4: (-1, 1), 5: (1, 1), 6: (-1, 1), 7: (-1, -1), 8: (1, -1),
}  # fmt: skip


def tags_of(picture: Image.Image) -> Mapping[int, Any]:
    """The tags of a TIFF; none of a picture of another format."""
    return getattr(picture, "tag_v2", {})


def orientation(picture: Image.Image) -> int:
    """Which of EXIF's 8 orientations a picture is to be turned by, 1 where it says none.

    None either where its EXIF is none, which Pillow forgives a JPEG alone. Of a PNG that `opened`
    did not open it may be known only when its pixels are read.
    """
    try:
        said = Image.Image.getexif(picture).get(ExifTags.Base.Orientation)  # PNG's own would decode
    except Exception:  # its parser raises much more than SyntaxError
        return 1
    return said if said in STEPS else 1


def stored_sides(picture: Image.Image) -> tuple[int, int]:
    """Width and height of an opened picture as stored; of a TIFF Pillow says them turned."""
    return picture.size[::-1] if _is_told_turned(picture) else picture.size


def seen_size(picture: Image.Image) -> tuple[int, int]:
    """Height and width of an opened picture as its camera says."""
    sides = stored_sides(picture)
    return sides if orientation(picture) in ASIDE else sides[::-1]


def as_stored(seen: "np.ndarray", way: int) -> "np.ndarray":
    """A view of a turned picture's pixels (H, W, ...) in the order of its file."""
    steps = tuple(slice(None, None, step) for step in STEPS[way])
    return (seen.swapaxes(0, 1) if way in ASIDE else seen)[steps]


def keep_unmapped(picture: Image.Image) -> None:
    """Have Pillow read a TIFF, not map it into memory: there rows would have a turned length."""
    if _is_told_turned(picture):
        picture.load_seek = picture.fp.seek  # what seeks by a way of its own is not mapped


def _is_told_turned(picture):
    """Whether Pillow tells the sides of a picture turned by its tag before it turns the pixels."""
    return tags_of(picture).get(ExifTags.Base.Orientation) in ASIDE
