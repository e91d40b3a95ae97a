"""Kinds: a TIFF that is not read is told with its bits, its samples, and what is read."""

import re
from contextlib import nullcontext

import numpy as np
import pytest
from PIL.TiffImagePlugin import OPEN_INFO

from p2s.data.checks.header import header
from p2s.data.picture import read_picture
from tests.data.pixels.raw_files import FORMATS, tiff

KINDS = {  # bytes, channels and photometric of what Pillow does not read
    "1 x 16 bits, floats, little-endian": ("<f2", 1, 1),
    "1 x 64 bits, floats, little-endian": ("<f8", 1, 1),
    "3 x 32 bits, floats, little-endian": ("<f4", 3, 2),
    "3 x 32 bits, whole numbers, big-endian": (">u4", 3, 2),
    "1 x 16 bits, whole numbers, big-endian, 0 is white": (">u2", 1, 0),
    "1 x 64 bits, numbers with a sign, little-endian": ("<i8", 1, 1),
}


@pytest.mark.parametrize("told", KINDS)
def test_a_kind_of_tiff_that_is_not_read_is_told(tmp_path, told):
    kind, channels, photometric = KINDS[told]
    path = tmp_path / "a.tif"
    tiff(path, np.zeros((4, 5, channels), kind), photometric=photometric)
    line = f"not a readable image: a TIFF of {told}, compression 1, is not read (valid: 8 bits"
    assert header(path).problem.startswith(line)
    with pytest.raises(ValueError) as error:
        read_picture(path)
    assert str(error.value).startswith(f"{path}: {line}")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kept", [4, 8, 30, 55])
def test_a_tiff_without_its_tags_is_no_known_format(tmp_path, kept):
    path = tiff(tmp_path / "a.tif", np.zeros((4, 5, 1), "u1"), photometric=1)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="a.tif: not a readable image: its beginning is of no"):
        read_picture(path)


PALETTE = [257 * (37 * k % 256) for k in range(3 * 256)]
OPENED = [  # order, photometric, form, bits and extra samples of what Pillow opens, LAB left out
    (order, photometric, form, bits, extra)
    for order, photometric, (form,), fill, bits, extra in OPEN_INFO
    if fill == 1 and bits[0] % 8 == 0 and photometric != 8 and (photometric, bits) != (6, (8,))
]


def of_kind(path, kind, planes, zipped):
    """A TIFF of noise."""
    order, photometric, form, bits, extra = kind
    letter = {number: letter for letter, number in FORMATS.items()}[form]
    noise = np.random.default_rng(0).random((6, 8, len(bits)))
    most = 1 if letter == "f" else min(65535, 2 ** (bits[0] - (letter == "i")) - 1)
    dtype = f"{'<' if order == b'II' else '>'}{letter}{bits[0] // 8}"
    values = (noise / noise.max() * most).astype(dtype)
    more = {3: {320: PALETTE}, 6: {530: [1, 1]}}.get(photometric, {})
    more = more | ({338: [*extra]} if extra else {})
    return tiff(path, values, photometric=photometric, planes=planes, zipped=zipped, more=more)


@pytest.mark.parametrize("kind", OPENED, ids=str)
@pytest.mark.parametrize(("planes", "zipped"), [(1, False), (1, True), (2, False), (2, True)])
def test_a_tiff_is_the_same_however_it_is_stored_or_told(tmp_path, kind, planes, zipped):
    path = of_kind(tmp_path / "a.tif", kind, planes, zipped)
    told = header(path).problem
    is_signed, is_apart = kind[2:4] == (2, (8,)), planes == 2 and len(kind[3]) > 1
    assert told or not is_signed
    assert not told or is_signed or is_apart
    with pytest.raises(ValueError, match="a TIFF of") if told else nullcontext():
        read = read_picture(path).astype(int)
        plain = read_picture(of_kind(tmp_path / "plain.tif", kind, 1, False))
        assert abs(read - plain).max() <= (kind[1] == 6)  # YCbCr is rounded


@pytest.mark.parametrize("blocks", [None, (2, 2), (2, 1), (4, 1)])
@pytest.mark.parametrize("behind", [0, 1000])
def test_colours_of_several_pixels_are_told(tmp_path, blocks, behind):
    path, more = tmp_path / "y.tif", {530: [*blocks]} if blocks else {}
    tiff(path, np.zeros((4, 6, 3), "u1"), photometric=6, more=more)
    path.write_bytes(path.read_bytes() + bytes(behind))
    told = header(path).problem
    assert told.startswith("not a readable image: a TIFF of 3 x 8 bits, ")
    assert f" YCbCr {blocks or (2, 2)}, compression 1" in told
    with pytest.raises(ValueError, match=re.escape(f"{path}: {told}")):
        read_picture(path)


@pytest.mark.parametrize(("photometric", "bits"), [(0, 8), (3, 1), (3, 2), (3, 4)])
def test_bits_in_reverse_that_pillow_does_not_unpack_are_told(tmp_path, photometric, bits):
    more = {266: [2], 258: [bits], 320: PALETTE[: 3 * 2**bits]}
    path = tiff(tmp_path / "r.tif", np.zeros((4, 8), "u1"), photometric=photometric, more=more)
    line = f"not a readable image: a TIFF of 1 x {bits} bits, "
    assert header(path).problem.startswith(line)
    with pytest.raises(ValueError, match=f"{path}: {line}"):
        read_picture(path)
