"""Mended: however a TIFF is stored, its pixels are the same."""

import numpy as np
import pytest

from p2s.data.picture import read_picture
from tests.data.pixels.raw_files import tiff

RAMP = np.tile(np.arange(256), (3, 1))
GREY = [("u1", 0), ("u1", 1), ("u2", 1), ("i2", 1), ("i4", 1), ("f4", 0), ("f4", 1)]


@pytest.mark.parametrize(("kind", "photometric"), GREY)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("planes", [1, 2])
@pytest.mark.parametrize("zipped", [False, True])
def test_grey_is_the_same_however_it_is_stored(tmp_path, kind, photometric, order, planes, zipped):
    values = (RAMP if photometric else RAMP[:, ::-1]) * ((255 if kind == "u1" else 4095) / 255)
    values, path = values.round().astype(f"{order}{kind}"), tmp_path / "a.tif"
    tiff(path, values, photometric=photometric, planes=planes, zipped=zipped)
    assert (read_picture(path) == RAMP[:, :, None]).all()


@pytest.mark.parametrize(("photometric", "extra"), [(2, {}), (2, {338: [2]}), (5, {})])
@pytest.mark.parametrize("zipped", [False, True])
def test_colours_of_8_bits_may_be_in_planes(tmp_path, photometric, extra, zipped):
    channels = 4 if extra or photometric == 5 else 3
    values = np.random.default_rng(0).integers(0, 256, (4, 6, channels), np.uint8)
    plain, apart = (
        tiff(
            tmp_path / f"{k}.tif",
            values,
            photometric=photometric,
            more=extra,
            planes=k,
            zipped=zipped,
        )
        for k in (1, 2)
    )
    assert (read_picture(plain) == read_picture(apart)).all()


@pytest.mark.parametrize(("planes", "channels"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("scale", [1, 256, 257])
def test_a_palette_has_8_bits_where_it_has_not_16(tmp_path, planes, zipped, channels, scale):
    colours = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 70)])
    more = {320: [*map(int, colours.ravel() * scale)]} | ({338: [2]} if channels == 2 else {})
    values, path = RAMP[:, :, None].repeat(channels, 2).astype("u1"), tmp_path / "a.tif"
    tiff(path, values, photometric=3, planes=planes, zipped=zipped, more=more)
    assert (read_picture(path) == colours.T).all()
