"""Styles: what they do to a character, and whether all classes can be told apart."""

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageOps

from p2s.data.glyphs import ink, layout, styles
from p2s.spec import Glyphs

CLASSES, FACE, SIDE = 1203, "DejaVuSans", 24
BICUBIC = Image.Resampling.BICUBIC


def test_the_first_style_is_the_character_itself():
    mask = ink._upright("&", FACE)
    assert styles.styled(mask, 0) is mask
    assert [ink.name(k) for k in range(3)] == list(ink.CHARACTERS[:3])


@pytest.mark.parametrize("style", range(1, len(styles.STYLES)))
def test_a_solid_surround_lacks_the_character_and_all_others_hold_it(style):
    surround, _ = styles.STYLES[style]
    mask = ink._upright("R", FACE)
    drawn, ground = styles.styled(mask, style), styles.styled(Image.new("L", mask.size), style)
    change = ImageChops.difference(drawn, ground)
    assert change.crop(change.getbbox()).tobytes() == mask.crop(mask.getbbox()).tobytes()
    lacking = np.asarray(drawn, int).sum() < np.asarray(ground, int).sum()
    assert lacking == (surround in ("block", "disc"))


def test_a_line_above_is_a_line_below_upside_down():
    for character in ink.CHARACTERS[:9]:
        mask = ink._upright(character, FACE)
        flipped = ImageOps.flip(styles._marked(ImageOps.flip(mask), above=False))
        assert styles._marked(mask, above=True).tobytes() == flipped.tobytes()


def upright(label):
    style, number = divmod(label, len(ink.CHARACTERS))
    return styles.styled(ink._upright(ink.CHARACTERS[number], FACE), style)


def test_every_label_has_a_name_and_a_drawing_of_its_own():
    assert ink.LABELS >= CLASSES
    assert len({ink.name(label) for label in range(ink.LABELS)}) == ink.LABELS
    drawn = {(mask.size, mask.tobytes()) for mask in map(upright, range(ink.LABELS))}
    assert len(drawn) == ink.LABELS


def scaled(mask, size):
    stretch = size / (mask.width * mask.height) ** 0.5
    return mask.resize([round(stretch * length) for length in mask.size], Image.Resampling.BILINEAR)


def vector(mask):
    """A mask as SIDE x SIDE pixels of mean 0 and norm 1."""
    square = ImageOps.pad(mask.crop(mask.getbbox()), (SIDE, SIDE), Image.Resampling.BILINEAR)
    pixels = np.asarray(square, np.float32).ravel()
    return (pixels - pixels.mean()) / (SIDE * pixels.std())


def clean(rng, label, size):
    """A clean drawing in this size, turned by chance, as scenes have it."""
    style, number = divmod(label, len(ink.CHARACTERS))
    turn = int(rng.integers(-5, 6)) * ink.ANGLE_STEP
    return scaled(ink._rotated(ink.CHARACTERS[number], FACE, turn, style), size)


def test_a_nearest_template_tells_1203_classes_apart_at_the_median_size():
    rng, turns = np.random.default_rng(0), (-24, -12, 0, 12, 24)
    median = layout.CROWDING.median * Glyphs().size
    small = [scaled(upright(k), 1.2 * median) for k in range(CLASSES)]
    turned = [mask.rotate(d, BICUBIC, expand=True) for mask in small for d in turns]
    known = np.stack([vector(mask) for mask in turned])
    asked = rng.permutation(CLASSES)[:400]
    seen = np.stack([vector(clean(rng, k, median)) for k in asked])
    found = (seen @ known.T).argmax(1) // len(turns)
    assert (found == asked).mean() >= 0.98  # measured: .99
