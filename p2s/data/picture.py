"""Picture: the one reader of picture files; each mode of Pillow becomes 8-bit RGB by a rule.

Colours of 8 bits (palettes, CMYK, YCbCr, HSV ...) are Pillow's, without a colour profile; alpha is
left out; of several frames the first counts. More bits are divided by their range: that of the
fewest bits of DEPTHS that hold the brightest pixel, of floats 1 if it does. Of colours with 16 bits
Pillow gives the upper 8; what has a range of fewer, or may have, is refused.
"""

import base64
import io
import math
import os
import stat
import threading
from contextlib import contextmanager, nullcontext
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from p2s.data.pixels.codestream import require_shallow
from p2s.data.pixels.depth import (
    DEEP,
    brightest,
    has_upper_bytes,
    in_bytes,
    require_bright,
    strips,
)
from p2s.data.pixels.ends import long_texts, read_behind
from p2s.data.pixels.kinds import require_kind, tiff_kind
from p2s.data.pixels.mended import mend
from p2s.data.pixels.turns import ASIDE, as_stored, orientation, seen_size
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
STRAIGHT = {"La": "LA", "RGBa": "RGBA"}  # modes whose colours are multiplied by alpha
PLAIN = (
    *("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"),
    *STRAIGHT,
)
MOST = 178_956_970  # pixels; Pillow's own bound
TOO_LARGE = f"more than {MOST} pixels: shrink it, or cut it into tiles and its boxes with it"
_LIFTING = threading.Lock()


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
            size, pixels = seen_size(file), file.width * file.height
            times = math.ceil(math.log(max(1, pixels / most), 4))
            with _without_bound() if pixels > MOST else nullcontext():
                return rgb(file, _drafted(file, times) if times else 1), size
    except Exception as error:  # as above
        raise ValueError(f"{path}: not a readable image: {reason(error)}") from error


def rgb(picture: Image.Image, block: int = 1) -> "np.ndarray":
    """The pixels (H, W, 3) uint8 RGB of a picture of any mode, turned as its camera says.

    Of each block of so many pixels a side the mean. ValueError names a mode without a rule, or the
    values of one that no range holds.
    """
    import numpy as np

    mend(picture)
    require_rule(picture)
    is_upper = has_upper_bytes(picture)
    picture.load()
    way, sides = orientation(picture), [-(-side // block) for side in picture.size]
    seen = np.empty((*(sides if way in ASIDE else sides[::-1]), 3), np.uint8)
    stored, top, most = as_stored(seen, way), 0, 0
    for strip in _plain(picture, block):
        part = strip if strip.mode == "RGB" else strip.convert("RGB")
        most = max(most, brightest(strip)) if is_upper else 0
        part = part.reduce(block) if block > 1 else part
        stored[top : top + part.height] = np.asarray(part)
        top += part.height
    if is_upper:
        require_bright(most)
    return seen


def require_rule(picture: Image.Image) -> None:
    """ValueError for a picture of a mode or kind that no rule makes 8-bit RGB."""
    if picture.mode not in (*PLAIN, *DEEP):
        raise ValueError(f"mode {picture.mode} (valid: {', '.join(sorted((*PLAIN, *DEEP)))})")
    require_kind(picture)
    require_shallow(picture)


def opened(path: str | Path, most: float = MOST) -> Image.Image:
    """A picture of which only the header is read, to be held by `with`.

    ValueError for one of more pixels, for what is no regular file, or empty, and for a cut PNG.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        raise ValueError("a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
    if not status.st_size:
        raise ValueError("an empty file, of 0 bytes")
    picture = _open(path)
    try:
        if picture.width * picture.height > most:
            raise ValueError(TOO_LARGE)
        if picture.format == "PNG":
            read_behind(picture)
        mend(picture)
    except BaseException:
        picture.close()
        raise
    return picture


def reason(error: Exception) -> str:
    """Why a picture cannot be read, in words that say what to do."""
    if isinstance(error, Image.UnidentifiedImageError):
        return f"its beginning is of no known format (valid: {', '.join(FORMATS)})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(f"{error}".split()) or type(error).__name__
    return f"cut short: {text}" if "truncated" in text.lower() else text


@contextmanager
def _without_bound():
    """Pillow's bound, one for all threads, lifted for one at a time: `opened` has its own."""
    with _LIFTING:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _drafted(picture, times):
    """How many pixels a side become one, to halve it so often; a JPEG is decoded with fewer."""
    width = picture.width
    picture.draft(None, (width >> times, picture.height >> times))
    return 2**times // round(width / picture.width)


def _plain(picture, block):
    """The strips of a loaded picture in modes of 8 bits."""
    if picture.mode in DEEP:
        return in_bytes(picture, block)
    if picture.mode in STRAIGHT:
        return (strip.convert(STRAIGHT[picture.mode]) for strip in strips(picture, block))
    return strips(picture, block)


def _open(path):
    try:
        with _without_bound(), long_texts():
            return Image.open(path, formats=_here())
    except Image.UnidentifiedImageError:
        if kind := tiff_kind(path):
            raise ValueError(kind) from None
        raise


@cache
def _here():
    """Those of FORMATS that this Pillow has."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def credited(credit: str, count: int) -> str:
    """Whose so many shown photographs are, as HTML; a published report is held to it."""
    what = "Photograph" if count == 1 else f"{count} photographs"
    return f'<p class="credit" data-photographs="{count}">{what}: {escape(credit)}</p>'


def embedded(picture: Image.Image, quality: int) -> str:
    """An RGB picture as an address that holds it, as JPEG of a quality."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
