"""Likeness: a picture is found again however it is saved, and no other is taken for it."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from p2s.data.checks.twins import twins

SIDES = 650, 433


def noisy(picture, seed, sigma=15.0):
    """As a sensor has it."""
    pixels = np.asarray(picture, float)
    pixels = pixels + np.random.default_rng(seed).normal(0, sigma, (*pixels.shape[:2], 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def street(seed, thing=None):
    """Sharp edges, fine stripes and noise, as photographs have; one more thing at a place."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), np.uint8))
    picture = coarse.resize(SIDES, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for x, y, width, height in rng.integers((-20, -20, 4, 4), (*SIDES, 90, 90), (60, 4)).tolist():
        pen.rectangle((x, y, x + width, y + height), fill=tuple(rng.integers(0, 256, 3).tolist()))
        pen.line((x, y, x + 2 * height, y), fill="black" if x % 2 else "white", width=2)
    for x in range(400, 600, 3):
        pen.line((x, 300, x + 40, 400), fill=(40, 40, 40))
    if thing:
        pen.ellipse((*thing, thing[0] + 50, thing[1] + 50), fill=(250, 240, 60), outline="black")
    return noisy(picture, seed)


def page(seed):
    """A white page with a few small marks."""
    picture = Image.new("RGB", (1000, 1000), "white")
    for x, y in np.random.default_rng(seed).integers(0, 995, (12, 2)).tolist():
        picture.paste((0, 0, 0), (x, y, x + 5, y + 5))
    return picture


def text(seed):
    """Lines of strokes in words, at the same places on each page."""
    rng = np.random.default_rng(seed)
    picture = Image.new("L", (850, 1100), 250)
    pen = ImageDraw.Draw(picture)
    for y in range(80, 1020, 22):
        for x in range(80, 770, 7):
            if rng.random() > 0.15:
                pen.line((x, y, x + int(rng.integers(0, 6)), y + 12), fill=20, width=2)
    return picture


def sky(seed):
    """A bow of light and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:480j, -1:1:640j]
    light = 170 + rng.uniform(20, 50) * y - rng.uniform(10, 30) * (x**2 + y**2)
    return noisy(np.stack([light - 40, light, light + 60], -1), seed, 4)


def card(seed):
    """So many dots on a card that lies where others lay."""
    picture = street(0).resize(SIDES)
    pen = ImageDraw.Draw(picture)
    pen.rounded_rectangle((200, 90, 420, 400), 12, fill="white", outline="black")
    for k in range(seed):
        x, y = 230 + 60 * (k % 3), 110 + 60 * (k // 3)
        pen.ellipse((x, y, x + 30, y + 30), fill="red")
    return noisy(picture, seed, 4)


def resized(*sides, how=Image.Resampling.BICUBIC):
    """What gives a picture other sides; one number is their scale."""

    def again(picture):
        wanted = sides if len(sides) == 2 else [round(sides[0] * side) for side in picture.size]
        return picture.resize(wanted, how)

    return again


COPIES = {
    "as it is": lambda picture: picture,
    **{f"times {scale}": resized(scale) for scale in (0.25, 0.33, 0.6, 0.75, 0.9, 1.25, 3)},
    "stretched": resized(640, 640),
    "every other pixel": resized(0.5, how=Image.Resampling.NEAREST),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.8),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
    "of less contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(0.8),
    "of more contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(1.2),
    "grey": lambda picture: picture.convert("L"),
    "mirrored": ImageOps.mirror,
}
FORMATS = {
    "jpg": {"quality": 90}, "png": {"compress_level": 1}, "webp": {"quality": 50, "method": 0},
    "gif": {}, "bmp": {}, "jpeg": {"quality": 15},
}  # fmt: skip


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Some streets, which a camera saved."""
    paths = [tmp_path_factory.mktemp("train") / f"{k}.jpg" for k in range(6)]
    for k, path in enumerate(paths):
        street(k).save(path, quality=92)
    return paths


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("how", COPIES)
def test_a_copy_is_found_whatever_its_format_size_light_and_side(train, tmp_path, how, ending):
    again = tmp_path / f"again.{ending}"
    COPIES[how](street(3)).save(again, **FORMATS[ending])
    assert twins(train, [again], 60).pairs == [(again, train[3])]


@pytest.mark.parametrize("picture", [page, text], ids=["page", "text"])
def test_copies_of_pages_are_found_too(tmp_path, picture):
    for name, scale in {"a.png": 1, "b.jpg": 0.5}.items():
        resized(scale)(picture(1)).save(tmp_path / name)
    assert twins([tmp_path / "a.png"], [tmp_path / "b.jpg"], 60).pairs


PLACES = [(100, 200), (300, 250), (500, 60), (40, 330)]
OTHERS = {
    "streets": street,
    "pages with few marks": page,
    "pages of text": text,
    "skies": sky,
    "cards of one deck": lambda seed: card(5 + seed),
    "frames of a video": lambda seed: street(9, PLACES[seed]),
    "blank pages": lambda seed: Image.new("RGB", (400, 300), (250 + seed,) * 3),
}


@pytest.mark.parametrize("ending", ["png", "jpg"])
@pytest.mark.parametrize("what", OTHERS)
def test_pictures_that_differ_are_not_alike(tmp_path, what, ending):
    paths = [tmp_path / f"{k}.{ending}" for k in range(4)]
    for k, path in enumerate(paths):
        OTHERS[what](k).save(path)
    assert [twins(paths[:k] + paths[k + 1 :], [paths[k]], 60).pairs for k in range(4)] == [[]] * 4
