"""Kinds: what kind of TIFF a file is that Pillow does not read; it says only that it does not."""

from pathlib import Path

from PIL import ExifTags
from PIL.TiffImagePlugin import PREFIXES, ImageFileDirectory_v2

READ = "8 bits a sample or fewer, of grey, RGB and CMYK also 16, of grey also 32, and floats of 32"
FORMATS = {1: "whole numbers", 2: "numbers with a sign", 3: "floats"}  # of samples: TIFF 6.0
PIXELS = {ExifTags.Base.StripOffsets, ExifTags.Base.TileOffsets}
BIG = 43  # the third byte of a file with addresses of 64 bits


def tiff_kind(path: str | Path) -> str:
    """What kind of TIFF a file is, and which are read; nothing of a cut one and of other files."""
    tags = _tags(path)
    bits, form = tags.get(ExifTags.Base.BitsPerSample), tags.get(ExifTags.Base.SampleFormat, (1,))
    if not bits or not tags.keys() & PIXELS:
        return ""
    samples = tags.get(ExifTags.Base.SamplesPerPixel, len(bits))
    white = ", 0 is white" * (tags.get(ExifTags.Base.PhotometricInterpretation, 0) == 0)
    order = "big" if tags.prefix == b"MM" else "little"
    told = f"{samples} x {bits[0]} bits, {FORMATS.get(form[0], form[0])}, {order}-endian{white}"
    compression = tags.get(ExifTags.Base.Compression, 1)
    return f"a TIFF of {told}, compression {compression}, is not read (valid: {READ})"


def _tags(path):
    """The tags of a TIFF's first picture; none of other files."""
    with open(path, "rb") as file:
        start = file.read(8)
        if len(start) < 8 or not start.startswith(tuple(PREFIXES)):
            return {}
        tags = ImageFileDirectory_v2(start + file.read(8) * (start[2] == BIG))
        file.seek(tags.next)
        tags.load(file)
    return tags
