"""Depth: whatever the bits of a file, a ramp is a ramp, or it is told why not."""

import numpy as np
import pytest
from PIL import Image

from p2s.data.checks.header import header
from p2s.data.picture import read_picture, rgb
from tests.data.pixels.raw_files import png, ppm, sgi, tiff

RAMP = np.tile(np.arange(256), (3, 1))
DIM = "channels of 16 bits without a value well above 16383, .*: save them as 8 bits"


def floats(path, low, high):
    Image.fromarray(np.linspace(low, high, 256, dtype=np.float32)[None].repeat(3, 0)).save(path)
    return path


@pytest.mark.parametrize("white", [1, 255, 1023, 65535])
@pytest.mark.parametrize("rounding", [-0.009, -1e-6, 1e-6, 0.009])
def test_rounding_beyond_a_range_of_floats_is_cut_off(tmp_path, white, rounding):
    low, high = min(0, rounding) * white, white * (1 + max(0, rounding))
    read = read_picture(floats(tmp_path / "f.tif", low, high))
    assert abs(read[:, :, 0].astype(int) - RAMP).max() <= 3
    assert (read.min(), read.max()) == (0, 255)


@pytest.mark.parametrize("ends", [(0, 1.02), (0, 1.5), (0, 31), (-0.02, 1), (-1, 1), (-9, 255)])
def test_floats_whose_range_is_not_known_are_refused(tmp_path, ends):
    with pytest.raises(ValueError, match=r"f.tif: .*mode F with values from .* \(valid: .* 32 and"):
        read_picture(floats(tmp_path / "f.tif", *ends))


def deep_files(folder, values):
    """Files of 16 bits a channel that hold these values (H, W, C), but those of CMYK."""
    channels = values.shape[2]
    if channels > 1:  # one is read by the rule for grey
        yield png(folder / "deep.png", values)
    if channels != 2:
        yield sgi(folder / "deep.sgi", values)
    if channels == 3:
        yield ppm(folder / "deep.ppm", values)
        yield ppm(folder / "plain.ppm", values, plain=True)
    if channels > 2:
        yield from (
            tiff(
                folder / f"{order}{zipped}.tif",
                values.astype(f"{order}u2"),
                photometric=2,
                zipped=zipped,
            )
            for zipped in (False, True)
            for order in "<>"
        )


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_colours_of_fewer_bits_than_the_file_says_are_refused(tmp_path, bits, channels):
    values = np.zeros((3, 256, channels), np.uint16)
    values[:] = (RAMP * ((2**bits - 1) / 255))[:, :, None]
    inks = tiff(tmp_path / "inks.tif", values.repeat(4 // channels, 2), photometric=5)
    values[:, :, 3:] = 65535
    for path in [*deep_files(tmp_path, values), *([inks] if channels != 3 else [])]:
        with pytest.raises(ValueError, match=f"{path}: .*{DIM}"):
            read_picture(path)
        assert header(path).problem


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_colours_of_16_bits_may_be_dark_but_for_a_pixel(tmp_path, channels):
    values = np.zeros((64, 64, channels), np.uint16)
    values[5, 5] = 65535
    for path in deep_files(tmp_path, values):
        assert read_picture(path).max() == 255 and not header(path).problem
        with Image.open(path) as picture:
            assert rgb(picture, 64).shape == (1, 1, 3)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_colours_of_16_bits_are_read(tmp_path, channels):
    values = (RAMP[:, :, None] * 257).repeat(channels, 2).astype(np.uint16)
    for path in deep_files(tmp_path, values):
        assert (read_picture(path) == RAMP[:, :, None]).all()


def test_inks_of_16_bits_are_read(tmp_path):
    values = np.zeros((3, 256, 4), np.uint16)
    values[:, :, 3] = RAMP[:, ::-1] * 257
    path = tiff(tmp_path / "inks.tif", values, photometric=5)
    assert not header(path).problem
    assert (read_picture(path) == RAMP[:, :, None]).all()


@pytest.mark.parametrize("kind", ["<u1", "<u2", "<f4", ">f4"])
@pytest.mark.parametrize("white", [0, 1])
def test_where_white_is_zero_it_is_white(tmp_path, kind, white):
    most = {"u1": 255, "u2": 4095, "f4": 1}[kind[1:]]
    values = (RAMP[:, ::-1] if white == 0 else RAMP) * (most / 255)
    values = (values if kind[1] == "f" else values.round()).astype(kind)
    read = read_picture(tiff(tmp_path / "w.tif", values, photometric=white))
    assert (read == RAMP[:, :, None]).all()


def test_channels_of_16_bits_in_planes_are_refused(tmp_path):
    values = (RAMP[:, :, None] * 257).repeat(3, 2).astype("<u2")
    path = tiff(tmp_path / "p.tif", values, photometric=2, planes=2)
    line = "a TIFF of 3 x 16 bits, whole numbers, little-endian, in planes, compression 1, is not"
    with pytest.raises(ValueError, match=f"p.tif: not a readable image: {line}"):
        read_picture(path)


def test_large_values_are_told_as_they_are(tmp_path):
    path = tiff(tmp_path / "u.tif", (RAMP * 2**24).astype("<u4"), photometric=1)
    with pytest.raises(ValueError, match=r"u.tif: .*from 0 to 4.27819e\+09 \(valid: 0 to 65535"):
        read_picture(path)
