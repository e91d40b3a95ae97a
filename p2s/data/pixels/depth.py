"""Depth: values of more than 8 bits in 8; a picture does not tell how many bits it makes use of.

Light on purpose, as `health` is.
"""

import re
from collections.abc import Iterator

from PIL import ExifTags, Image

from p2s.data.pixels.turns import tags_of

DEPTHS = (8, 10, 12, 14, 16)  # bits of a grey value: cameras' and scanners'
SLACK = 0.01  # of a range of floats, that rounding may leave it by
DIM = 32  # floats above 1 that reach no further may have any range
DEEP = ("F", "I", "I;16", "I;16B", "I;16L", "I;16N")  # modes of more than 8 bits
STRIP = 2**20  # pixels that are converted at once: one picture and its bytes are in memory
UPPER = re.compile(r";16[BLN]'|'SGI16'|\('\w+', 65535\)")  # parts told to have 16 bits
TOO_DIM = (
    f"channels of {DEPTHS[-1]} bits without a value well above {2 ** DEPTHS[-2] - 1}, "
    "so that their range is not known: save them as 8 bits"
)


def strips(picture: Image.Image, block: int) -> Iterator[Image.Image]:
    """Parts of a loaded picture, from its top on and of whole blocks."""
    rows = max(1, STRIP // (block * picture.width)) * block
    for top in range(0, picture.height, rows):
        yield picture.crop((0, top, picture.width, min(top + rows, picture.height)))


def in_bytes(picture: Image.Image, block: int) -> Iterator[Image.Image]:
    """The strips of a loaded picture of DEEP, in 8 bits; ValueError where no range holds it."""
    import numpy as np

    white = _white(picture.mode, _values(picture, block))
    tags, photometric = tags_of(picture), ExifTags.Base.PhotometricInterpretation
    is_negative = bool(tags) and tags.get(photometric, 0) == 0  # WhiteIsZero, and as Pillow has it
    for values in _values(picture, block):
        levels = (values * np.float32(255 / white)).round().clip(0, 255).astype(np.uint8)
        yield Image.fromarray(255 - levels if is_negative else levels)


def has_upper_bytes(picture: Image.Image) -> bool:
    """Whether decoding will leave out the lower half of 16 bits, by how its parts are decoded."""
    parts = () if picture.mode in DEEP else getattr(picture, "tile", ())
    return any(UPPER.search(repr(part)) for part in parts)


def has_doubtful_range(picture: Image.Image) -> bool:
    """Whether an opened picture's values tell whether it can be read."""
    return picture.mode in ("F", "I") or has_upper_bytes(picture)


def brightest(strip: Image.Image) -> int:
    """The highest value of a strip's colours, of CMYK of its inks."""
    colours = strip if strip.mode == "CMYK" else strip.convert("RGB")
    return max(most for _, most in colours.getextrema())


def require_bright(most: int) -> None:
    """ValueError for upper bytes of 16 bits that may be those of fewer, as of a grey picture."""
    if most <= 2 ** (DEPTHS[-2] - 8):  # a PPM's are rounded, not cut off
        raise ValueError(TOO_DIM)


def _values(picture, block):
    """The strips as arrays; what a TIFF says has no sign, and Pillow gives one, has none."""
    import numpy as np

    tags = tags_of(picture)
    is_unsigned = bool(tags) and tags.get(ExifTags.Base.SampleFormat, (1,))[0] == 1
    for values in map(np.asarray, strips(picture, block)):
        yield values.view(np.uint32) if picture.mode == "I" and is_unsigned else values


def _white(mode, strips):
    """The value that is white, of grey values of any range."""
    import numpy as np

    ends = [(values.min(), values.max()) for values in strips]
    low, high = np.min(ends), np.max(ends)
    bits, slack = ((0, *DEPTHS), SLACK) if mode == "F" else (DEPTHS, 0)
    whites = [max(1, 2**count - 1) for count in bits]
    white = next((most for most in whites if high <= most * (1 + slack)), 0)  # of NaN none
    if low >= -slack * white and white and (mode != "F" or white == 1 or high >= DIM):
        return white
    told = f"mode {mode} with values from {low:g} to {high:g}"
    floats = f"of floats the brightest up to 1, or {DIM} and more; scale them to 0 to 1"
    raise ValueError(f"{told} (valid: 0 to {2 ** DEPTHS[-1] - 1}; {floats})")
