"""Mended: TIFFs that Pillow takes for others are put right before they are decoded."""

import re

from PIL import Image

from p2s.data.pixels.turns import keep_unmapped, tags_of


def mend(picture: Image.Image) -> None:
    """Have Pillow decode an opened TIFF as it is; a second time, and of others, it does nothing."""
    if tags_of(picture) and picture.tile:
        _swap_once(picture)
        keep_unmapped(picture)


def _swap_once(picture):
    """Of what is compressed libtiff swaps the bytes, and Pillow those of 32 bits and signs too."""
    for k, part in enumerate(picture.tile):
        if part.codec_name == "libtiff":
            native = re.sub(r";(\d+)B", r";\1N", part.args[0])
            picture.tile[k] = part._replace(args=(native, *part.args[1:]))
