"""Headers: what they tell is what reading the whole picture finds."""

import zlib
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from p2s.data.checks.header import header, headers
from p2s.data.picture import read_any_size, read_picture
from tests.data.pixels.raw_files import chunk

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
HALF = b"MM\0*\0\0\0\x08\0\x09"  # a block of EXIF that has 9 tags, and ends before them
SUFFIXES = ["jpg", "png", "gif", "bmp", "tif", "webp", "ppm", "jp2", "tga"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_whole_picture_has_no_problem_and_its_size(tmp_path, suffix):
    Image.fromarray(NOISE).save(tmp_path / f"a.{suffix}")
    assert header(tmp_path / f"a.{suffix}") == ((60, 40), 1, "")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_header_has_a_problem_exactly_where_reading_has_one(tmp_path, suffix, share):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(NOISE).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError) as told:
        read_picture(path)
    assert header(path).problem and str(told.value).startswith(f"{path}: not a readable image: ")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.97, 0.98, 0.99, 0.999])
@pytest.mark.parametrize("compression", ["jpeg", "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Possibly corrupt EXIF", "ignore:Trunc")
def test_so_it_has_where_a_tiff_is_compressed(tmp_path, compression, share):
    path = tmp_path / "a.tif"
    Image.fromarray(NOISE).resize((200, 150)).save(path, compression=compression)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    told = nullcontext()
    if header(path).problem:
        told = pytest.raises(ValueError, match="a.tif: not a readable image: ")
    with told:
        assert read_picture(path).shape == (150, 200, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif"])
@pytest.mark.parametrize("more", [b"\0" * 9, b"a film behind the picture" * 99])
def test_what_some_programs_add_behind_a_picture_does_not_matter(tmp_path, suffix, more):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(NOISE).save(path)
    path.write_bytes(path.read_bytes() + more)
    assert header(path).problem == "" and read_picture(path).shape == NOISE.shape


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_turned_picture(tmp_path, suffix, orientation):
    exif, path = Image.Exif(), tmp_path / f"a.{suffix}"
    exif[0x0112] = orientation
    Image.fromarray(NOISE).save(path, exif=exif)
    told = header(path)
    assert told.orientation == orientation and told.sides == (60, 40)
    assert told.size == read_picture(path).shape[1::-1]


@pytest.mark.parametrize("most", [0, 1.5, 300])
def test_values_of_no_known_range_are_told_as_by_reading(tmp_path, most):
    path = tmp_path / "f.tif"
    Image.fromarray(np.full((4, 6), most, np.float32)).save(path)
    told = pytest.raises(ValueError, match="mode F") if most == 1.5 else nullcontext()
    with told:
        read_picture(path)
    assert bool(header(path).problem) == (most == 1.5)


def test_many_are_told_in_their_order_and_nothing_is_raised(tmp_path):
    paths = [tmp_path / f"{k}.png" for k in range(30)]
    for k in range(0, 30, 3):
        Image.new("L", (k + 1, 2)).save(paths[k])
    told = headers(paths)
    assert [one.sides for one in told[::3]] == [(k + 1, 2) for k in range(0, 30, 3)]
    assert all("No such file" in one.problem for k, one in enumerate(told) if k % 3)


def turning(how):
    """A chunk of a PNG that says orientation 6."""
    exif = Image.Exif()
    exif[0x0112] = 6
    told = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    xmp = b'<rdf:Description tiff:Orientation="6"/>'
    return {
        "eXIf": chunk(b"eXIf", told[6:]),
        "XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp),
        "raw": chunk(
            b"tEXt", b"Raw profile type exif\0\nexif\n%8d\n" % len(told) + told.hex().encode()
        ),
        "zipped": chunk(
            b"zTXt",
            b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n0\n" + told.hex().encode()),
        ),
    }[how]


@pytest.mark.parametrize("how", ["eXIf", "XMP", "raw", "zipped"])
@pytest.mark.parametrize("is_behind", [False, True])
@pytest.mark.parametrize("frames", [1, 2])
def test_a_png_may_say_anywhere_how_it_is_turned(tmp_path, how, is_behind, frames):
    path = tmp_path / "a.png"
    more = [Image.fromarray(NOISE[::-1])] * (frames - 1)
    Image.fromarray(NOISE).save(path, save_all=True, append_images=more)
    whole = path.read_bytes()
    cut = len(whole) - 12 if is_behind else 33  # before IEND, or behind IHDR
    path.write_bytes(whole[:cut] + turning(how) + whole[cut:])
    assert header(path) == ((60, 40), 6, "")
    assert (read_picture(path) == np.rot90(NOISE, -1)).all()
    assert read_any_size(path, 600)[1] == (60, 40)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("block", [b"junk", b"Exif\0\0junk", b"II*\0", b"II*\0\xff", HALF])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_block_that_is_no_exif_turns_nothing(tmp_path, suffix, block):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(NOISE).save(path)
    plain = read_picture(path)
    Image.fromarray(NOISE).save(path, exif=block)
    assert header(path) == ((60, 40), 1, "")
    assert (read_picture(path) == plain).all()


@pytest.mark.parametrize("how", ["zTXt", "iTXt"])
@pytest.mark.parametrize("is_behind", [False, True])
def test_a_png_may_have_long_texts(tmp_path, how, is_behind):
    words = b'<rdf:Description tiff:Orientation="6"/>' + bytes(PngImagePlugin.MAX_TEXT_CHUNK)
    start = b"a\0\0" if how == "zTXt" else b"XML:com.adobe.xmp\0\1\0\0\0"
    path, most = tmp_path / "a.png", PngImagePlugin.MAX_TEXT_CHUNK
    Image.fromarray(NOISE).save(path)
    whole, cut = path.read_bytes(), -12 if is_behind else 33  # before IEND, or behind IHDR
    text = chunk(how.encode(), start + zlib.compress(words))
    path.write_bytes(whole[:cut] + text + whole[cut:])
    assert header(path) == ((60, 40), 6 if how == "iTXt" else 1, "")
    assert (read_picture(path) == (np.rot90(NOISE, -1) if how == "iTXt" else NOISE)).all()
    assert most == PngImagePlugin.MAX_TEXT_CHUNK


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_tiff_may_say_in_xmp_how_it_is_turned(tmp_path, compression):
    xmp = b'<rdf:Description tiff:Orientation="6"/>'
    Image.fromarray(NOISE).save(tmp_path / "a.tif", tiffinfo={700: xmp}, compression=compression)
    assert header(tmp_path / "a.tif") == ((60, 40), 6, "")
    assert (read_picture(tmp_path / "a.tif") == np.rot90(NOISE, -1)).all()


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.999])
def test_a_png_that_is_cut_and_filled_with_zeros_is_told_as_cut(tmp_path, share):
    path = tmp_path / "a.png"
    smooth = Image.fromarray(NOISE).resize((200, 150))
    smooth.save(path)
    whole = path.read_bytes()
    kept = int(share * len(whole))
    path.write_bytes(whole[:kept] + bytes(len(whole) - kept))
    problem = "not a readable image: cut short: image file is truncated: "
    assert header(path).problem.startswith(problem)
    with pytest.raises(ValueError, match=f"a.png: {problem}"):
        read_picture(path)
