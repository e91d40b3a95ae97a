"""Pictures: the same pixels however they are given, and a line about what has none."""

import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from p2s.deploy.pictures import Picture, each, files, is_one, readable
from tests.support.tiny import photo

GREY = np.arange(24, dtype=np.uint8).reshape(4, 6)
COLOUR = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
FIRST = torch.from_numpy(COLOUR).permute(2, 0, 1)


@pytest.mark.parametrize(
    "given, wanted",
    [
        (COLOUR, COLOUR),
        (Image.fromarray(COLOUR), COLOUR),
        (FIRST, COLOUR),
        (FIRST / 255, COLOUR),
        (FIRST.double() / 255, COLOUR),
        (GREY, np.dstack([GREY] * 3)),
        (GREY[:, :, None], np.dstack([GREY] * 3)),
        (torch.from_numpy(GREY)[None], np.dstack([GREY] * 3)),
        (torch.from_numpy(GREY), np.dstack([GREY] * 3)),
        (COLOUR[:, ::-1], COLOUR[:, ::-1]),
    ],
)
def test_every_kind_of_picture_is_rgb(given, wanted):
    assert is_one(given)
    pixels = Picture.of(given).pixels()
    assert pixels.dtype == np.uint8 and pixels.shape == (4, 6, 3) and (pixels == wanted).all()


@pytest.mark.parametrize(
    "given, told",
    [
        (COLOUR.astype(float), "array of float64"),
        (np.zeros((0, 4, 3), np.uint8), r"array of uint8, \(0, 4, 3\)"),
        (COLOUR[:, :, :2], r"array \(4, 6, 2\)"),
        (np.zeros(3, np.uint8), r"array \(3,\)"),
        (memoryview(b"GIF"), "memoryview; valid: a path"),
        (Image.new("RGB", (0, 5)), r"0 x 5 pixels \(valid: 1 x 1 or more"),
        (Image.new("I;16", (5, 0)), r"5 x 0 pixels \(valid: 1 x 1 or more"),
        (FIRST.float(), "beyond 0 to 1; valid there: 0 to 1"),
        (FIRST / 255 * np.nan, "beyond 0 to 1"),
        (7, "int; valid: a path"),
        ("no/such.jpg", "^no/such.jpg: not a readable image"),
    ],
)
def test_what_is_no_picture_is_told_in_a_line_with_its_name(given, told):
    with pytest.raises(ValueError, match=told) as error:
        Picture.of(given, 5).pixels()
    told = str(error.value)
    assert "\n" not in told and told.startswith(("picture 5: ", "no/such.jpg: "))


def test_a_folder_is_its_pictures_by_name_and_a_pattern_goes_deeper(tmp_path):
    names = ["b.PNG", "a.png", "notes.txt", "deep/c.png", "deep/deeper/d.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(COLOUR).save(tmp_path / name, "png")

    def below(paths):
        return [str(path.relative_to(tmp_path)) for path in paths]

    assert below(files([tmp_path])) == ["a.png", "b.PNG"]
    every = ["a.png", "b.PNG", "deep/c.png", "deep/deeper/d.png"]
    assert sorted(below(files([f"{tmp_path}/**/*"]))) == every
    both = [tmp_path / "b.PNG", tmp_path, f"{tmp_path}/*.png", tmp_path / "notes.txt"]
    assert below(files(both)) == ["b.PNG", "a.png", "notes.txt"]  # none twice


def test_a_file_that_is_named_in_several_ways_is_one_by_the_first(tmp_path, monkeypatch):
    photo(tmp_path / "in" / "a.png")
    monkeypatch.chdir(tmp_path)
    ways = ["in", "in/a.png", "./in//a.png", "in/../in", f"{tmp_path}/in", f"{tmp_path}/*/a.*"]
    for first in ways:
        assert files([first, *ways]) == files([first]) and len(files([first])) == 1


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path):
    path = photo(tmp_path / "a[1].png")
    assert is_one(str(path)) and files([str(path)]) == [path]


@pytest.mark.parametrize("name", ["gone.jpg", "gone", "*.jpg", "**/*.jpg", "empty"])
def test_a_path_without_pictures_is_told_with_what_is_valid(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no such file or folder|no pictures there"):
        files([tmp_path / name])


@pytest.mark.parametrize("name", ["long" * 2000, "long" * 2000 + "*", "a\0.png", "a/" * 3000])
def test_a_name_that_no_file_can_have_is_told_and_the_others_are_taken(tmp_path, name):
    good, told = photo(tmp_path / "a.png"), []
    assert files([name, good], told.append) == [good]
    assert len(told) == 1 and told[0].startswith(f"{name}: ")
    with pytest.raises(ValueError, match="no pictures there|not a readable image|too long"):
        Picture.of(name).seen() if is_one(name) else each(name)


def test_of_several_the_bad_are_told_and_the_others_come(tmp_path):
    good, junk = photo(tmp_path / "in" / "a.png"), tmp_path / "junk.png"
    junk.write_text("no image")
    (tmp_path / "empty").mkdir()
    told = []
    several = [GREY, junk, 7, tmp_path / "in", good, tmp_path / "empty", tmp_path / "*.tif", [GREY]]
    found = [seen.picture.name for seen in readable(each(several), told.append)]
    assert found == ["picture 0", str(good), str(good), "picture 0"]
    assert [line.split(": ")[0] for line in told] == [
        *(str(junk), "picture 2", str(tmp_path / "empty"), str(tmp_path / "*.tif"))
    ]


def test_an_array_of_four_dimensions_is_several():
    both = np.stack([COLOUR, COLOUR[::-1]])
    assert not is_one(both)
    assert [(p.name, p.pixels().shape) for p in each(both)][1] == ("picture 1", (4, 6, 3))


@pytest.mark.parametrize(
    "given", [7, None, b"GIF", bytearray(b"GIF"), io.BytesIO(b"GIF"), sys.stdin]
)
def test_what_is_neither_is_refused_at_once_and_told_among_several(given):
    assert not is_one(given)
    with pytest.raises(ValueError, match=f"{type(given).__name__}; valid: a path, .* or several"):
        each(given)
    told = []
    assert len([*readable(each([GREY, given, GREY]), told.append)]) == 2
    assert len(told) == 1 and told[0].startswith(
        f"picture 1: {type(given).__name__}; valid: a path"
    )
