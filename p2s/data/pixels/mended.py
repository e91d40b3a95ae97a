"""Mended: TIFFs that Pillow takes for others are put right before they are decoded."""

import re

from PIL import ExifTags, Image, ImagePalette

from p2s.data.pixels.turns import keep_unmapped, tags_of


def mend(picture: Image.Image) -> None:
    """Have Pillow decode an opened TIFF as it is; a second time, and of others, it does nothing."""
    if tags_of(picture) and picture.tile:
        _join_planes(picture)
        _swap_once(picture)
        _brighten_palette(picture)
        keep_unmapped(picture)


def _join_planes(picture):
    """One channel in planes is one that is not, which Pillow reads by another way, and wrongly."""
    tags = tags_of(picture)
    is_apart = tags.get(ExifTags.Base.PlanarConfiguration) == 2
    if is_apart and tags.get(ExifTags.Base.SamplesPerPixel, 1) == 1:
        tags[ExifTags.Base.PlanarConfiguration] = 1
        picture._setup()


def _swap_once(picture):
    """Of what is compressed libtiff swaps the bytes, and Pillow those of 32 bits and signs too."""
    for k, part in enumerate(picture.tile):
        if part.codec_name == "libtiff":
            native = re.sub(r";(\d+)B", r";\1N", part.args[0])
            picture.tile[k] = part._replace(args=(native, *part.args[1:]))


def _brighten_palette(picture):
    """Colours of a palette have 16 bits; where all are below 256 a program wrote 8."""
    colours = tags_of(picture).get(ExifTags.Base.ColorMap, ())
    if picture.mode in ("P", "PA") and max(colours, default=256) < 256:
        picture.palette = ImagePalette.raw("RGB;L", bytes(colours))
