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
from contextlib import contextmanager, nullcontext
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import ExifTags, Image

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
ASIDE = (5, 6, 7, 8)  # EXIF's orientations in which width and height change places
STEPS = {  # of rows and of columns: from a turned picture, its sides back in place, to the file's
    1: (1, 1), 2: (1, -1), 3: (-1, -1), 4: (-1, 1), 5: (1, 1), 6: (-1, 1), 7: (-1, -1), 8: (1, -1),
}  # fmt: skip
TEXTS = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")  # chunks of a PNG that may say how it is turned
STRIP = 2**20  # pixels that are converted at once: one picture and its bytes are in memory
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
            size, pixels = _seen_size(file), file.width * file.height
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

    require_rule(picture.mode)
    _keep_unmapped(picture)
    picture.load()
    way, sides = orientation(picture), [-(-side // block) for side in picture.size]
    seen = np.empty((*(sides if way in ASIDE else sides[::-1]), 3), np.uint8)
    stored, top = (seen.swapaxes(0, 1) if way in ASIDE else seen)[_steps(way)], 0
    for strip in _plain(picture, block):
        part = strip if strip.mode == "RGB" else strip.convert("RGB")
        part = part.reduce(block) if block > 1 else part
        stored[top : top + part.height] = np.asarray(part)
        top += part.height
    return seen


def require_rule(mode: str) -> None:
    """ValueError for a mode that no rule makes 8-bit RGB."""
    if mode not in (*PLAIN, *DEEP):
        raise ValueError(f"mode {mode} (valid: {', '.join(sorted((*PLAIN, *DEEP)))})")


def opened(path: str | Path, most: float = MOST) -> Image.Image:
    """A picture of which only the header is read, to be held by `with`.

    ValueError for one of more pixels, for what is no regular file, or empty, and for a cut PNG.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        raise ValueError("a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
    if not status.st_size:
        raise ValueError("an empty file, of 0 bytes")
    with _without_bound():
        picture = Image.open(path, formats=_here())
    try:
        if picture.width * picture.height > most:
            raise ValueError(TOO_LARGE)
        if picture.format == "PNG":
            _read_behind(picture)
        _keep_unmapped(picture)
    except BaseException:
        picture.close()
        raise
    return picture


def orientation(picture: Image.Image) -> int:
    """Which of EXIF's 8 orientations a picture is to be turned by, 1 where it says none.

    Of a PNG that `opened` did not open it may be known only when its pixels are read.
    """
    said = Image.Image.getexif(picture).get(ExifTags.Base.Orientation)  # PNG's own would decode
    return said if said in STEPS else 1


def stored_sides(picture: Image.Image) -> tuple[int, int]:
    """Width and height of an opened picture as stored; of a TIFF Pillow says them turned."""
    return picture.size[::-1] if _is_said_turned(picture) else picture.size


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


def _read_behind(picture):
    """Texts behind a PNG's pixels are its own too; ValueError if its chunks do not end in IEND."""
    file, name, here = picture.fp, b"", 8  # behind the signature
    pixels = file.tell()
    while name != b"IEND":
        start = os.pread(file.fileno(), 8, here)  # of thousands: a seek takes three times as long
        length, name = int.from_bytes(start[:4], "big"), start[4:]
        if len(start) < 8 or not name.isalpha():
            raise ValueError("image file is truncated: its chunks do not end in IEND")
        if name in TEXTS and here > pixels:
            file.seek(here + 8)
            picture.png.call(name, here + 8, length)
        here += length + 12  # and a sum of 4 bytes
    file.seek(pixels)


def _is_said_turned(picture):
    """Whether Pillow tells the sides of a picture turned by its tag before it turns the pixels."""
    return getattr(picture, "tag_v2", {}).get(ExifTags.Base.Orientation) in ASIDE


def _keep_unmapped(picture):
    """Have Pillow read a TIFF, not map it into memory: there rows would have a turned length."""
    if _is_said_turned(picture):
        picture.load_seek = picture.fp.seek  # what seeks by a way of its own is not mapped


def _seen_size(picture):
    """Height and width of an opened picture as its camera says."""
    sides = stored_sides(picture)
    return sides if orientation(picture) in ASIDE else sides[::-1]


def _steps(way):
    return tuple(slice(None, None, step) for step in STEPS[way])


def _drafted(picture, times):
    """How many pixels a side become one, to halve it so often; a JPEG is decoded with fewer."""
    width = picture.width
    picture.draft(None, (width >> times, picture.height >> times))
    return 2**times // round(width / picture.width)


def _plain(picture, block):
    """The strips of a loaded picture in modes of 8 bits."""
    strips = _strips(picture, block)
    if picture.mode in DEEP:
        yield from _in_bytes(strips, _range(picture.mode, _strips(picture, block)))
    elif picture.mode in STRAIGHT:
        yield from (strip.convert(STRAIGHT[picture.mode]) for strip in strips)
    else:
        yield from strips


def _strips(picture, block):
    """Parts of a loaded picture, from its top on and of whole blocks."""
    rows = max(1, STRIP // (block * picture.width)) * block
    for top in range(0, picture.height, rows):
        yield picture.crop((0, top, picture.width, min(top + rows, picture.height)))


@cache
def _here():
    """Those of FORMATS that this Pillow has."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _range(mode, strips):
    """The value that is white, of grey values of any range."""
    import numpy as np

    ends = [(part.min(), part.max()) for part in map(np.asarray, strips)]
    low, high = np.min(ends), np.max(ends)
    if mode == "F" and 0 <= low <= high <= 1:
        return 1
    if not 0 <= low <= high < 2 ** DEPTHS[-1]:  # of NaN nothing holds
        told = f"mode {mode} with values from {low:g} to {high:g}"
        raise ValueError(f"{told} (valid: 0 to {2 ** DEPTHS[-1] - 1}; floats also 0 to 1)")
    return next(2**bits - 1 for bits in DEPTHS if high < 2**bits)


def _in_bytes(strips, white):
    """Grey pictures of 8 bits of strips of any range."""
    import numpy as np

    for values in map(np.asarray, strips):
        yield Image.fromarray((values * np.float32(255 / white)).round().astype(np.uint8))


def credited(credit: str, count: int) -> str:
    """Whose so many shown photographs are, as HTML; a published report is held to it."""
    what = "Photograph" if count == 1 else f"{count} photographs"
    return f'<p class="credit" data-photographs="{count}">{what}: {escape(credit)}</p>'


def embedded(picture: Image.Image, quality: int) -> str:
    """An RGB picture as an address that holds it, as JPEG of a quality."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
