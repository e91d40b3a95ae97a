"""Pictures of a data set: whatever is wrong with one is told at once, by name, before any work."""

import time
from collections import defaultdict

import numpy as np
import pytest
from PIL import Image

from p2s.data.checks import pictures


def row(key, name, width=8, height=6):
    return {"id": key, "file_name": name, "width": width, "height": height}


def told(rows, folder):
    problems, doubts = defaultdict(list), defaultdict(list)
    places = pictures.locate(rows, folder, problems, doubts)
    pictures.hold(places, folder, problems, doubts)
    return [sum(lines.values(), []) for lines in (problems, doubts)]


def draw(folder, name, width=8, height=6, orientation=1):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (width, height)).save(folder / name, exif=exif)


def test_every_bad_picture_is_told_at_once(tmp_path):
    draw(tmp_path, "good.png"), draw(tmp_path, "cut.jpg", 90, 60), draw(tmp_path, "small.png", 4, 4)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:-40])
    (tmp_path / "empty.png").touch(), (tmp_path / "folder.png").mkdir()
    names = ["good.png", "cut.jpg", "small.png", "empty.png", "folder.png", "gone.png"]
    problems, doubts = told([row(k, name) for k, name in enumerate(names)], tmp_path)
    starts = [
        "image 1: cut.jpg: not a readable image: cut short: ",
        "image 2: small.png: is 4 x 4, the annotation file says 8 x 6",
        "image 3: empty.png: not a readable image: an empty file, of 0 bytes",
        "image 4: folder.png: not a readable image: a folder",
        f"image 5: file_name: gone.png: no such file in {tmp_path} (valid: a path relative to it)",
    ]
    for line, start in zip(sorted(problems), starts, strict=True):
        assert line.startswith(start)
    assert doubts == []


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_picture_that_exif_turns_is_told_with_the_tag(tmp_path, orientation):
    draw(tmp_path, "1.jpg", orientation=orientation)
    [[line], []] = told([row(1, "1.jpg")], tmp_path)
    assert line.startswith("image 1: 1.jpg: is 6 x 8, the annotation file says 8 x 6: its EXIF tag")
    assert told([row(1, "1.jpg", 6, 8)], tmp_path) == [[], []]


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_a_turn_that_no_size_tells_of_is_doubted_once(tmp_path, orientation):
    draw(tmp_path, "1.jpg", orientation=orientation), draw(tmp_path, "2.jpg", orientation=3)
    [[], [line]] = told([row(1, "1.jpg"), row(2, "2.jpg")], tmp_path)
    assert line.startswith("image 1: 1.jpg: its EXIF tag turns or mirrors the picture, as of 2")


def test_swapped_sides_are_named(tmp_path):
    draw(tmp_path, "1.png", 6, 8)
    [[line], []] = told([row(1, "1.png")], tmp_path)
    assert line.endswith("is 6 x 8, the annotation file says 8 x 6: width and height are swapped")


def test_a_name_not_as_on_the_disk_is_told_and_read(tmp_path):
    (tmp_path / "day 1").mkdir(), draw(tmp_path / "day 1", "1.png")
    [[], [line]] = told([row(1, "day%201\\1.png")], tmp_path)
    told_name = "day%201\\1.png is read as day 1/1.png"
    assert line == f"images: file_name: 1 not as on the disk: {told_name}"


@pytest.mark.parametrize("order", [1, -1])
def test_two_names_for_one_file_are_refused(tmp_path, order):
    draw(tmp_path, "a.png")
    [[line], _] = told([row(1, "A.png"), row(2, "a.png")][::order], tmp_path)
    assert line == "image 1: file_name: A.png: a.png is a.png's too (valid: a path of its own)"


@pytest.mark.parametrize("again", ["b.png", "./b.png"])
def test_a_file_that_several_images_have_is_doubted(tmp_path, again):
    draw(tmp_path, "a.png"), draw(tmp_path, "b.png")
    rows = [row(k, name) for k, name in enumerate(("a.png", "b.png", again))]
    [[], [line]] = told(rows, tmp_path)
    assert line.startswith("images: file_name: 1 of more than one image, b.png of 1, 2 (valid: ")


def test_where_a_missing_picture_is_stands_in_its_line(tmp_path):
    (tmp_path / "train").mkdir(), draw(tmp_path / "train", "1.png")
    [[line], []] = told([row(1, "1.png")], tmp_path)
    assert line.endswith("(valid: a path relative to it); train/1.png is there")
    [[line], []] = told([row(1, "/old/place/train/1.png")], tmp_path)
    assert line.endswith("(valid: a path inside it); train/1.png is there")


def test_a_thousand_photographs_take_a_second_or_so(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "0.jpg")
    content = (tmp_path / "0.jpg").read_bytes()
    rows = [row(k, f"{k}.jpg", 640, 480) for k in range(1000)]
    for one in rows:
        (tmp_path / one["file_name"]).write_bytes(content)
    begun = time.process_time()
    assert told(rows, tmp_path) == [[], []] and time.process_time() - begun < 2  # 0.15 s idle
