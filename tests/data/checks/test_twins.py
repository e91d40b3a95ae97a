"""Twins: pictures of both sets are found, saved anew or smaller; others are not."""

import time

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageDraw

from p2s.data.checks.twins import near_twins, twins


def scene(seed, side=96):
    """A soft background with a few boxes."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 5, 3), np.uint8)
    picture = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for x, y in rng.integers(0, side - 20, (4, 2)).tolist():
        pen.rectangle((x, y, x + 15, y + 12), fill=tuple(rng.integers(0, 256, 3).tolist()))
    return picture


@pytest.fixture
def sets(tmp_path):
    train, val = ([tmp_path / f"{name}{k}.png" for k in range(12)] for name in "tv")
    for k, path in enumerate([*train, *val]):
        scene(k).save(path)
    return train, val


def test_different_scenes_are_no_twins(sets):
    assert twins(*sets) == ([], 12, 12)


def test_the_same_pictures_are_all_twins(sets):
    train, _ = sets
    assert sorted(twins(train, train).pairs) == sorted((path, path) for path in train)


def turned(picture):
    """As a camera that was held upright stores it."""
    picture = picture.rotate(90)
    picture.getexif()[ExifTags.Base.Orientation] = 6
    return picture


AGAIN = {
    "jpg": lambda picture: picture,
    "smaller": lambda picture: picture.resize((64, 64)),
    "brighter": lambda picture: picture.point(lambda value: value * 1.05),
    "turned": turned,
}


@pytest.mark.parametrize("how", AGAIN)
def test_a_picture_saved_anew_is_a_twin_also_changed_a_little(sets, tmp_path, how):
    train, val = sets
    again, picture = tmp_path / "again.jpg", AGAIN[how](scene(3))
    picture.save(again, quality=90, exif=picture.getexif())
    assert twins(train, [*val, again]).pairs == [(again, train[3])]


def test_of_many_that_are_nearly_alike_the_same_is_found(tmp_path):
    train, val = ([tmp_path / f"{k}.{ending}" for k in range(150)] for ending in ("png", "bmp"))
    for number, both in enumerate(zip(train, val, strict=True)):
        page = Image.new("RGB", (100, 140), "white")
        for x, y in np.random.default_rng(number).integers(0, 96, (5, 2)).tolist():
            page.paste((0, 0, 0), (x, y, x + 3, y + 3))
        for path in both:
            page.save(path)
    assert sorted(twins(train, val[::5]).pairs) == sorted(zip(val[::5], train[::5], strict=True))


def test_another_object_in_the_same_scene_is_no_twin(sets, tmp_path):
    train, val = sets
    changed = scene(3)
    ImageDraw.Draw(changed).rectangle((40, 40, 50, 50), fill="white", outline="black")
    changed.save(val[0])
    assert twins(train, val).pairs == []


def test_deep_pictures_are_compared_over_their_range(tmp_path):
    for name, values in {"a": np.linspace(300, 4095, 64), "b": np.linspace(4095, 300, 64)}.items():
        row = np.tile(values.astype(np.uint16), (64, 1))
        Image.fromarray(row).save(tmp_path / f"{name}.png")
    assert twins([tmp_path / "a.png"], [tmp_path / "b.png"]).pairs == []


def test_the_time_is_bounded_and_what_cannot_be_read_is_left_out(sets, tmp_path):
    train, val = sets
    (tmp_path / "bad.png").write_bytes(b"no picture")
    assert twins(train, [tmp_path / "bad.png"]) == ([], 0, 12)
    begun = time.monotonic()
    assert twins(train, val, seconds=0) == ([], 0, 0)
    assert time.monotonic() - begun < 5


def test_a_copy_of_a_file_is_found_however_short_the_time(sets):
    train, val = sets
    val[4].write_bytes(train[7].read_bytes())
    assert twins(train, val, seconds=0).pairs == [(val[4], train[7])]


def test_near_is_a_picture_as_it_is_or_mirrored_cut_anew_and_no_other(sets):
    train, val = sets
    assert near_twins(train, val) == []
    scene(5).crop((1, 0, 96, 96)).save(val[2])
    scene(7).transpose(Image.Transpose.FLIP_LEFT_RIGHT).crop((0, 0, 95, 96)).save(val[0])
    assert sorted(near_twins(train, val)) == sorted([val[0], val[2]])
    assert twins(train, val).pairs == []
