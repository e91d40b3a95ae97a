"""Mended: however a TIFF is stored, its pixels are the same."""

import numpy as np
import pytest

from p2s.data.picture import read_picture
from tests.data.pixels.raw_files import tiff

RAMP = np.tile(np.arange(256), (3, 1))
GREY = [("u1", 0), ("u1", 1), ("u2", 1), ("i2", 1), ("i4", 1), ("f4", 0), ("f4", 1)]  # black is 0: 1


@pytest.mark.parametrize(("kind", "black"), GREY)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("zipped", [False, True])
def test_grey_is_the_same_in_any_order_of_bytes(tmp_path, kind, black, order, zipped):
    values = (RAMP if black else RAMP[:, ::-1]) * ((255 if kind == "u1" else 4095) / 255)
    values = values.round().astype(f"{order}{kind}")
    path = tiff(tmp_path / "a.tif", values, photometric=black, zipped=zipped)
    assert (read_picture(path) == RAMP[:, :, None]).all()
