"""Pictures: every mode becomes 8-bit RGB by its rule, or is told with file and mode."""

import math
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from p2s.data.picture import MOST, PLAIN, opened, read_any_size, read_picture, rgb
from p2s.data.pixels.depth import DEEP
from p2s.spec import memory
from tests.data.pixels.raw_files import chunk

RAMP = np.tile(np.arange(256, dtype=np.uint8), (3, 1))  # what each ramp must come out as


def written(path, values, **options):
    Image.fromarray(values).save(path, **options)
    return path


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_ramp_of_any_depth_is_the_ramp_of_8_bits(tmp_path, bits, suffix):
    values = (RAMP.astype(np.float64) * (2**bits - 1) / 255).round().astype(np.uint16)
    read = read_picture(written(tmp_path / f"deep.{suffix}", values))
    assert read.shape == (3, 256, 3) and (read == RAMP[:, :, None]).all()


@pytest.mark.parametrize("most", [1, 255, 4095, 65535])
def test_a_ramp_of_floats_is_the_ramp_of_8_bits(tmp_path, most):
    values = (RAMP.astype(np.float64) * most / 255).astype(np.float32)
    assert (read_picture(written(tmp_path / "f.tif", values)) == RAMP[:, :, None]).all()


def test_a_ramp_of_whole_numbers_of_32_bits_is_the_ramp_of_8_bits(tmp_path):
    values = RAMP.astype(np.int32) * 257
    assert (read_picture(written(tmp_path / "i.tif", values)) == RAMP[:, :, None]).all()


@pytest.mark.parametrize("order", ["I;16", "I;16B"])
def test_the_order_of_two_bytes_does_not_matter(order):
    values = (RAMP.astype(np.uint16) * 257).astype(">u2" if order == "I;16B" else "<u2")
    picture = Image.frombytes(order, (256, 3), values.tobytes())
    assert (rgb(picture) == RAMP[:, :, None]).all()


@pytest.mark.parametrize("values", [[-1, 5], [0, 70_000], [0, np.nan], [0, np.inf]])
def test_floats_that_no_range_holds_are_told_with_file_and_mode(tmp_path, values):
    path = written(tmp_path / "f.tif", np.array([values], np.float32))
    with pytest.raises(ValueError, match=r"f.tif: .* mode F with values from .* \(valid: 0 to 655"):
        read_picture(path)


def test_a_mode_without_a_rule_is_told_with_file_and_mode(tmp_path):
    Image.new("LAB", (4, 4)).save(tmp_path / "lab.tif")
    with pytest.raises(ValueError, match=r"lab.tif: .*mode LAB \(valid: .*RGB"):
        read_picture(tmp_path / "lab.tif")


@pytest.mark.parametrize("mode", [*PLAIN, *DEEP])
def test_black_is_black_in_every_mode_that_has_a_rule(mode):
    black = Image.new("RGB", (5, 4))
    whole = {"CMYK": (0, 0, 0, 255), "YCbCr": (0, 128, 128)}.get(mode, 0)
    picture = black.convert("P") if mode == "P" else Image.new(mode, (5, 4), whole)
    read = rgb(picture)
    assert read.shape == (4, 5, 3) and read.dtype == np.uint8 and read.max() == 0


def test_alpha_is_left_out_and_undone_where_colours_are_multiplied_by_it():
    half = Image.new("RGBA", (2, 2), (200, 100, 50, 128))
    assert rgb(half)[0, 0].tolist() == [200, 100, 50]
    assert rgb(half.convert("RGBa"))[0, 0] == pytest.approx([200, 100, 50], abs=2)
    grey = Image.new("LA", (2, 2), (180, 128))
    assert rgb(grey)[0, 0].tolist() == [180] * 3
    assert rgb(grey.convert("La"))[0, 0] == pytest.approx([180] * 3, abs=2)


def test_a_palette_is_looked_up():
    picture = Image.new("P", (2, 1))
    picture.putpalette([9, 8, 7, 200, 100, 50])
    picture.putdata([1, 0])
    assert rgb(picture)[0].tolist() == [[200, 100, 50], [9, 8, 7]]


def turned(stored, orientation):
    """Pixels as EXIF's orientation has them seen."""
    aside = stored.swapaxes(0, 1)
    return {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1], 5: aside,
        6: np.rot90(stored, -1), 7: aside[::-1, ::-1], 8: np.rot90(stored),
    }[orientation]  # fmt: skip


def of_mode(mode):
    """A picture of 48 x 32 pixels without symmetry."""
    ramp = np.linspace(0, 255, 48 * 32).reshape(32, 48)
    if mode in ("I;16", "I;16B"):
        order = ">u2" if mode == "I;16B" else "<u2"
        return Image.frombytes(mode, (48, 32), (256 * ramp).astype(order).tobytes())
    return Image.fromarray(ramp.astype(np.uint8)).convert(mode)


