"""Kinds: what kind of TIFF a file is that Pillow does not read, without saying so or wrongly."""

from pathlib import Path

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import PREFIXES, ImageFileDirectory_v2

from p2s.data.pixels.turns import tags_of

READ = (
    "8 bits a sample or fewer, of grey, RGB and CMYK also 16, of grey also 32, and floats of 32; "
    "interleaved"
)
BLOCKS = (2, 2)  # pixels of a YCbCr that have a colour together, if nothing is said
ALPHA = ((1,), (2,))  # what a fourth channel may be told to be: TIFF 6.0
FORMATS = {1: "whole numbers", 2: "numbers with a sign", 3: "floats"}  # of samples: TIFF 6.0
PIXELS = {ExifTags.Base.StripOffsets, ExifTags.Base.TileOffsets}
BIG = 43  # the third byte of a file with addresses of 64 bits


def tiff_kind(path: str | Path) -> str:
    """What kind of TIFF a file is, and which are read; nothing of a cut one and of other files."""
    tags = _tags(path)
    is_whole = ExifTags.Base.BitsPerSample in tags and tags.keys() & PIXELS
    return _told(tags) if is_whole else ""


def require_kind(picture: Image.Image) -> None:
    """ValueError for an opened TIFF of a kind that Pillow takes for another, or fails to unpack."""
    tags = tags_of(picture)
    is_signed = picture.mode == "L" and 2 in tags.get(ExifTags.Base.SampleFormat, (1,))
    if tags and (is_signed or _is_scattered(picture) or not _is_known(picture)):
        raise ValueError(_told(tags))


def _is_scattered(picture):
    """Whether values would come from the wrong places: of planes, and of blocks of YCbCr."""
    tags = tags_of(picture)
    if picture.mode == "YCbCr" and tags.get(ExifTags.Base.YCbCrSubSampling, BLOCKS) != (1, 1):
        return True
    if tags.get(ExifTags.Base.PlanarConfiguration) != 2:
        return False
    if picture.info.get("compression") == "raw":
        is_reversed = tags.get(ExifTags.Base.FillOrder) == 2
        return max(tags.get(ExifTags.Base.BitsPerSample, (8,))) > 8 or is_reversed
    is_doubtful = tags.get(ExifTags.Base.ExtraSamples) not in ALPHA  # colours would be divided
    return picture.mode == "La" or (picture.mode == "RGBA" and is_doubtful)


def _is_known(picture):
    """Whether Pillow can unpack all parts, tried on a pixel."""
    try:
        for raw in {part.args[0] for part in picture.tile if part.codec_name == "raw"}:
            Image.frombytes(picture.mode, (1, 1), bytes(64), "raw", raw)
    except ValueError:
        return False
    return True


def _told(tags):
    """What kind of TIFF has these tags, and which are read."""
    bits, form = tags.get(ExifTags.Base.BitsPerSample, (1,)), tags.get(ExifTags.Base.SampleFormat)
    photometric = tags.get(ExifTags.Base.PhotometricInterpretation, 0)
    blocks = f"YCbCr {tags.get(ExifTags.Base.YCbCrSubSampling, BLOCKS)}"
    parts = (
        f"{tags.get(ExifTags.Base.SamplesPerPixel, len(bits))} x {bits[0]} bits",
        FORMATS.get(form[0], f"{form[0]}") if form else FORMATS[1],
        f"{'big' if tags.prefix == b'MM' else 'little'}-endian",
        {0: "0 is white", 6: blocks}.get(photometric),
        "in planes" if tags.get(ExifTags.Base.PlanarConfiguration) == 2 else "",
        f"compression {tags.get(ExifTags.Base.Compression, 1)}",
    )
    return f"a TIFF of {', '.join(filter(None, parts))}, is not read (valid: {READ})"


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
