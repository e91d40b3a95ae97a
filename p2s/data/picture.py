"""Picture: the one reader of picture files; each mode of Pillow becomes 8-bit RGB by a rule.

Colours of 8 bits (palettes, CMYK, YCbCr, HSV ...) are Pillow's, without a colour profile; alpha is
left out; of several frames the first counts. More bits are divided by their range: of floats it is
1 if none is above, else that of the fewest bits of DEPTHS that hold the brightest pixel.
"""

import base64
import io
import math
import os
import stat
import threading
from contextlib import contextmanager
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import ExifTags, Image, ImageOps

from p2s.spec.memory import require_picture

if TYPE_CHECKING:  # the health check reads headers, and does not wait for numpy
    import numpy as np

# Of Pillow's formats those of pictures: none that starts another program, as EPS does.
FORMATS = (  # TGA has no sign at its beginning: it is tried last
    *("JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "JPEG2000", "AVIF", "PPM", "PCX", "ICO"),
    *("QOI", "SGI", "TGA"),
)
ENDINGS = (  # of files that are pictures, where a folder is searched for them
    *(".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm"),
    *(".tif", ".tiff", ".webp"),
)
DEPTHS = (8, 10, 12, 14, 16)  # bits of a grey value: cameras' and scanners'
DEEP = ("F", "I", "I;16", "I;16B", "I;16L", "I;16N")  # modes of more than 8 bits
STRAIGHT = {"La": "LA", "RGBa": "RGBA"}  # modes whose colours are multiplied by alpha
PLAIN = (
    *("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"),
    *STRAIGHT,
)
AVERAGED = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr")  # modes whose pixels may be averaged
ASIDE = (5, 6, 7, 8)  # EXIF's orientations in which width and height change places
MOST = 178_956_970  # pixels; Pillow's own bound
TOO_LARGE = f"more than {MOST} pixels: shrink it, or cut it into tiles and its boxes with it"
_OPENING = threading.Lock()


def read_picture(path: str | Path) -> "np.ndarray":
    """A picture (H, W, 3) uint8 RGB, turned as its camera says; ValueError names a bad file."""
    try:
        with opened(path) as file:
            return rgb(file)
    except Exception as error:  # Pillow's decoders raise much more than OSError
        raise ValueError(f"{path}: not a readable image: {reason(error)}") from error


def read_any_size(path: str | Path, most: float = MOST) -> tuple["np.ndarray", tuple[int, int]]:
    """As `read_picture`, but halved until it has at most so many pixels; and its own (H, W).

    ValueError also for one that this machine has not the memory for.
    """
    try:
        with opened(path, math.inf) as file:
            require_picture(file.height, file.width)
            size = _turned(file)
            times = math.ceil(math.log(max(1, file.width * file.height / most), 4))
            return rgb(_halved(file, times) if times else file), size
    except Exception as error:  # as above
        raise ValueError(f"{path}: not a readable image: {reason(error)}") from error


def rgb(picture: Image.Image) -> "np.ndarray":
    """The pixels (H, W, 3) uint8 RGB of a picture of any mode, turned as its camera says.

    ValueError names a mode without a rule, or the values of one that no range holds.
    """
    import numpy as np

    require_rule(picture.mode)
    turned = ImageOps.exif_transpose(picture)
    if turned.mode in DEEP:
        turned = Image.fromarray(_in_bytes(np.asarray(turned), turned.mode))
    elif turned.mode in STRAIGHT:
        turned = turned.convert(STRAIGHT[turned.mode])
    return np.array(turned.convert("RGB"))


def require_rule(mode: str) -> None:
    """ValueError for a mode that no rule makes 8-bit RGB."""
    if mode not in (*PLAIN, *DEEP):
        raise ValueError(f"mode {mode} (valid: {', '.join(sorted((*PLAIN, *DEEP)))})")


def opened(path: str | Path, most: float = MOST) -> Image.Image:
    """A picture of which only the header is read, to be held by `with`.

    ValueError for one of more pixels, and for what is no regular file, or empty.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        raise ValueError("a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
    if not status.st_size:
        raise ValueError("an empty file, of 0 bytes")
    with _OPENING, _without_bound():
        picture = Image.open(path, formats=_here())
    if picture.width * picture.height > most:
        picture.close()
        raise ValueError(TOO_LARGE)
    return picture


def stored_sides(picture: Image.Image, orientation: int) -> tuple[int, int]:
    """Width and height of an opened picture as stored; of a TIFF Pillow says them turned."""
    is_turned = picture.format == "TIFF" and orientation in ASIDE
    return picture.size[::-1] if is_turned else picture.size


def reason(error: Exception) -> str:
    """Why a picture cannot be read, in words that say what to do."""
    if isinstance(error, Image.UnidentifiedImageError):
        return f"its beginning is of no known format (valid: {', '.join(FORMATS)})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(f"{error}".split()) or type(error).__name__
    return f"cut short: {text}" if "truncated" in text else text


@contextmanager
def _without_bound():
    """Pillow's bound, one for all threads, lifted while a header is read: `opened` has its own."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _turned(picture):
    """Height and width of an opened picture as its camera says."""
    orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    sides = stored_sides(picture, orientation)
    return sides if orientation in ASIDE else sides[::-1]


def _halved(picture, times):
    """A picture at half its size so many times; a JPEG is never decoded at more than that."""
    width = picture.width
    picture.draft(None, (width >> times, picture.height >> times))
    left = 2**times // round(width / picture.width)
    plain = picture if picture.mode in AVERAGED else Image.fromarray(rgb(picture))
    return plain.reduce(left) if left > 1 else plain


@cache
def _here():
    """Those of FORMATS that this Pillow has."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _in_bytes(values, mode):
    """Grey values of any range as bytes."""
    import numpy as np

    low, high = values.min(), values.max()
    if mode == "F" and 0 <= low <= high <= 1:
        most = 1
    elif not 0 <= low <= high < 2 ** DEPTHS[-1]:  # of NaN nothing holds
        told = f"mode {mode} with values from {low:g} to {high:g}"
        raise ValueError(f"{told} (valid: 0 to {2 ** DEPTHS[-1] - 1}; floats also 0 to 1)")
    else:
        most = next(2**bits - 1 for bits in DEPTHS if high < 2**bits)
    return (values * np.float32(255 / most)).round().astype(np.uint8)


def credited(credit: str, count: int) -> str:
    """Whose so many shown photographs are, as HTML; a published report is held to it."""
    what = "Photograph" if count == 1 else f"{count} photographs"
    return f'<p class="credit" data-photographs="{count}">{what}: {escape(credit)}</p>'


def embedded(picture: Image.Image, quality: int) -> str:
    """An RGB picture as an address that holds it, as JPEG of a quality."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
