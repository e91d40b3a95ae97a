"""Kinds: a TIFF that is not read is told with its bits, its samples, and what is read."""

import numpy as np
import pytest

from p2s.data.checks.header import header
from p2s.data.picture import read_picture
from tests.data.pixels.raw_files import tiff

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