TIFF = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "I;16", "I;16B", "F"]
TURNED = [  # mode, suffix, options; of JPEG blocks are turned as stored
    *((mode, "tif", {"compression": way}) for mode in TIFF for way in (None, "tiff_lzw")),
    *((mode, "tif", {"compression": "tiff_adobe_deflate"}) for mode in TIFF),
    *((mode, "png", {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    *((mode, "webp", {"lossless": True}) for mode in ("RGB", "RGBA")),
    *((mode, "jpg", {}) for mode in ("L", "RGB", "CMYK")),
]


@pytest.mark.parametrize(("mode", "suffix", "options"), TURNED)
def test_a_turned_file_is_the_upright_one_turned(tmp_path, mode, suffix, options):
    upright = tmp_path / f"upright.{suffix}"
    of_mode(mode).save(upright, **options)
    stored, path = read_picture(upright), tmp_path / f"turned.{suffix}"
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        of_mode(mode).save(path, exif=exif, **options)
        seen = turned(stored, orientation)
        assert (read_picture(path) == seen).all()
        with Image.open(path) as file:
            assert (rgb(file) == seen).all()
        half, size = read_any_size(path, 48 * 32 // 4)
        assert size == seen.shape[:2]
        assert abs(half - seen.reshape(size[0] // 2, 2, -1, 2, 3).mean((1, 3))).max() <= 3


@pytest.mark.parametrize("mode", [*TIFF, "YCbCr", "HSV"])
@pytest.mark.parametrize("block", [1, 3])
def test_strips_are_the_picture(monkeypatch, mode, block):
    whole = rgb(of_mode(mode), block)
    monkeypatch.setattr("p2s.data.pixels.depth.STRIP", 7 * 48)
    assert whole.shape == (-(-32 // block), 48 // block, 3)
    assert (rgb(of_mode(mode), block) == whole).all()


def test_no_format_that_starts_another_program_is_read(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "ghost.eps")
    os.rename(tmp_path / "ghost.eps", tmp_path / "ghost.png")
    with pytest.raises(ValueError, match="ghost.png: .* no known format"):
        read_picture(tmp_path / "ghost.png")


def of_size(path, width, height):
    """A PNG whose header says so and that has no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


def test_too_many_pixels_are_told_with_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="huge.png: .* more than .* pixels: shrink it, or cut it"):
        read_picture(of_size(tmp_path / "huge.png", 20_000, 20_000))


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("kind", ["RGB.png", "L.png", "P.gif", "RGB.jpg", "I;16.png", "RGB.tif"])
def test_a_large_picture_is_read_at_half_its_size_or_a_quarter(tmp_path, kind, orientation):
    mode, path = kind.split(".")[0], tmp_path / kind
    ramp = np.linspace(0, 255, 96 * 64).reshape(64, 96)
    deep = mode == "I;16"
    picture = Image.fromarray((256 * ramp).astype(np.uint16) if deep else ramp.astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    (picture if deep else picture.convert(mode)).save(path, exif=exif)
    whole = read_picture(path)
    for most, times in ((96 * 64, 1), (96 * 64 - 1, 2), (96 * 64 // 4, 2), (400, 4)):
        read, size = read_any_size(path, most)
        assert size == whole.shape[:2]
        assert read.shape == (size[0] // times, size[1] // times, 3)
        blocks = whole.reshape(size[0] // times, times, size[1] // times, times, 3)
        assert abs(read - blocks.mean((1, 3))).max() < 3
    assert (read_any_size(path)[0] == whole).all()


def test_a_picture_beyond_the_bound_is_read_where_there_is_memory(tmp_path, monkeypatch):
    path = written(tmp_path / "1.png", np.zeros((30, 40, 3), np.uint8))
    with pytest.raises(ValueError, match="shrink it, or cut it"):
        opened(path, 1199)
    read, size = read_any_size(path, most=300)
    assert (read.shape, size) == ((15, 20, 3), (30, 40))
    monkeypatch.setattr(memory, "_here", lambda: 8 * 30 * 40 - 1)
    with pytest.raises(ValueError, match="1.png: .*: 40 x 30 pixels: needs .* GB of memory"):
        read_any_size(path, most=300)


def test_pillows_own_bound_stays_for_others_whichever_threads_read(tmp_path):
    path = written(tmp_path / "1.png", np.zeros((30, 40, 3), np.uint8))
    with ThreadPoolExecutor(8) as pool:
        assert len({*pool.map(lambda _: read_any_size(path)[1], range(64))}) == 1
    assert abs(Image.MAX_IMAGE_PIXELS * 2 - MOST) <= 1


def test_a_compressed_tiff_beyond_pillows_bound_is_read_too(tmp_path, monkeypatch):
    of_mode("RGB").save(tmp_path / "1.tif", compression="tiff_lzw")
    monkeypatch.setattr("p2s.data.picture.MOST", 1000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    assert read_any_size(tmp_path / "1.tif", most=1000)[0].shape == (16, 24, 3)
    assert Image.MAX_IMAGE_PIXELS == 500


def test_no_bound_reads_a_picture_whole(tmp_path):
    path = written(tmp_path / "1.png", np.zeros((30, 40, 3), np.uint8))
    assert read_any_size(path, math.inf)[0].shape == (30, 40, 3)


def test_a_pipe_a_folder_and_an_empty_file_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "empty.png").touch()
    told = {"pipe": "not a regular file", "folder": "a folder", "empty": "an empty file"}
    for name, words in told.items():
        with pytest.raises(ValueError, match=f"{name}.png: not a readable image: {words}"):
            read_picture(tmp_path / f"{name}.png")
