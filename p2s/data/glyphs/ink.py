"""Ink and paper: how the characters, their fragments, colours and backgrounds of glyph scenes look.

A mask is an "L" picture cropped to its ink.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from p2s.data.glyphs import styles


@dataclass(frozen=True)
class Difficulty:
    """What makes scenes hard; every number is part of the data's fingerprint."""

    rotation: int = 25  # degrees, either way
    contrast: int = 60  # least difference in brightness of ink and paper, of 255
    noise: int = 14  # half the range of the pixel noise, of 255
    clutter: float = 5.0  # faint shapes on the paper, mean per image
    visible: float = 0.5  # share of its ink that every labelled object shows at least
    fragments: float = 0.5  # fragments per object at the setting 1
    fragment_ink: tuple[float, float] = (0.2, 0.4)  # share of the glyph's ink, below `visible`


DIFFICULTY = Difficulty()


class Ground(NamedTuple):
    """The paper of a scene, as what is printed on it sees it."""

    side: int  # pixels
    brightness: float  # 0 to 255
    contrast: int = DIFFICULTY.contrast


Colour = tuple[int, int, int]  # RGB, 0 to 255
# No two alike when rotated and mirrored: greedy choice, IoU of masks < .6 within +-50 degrees.
CHARACTERS = "ARKET&?QX@#J2ΨЮЩŁæ§%€√∑¥¶Ы★☂☎✈♫♞♜♛⚓⚙⚡☠☢☮✂✉✓✗❀❄☁☣➔⌂⌘⏏↻UVW$«½Җ☯☀≈±‡✎➤♪÷"
SANS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSansMono-Bold")
SERIF = ("DejaVuSerif", "DejaVuSerif-Bold")  # without the symbols from U+2600 on
FONT_SIZE, ANGLE_STEP = 112, 5
LABELS = len(CHARACTERS) * len(styles.STYLES)  # a label is a character, in the plain style first


def is_ink(mask: Image.Image) -> np.ndarray:
    """The (H, W) boolean array of a mask's ink: at least half as dark as its darkest pixel."""
    alpha = np.asarray(mask)
    return alpha >= alpha.max() / 2


def glyph(rng: np.random.Generator, label: int, size: float, side: int) -> Image.Image:
    """The mask of a glyph, randomly turned: its box has size**2 pixels, no side above `side`."""
    style, number = divmod(label, len(CHARACTERS))
    character = CHARACTERS[number]
    faces = SANS if character >= "\u2600" else SANS + SERIF
    steps = DIFFICULTY.rotation // ANGLE_STEP
    degrees = ANGLE_STEP * int(rng.integers(-steps, steps + 1))
    mask = _rotated(character, faces[rng.integers(len(faces))], degrees, style)
    stretch = min(size / (mask.width * mask.height) ** 0.5, side / max(mask.size))
    return mask.resize(
        [max(2, round(length * stretch)) for length in mask.size], Image.Resampling.BILINEAR
    )


def name(label: int) -> str:
    """A label in words: its character, then its style."""
    style, number = divmod(label, len(CHARACTERS))
    return " ".join(filter(None, (CHARACTERS[number], *styles.STYLES[style])))


def fragment(rng: np.random.Generator, mask: Image.Image) -> Image.Image:
    """The part of a glyph on one side of a random line: too little of it to be an object."""
    angle, share = rng.uniform(0, 2 * np.pi), rng.uniform(*DIFFICULTY.fragment_ink)
    alpha = np.asarray(mask)
    rows, columns = np.ogrid[: alpha.shape[0], : alpha.shape[1]]
    along = (columns * np.cos(angle) + rows * np.sin(angle)).astype(np.float32)  # (H, W)
    inked = along[is_ink(mask)]
    cut = int(share * len(inked))
    part = Image.fromarray(alpha * (along <= np.partition(inked, cut)[cut]))
    return part.crop(part.getbbox())


def colour(rng: np.random.Generator, ground: Ground) -> Colour:
    """A random RGB colour that stands out from the ground."""
    side, step, *hue = rng.random(5).tolist()
    _, brightness, contrast = ground
    darker, lighter = brightness - contrast, 255 - brightness - contrast
    down = side * (max(darker, 0) + max(lighter, 0)) < darker
    base = darker * step if down else 255 - lighter * step
    grey = sum(hue) / 3
    return tuple(int(min(max(base + 140 * (part - grey), 0), 255)) for part in hue)


def stamp(
    picture: Image.Image,
    mask: Image.Image,
    corner: tuple[int, int],
    fill: Colour,
    brightness: float,
) -> None:
    """Print a mask in one colour with a thin shadow, its upper left at corner (x, y)."""
    x, y = corner
    picture.paste((int(brightness / 2),) * 3, (x + 1, y + 1), mask)
    picture.paste(fill, corner, mask)


def paper(rng: np.random.Generator, side: int) -> Image.Image:
    """A square picture of smooth random texture with faint shapes on it."""
    grid = (*rng.integers(2, 9, 2), 3)
    base = rng.uniform(60, 195) + rng.uniform(-30, 30, 3)
    texture = base + rng.uniform(10, 35) * rng.uniform(-1, 1, grid)
    picture = Image.fromarray(texture.clip(0, 255).astype(np.uint8))
    picture = picture.resize((side, side), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture, "RGBA")
    for _ in range(rng.poisson(DIFFICULTY.clutter)):
        x, y, width, height = rng.uniform(0, side, 4) * (1, 1, 0.5, 0.5)
        draw = (pen.ellipse, pen.rectangle, pen.line)[rng.integers(3)]
        draw((x, y, x + width, y + height), (*rng.integers(0, 256, 3).tolist(), 60))
    return picture


def grain(rng: np.random.Generator, picture: Image.Image, level: int) -> np.ndarray:
    """The picture as an (H, W, 3) uint8 array with grey pixel noise on it, `level` either way."""
    shape = picture.size[::-1]
    noise = rng.integers(-level, level, shape, dtype=np.int16, endpoint=True)
    return (np.asarray(picture, np.int16) + noise[..., None]).clip(0, 255).astype(np.uint8)


@cache
def _upright(character, face):
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{face}.ttf")
    font = ImageFont.truetype(str(path), FONT_SIZE)
    left, top, right, bottom = font.getbbox(character)
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).text((-left, -top), character, 255, font)
    return mask


@lru_cache(maxsize=2048)
def _rotated(character, face, degrees, style=0):
    mask = styles.styled(_upright(character, face), style)
    mask = mask.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    return mask.crop(Image.fromarray(is_ink(mask)).getbbox())
