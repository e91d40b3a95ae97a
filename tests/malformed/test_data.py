"""Annotation files and pictures: file, id and field, before any work and in bounded memory."""

import io
import json
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from p2s.data.health import check
from p2s.data.picture import read_picture
from tests.support.malformed import GONE, nested, put, require_line, require_told, rows

NAN, INF = float("nan"), float("inf")
SOUND = {
    "images": [
        {"id": 1, "file_name": "1.png", "width": 40, "height": 30},
        {"id": 2, "file_name": "2.png", "width": 40, "height": 30},
    ],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [2, 3, 20, 10]}],
    "categories": [{"id": 7, "name": "cat"}],
}
IMAGE, BOX, CLASS = "images.0", "annotations.0", "categories.0"
TABLES = [  # place, value, the expected part of the line
    ("", [], "top level: list .valid: an object with images, annotations, categories"),
    ("", "images", "top level: str"),
    ("", None, "top level: NoneType"),
    ("", nested(300), "not valid JSON: recursion limit"),
    ("images", GONE, "images: missing .valid: a list"),
    ("images", {}, "images: not a list of objects"),
    ("images", [], "images: none at all"),
    ("images.0", 5, "images: not a list of objects"),
    ("annotations", GONE, "annotations: missing"),
    ("annotations", None, "annotations: not a list of objects"),
    ("annotations", [], "annotations: none at all"),
    ("annotations", [[1]], "annotations: not a list of objects"),
    ("categories", GONE, "categories: missing"),
    ("categories", ["cat"], "categories: not a list of objects"),
    ("categories", [], "categories: none at all"),
    (f"{IMAGE}.id", GONE, "image number 0: id: missing .valid: a whole number"),
    (f"{IMAGE}.id", "1", "image number 0: id: '1', a text"),
    (f"{IMAGE}.id", True, "image number 0: id: True"),
    (f"{IMAGE}.id", None, "image number 0: id: None"),
    (f"{IMAGE}.id", 1.5, "image number 0: id: 1.5"),
    (f"{IMAGE}.id", [1], "image number 0: id: .1."),
    (f"{IMAGE}.id", 2, "image 2: id: used twice"),
    (f"{IMAGE}.file_name", GONE, "image 1: file_name: missing .valid: a path"),
    (f"{IMAGE}.file_name", "", "image 1: file_name: ''"),
    (f"{IMAGE}.file_name", 5, "image 1: file_name: 5"),
    (f"{IMAGE}.file_name", "9.png", "image 1: file_name: 9.png: no such file"),
    (f"{IMAGE}.file_name", "x" * 5000, "image 1: file_name: xxx"),
    (f"{IMAGE}.file_name", "a\nb.png", "image 1: file_name: a b.png: no such file"),
    (f"{IMAGE}.file_name", "../1.png", "image 1: file_name: ../1.png: outside of"),
    (f"{IMAGE}.file_name", "/etc/passwd", "image 1: file_name: /etc/passwd: outside of"),
    (f"{IMAGE}.file_name", "..\\1.png", "outside of"),
    (f"{IMAGE}.file_name", "C:/1.png", "outside of"),
    (f"{IMAGE}.file_name", "1.png\0", "outside of"),
    (f"{IMAGE}.file_name", "link.png", "outside of"),
    (f"{IMAGE}.file_name", "pipe.png", "image 1: pipe.png: .*not a regular file"),
    (f"{IMAGE}.file_name", "folder", "image 1: folder: .*a folder"),
    (f"{IMAGE}.width", GONE, "image 1: width: missing .valid: pixels, 1 or more"),
    (f"{IMAGE}.width", 0, "image 1: width: 0"),
    (f"{IMAGE}.width", -40, "image 1: width: -40"),
    (f"{IMAGE}.width", "40", "image 1: width: '40', a text"),
    (f"{IMAGE}.width", True, "image 1: width: True"),
    (f"{IMAGE}.width", 40.5, "image 1: width: 40.5"),
    (f"{IMAGE}.height", NAN, "image 1: height: nan"),
    (f"{IMAGE}.height", INF, "image 1: height: inf"),
    (f"{IMAGE}.height", 10**400, "image 1: height: 1000"),
    (f"{IMAGE}.width", 41, "image 1: 1.png: is 40 x 30, the annotation file says 41 x 30"),
    (f"{BOX}.id", "a", "annotation number 0: id: 'a'"),
    (f"{BOX}.id", False, "annotation number 0: id: False"),
    (f"{BOX}.image_id", GONE, "annotation 1: image_id: missing .valid: an id among the images"),
    (f"{BOX}.image_id", 9, "annotation 1: image_id: 9"),
    (f"{BOX}.image_id", "1", "annotation 1: image_id: '1', a text"),
    (f"{BOX}.image_id", True, "annotation 1: image_id: True"),
    (f"{BOX}.image_id", [1], "annotation 1: image_id: .1."),
    (f"{BOX}.category_id", GONE, "annotation 1: category_id: missing .valid: 7"),
    (f"{BOX}.category_id", 0, "annotation 1: category_id: 0"),
    (f"{BOX}.category_id", "cat", "annotation 1: category_id: 'cat'"),
    (f"{BOX}.category_id", {}, "annotation 1: category_id: .."),
    (f"{BOX}.bbox", GONE, "annotation 1: bbox: missing: not four numbers"),
    (f"{BOX}.bbox", [], "bbox: ..: not four numbers"),
    (f"{BOX}.bbox", [1, 2, 3], "bbox: .1, 2, 3.: not four numbers"),
    (f"{BOX}.bbox", "1 2 3 4", "not four numbers"),
    (f"{BOX}.bbox", {"x": 1}, "not four numbers"),
    (f"{BOX}.bbox", ["1", "2", "3", "4"], "not four numbers"),
    (f"{BOX}.bbox", [True, True, True, True], "not four numbers"),
    (f"{BOX}.bbox", [1, 2, True, 4], "not four numbers"),
    (f"{BOX}.bbox", [1, 2, None, 4], "not four numbers"),
    (f"{BOX}.bbox", [[1], 2, 3, 4], "not four numbers"),
    (f"{BOX}.bbox", [NAN, 2, 3, 4], "not finite"),
    (f"{BOX}.bbox", [1, 2, INF, 4], "not finite"),
    (f"{BOX}.bbox", [1, 2, 0, 4], "zero width or height"),
    (BOX, {"id": [], "image_id": 1, "category_id": 7, "bbox": [1, 2, 0, 4]}, "annotation ..: bbox"),
    (f"{BOX}.bbox", [10**400, 2, 3, 4], "not finite"),
    (f"{BOX}.area", 10**400, "annotation 1: area: 1000"),
    (f"{BOX}.bbox", [1, 2, 3, -4], "negative width or height"),
    (f"{BOX}.bbox", [30, 2, 20, 4], "10 pixels outside the image .valid: within 40 x 30"),
    (f"{BOX}.bbox", [-9, 2, 20, 4], "9 pixels outside"),
    (f"{BOX}.bbox", [1, 2, 1e300, 4], "1e.300 pixels outside"),
    (f"{BOX}.area", "big", "annotation 1: area: 'big'"),
    (f"{BOX}.area", -1, "annotation 1: area: -1"),
    (f"{BOX}.area", NAN, "annotation 1: area: nan"),
    (f"{BOX}.area", True, "annotation 1: area: True"),
    (f"{BOX}.iscrowd", 2, "annotation 1: iscrowd: 2 .valid: 0, 1"),
    (f"{BOX}.iscrowd", "0", "annotation 1: iscrowd: '0'"),
    (f"{BOX}.iscrowd", [0], "annotation 1: iscrowd: .0."),
    (f"{BOX}.iscrowd", 1, "annotations: every one is a crowd"),
    (f"{CLASS}.id", GONE, "category number 0: id: missing"),
    (f"{CLASS}.id", "7", "category number 0: id: '7', a text"),
    (f"{CLASS}.id", True, "category number 0: id: True"),
    (f"{CLASS}.name", 5, "category 7: name: 5 .valid: a text"),
    (f"{CLASS}.name", None, "category 7: name: None"),
    (f"{CLASS}.name", ["cat"], "category 7: name: .'cat'."),
]
TEXTS = [  # the bytes of an annotation file, the expected part of the line
    (b"", "not valid JSON: EOF|not valid JSON"),
    (b"{", "not valid JSON"),
    (b"junk", "not valid JSON"),
    (bytes(100), "not valid JSON"),
    (b"[" * 10**6, "not valid JSON"),
    (b'{"a":' * 10**5, "not valid JSON"),
    (json.dumps(SOUND).encode()[:-20], "not valid JSON"),
    (json.dumps(SOUND).encode() + b"}", "not valid JSON"),
    (json.dumps(SOUND).encode("utf-16"), "written in UTF-16 or UTF-32"),
    (json.dumps(SOUND).encode("utf-32-le"), "written in UTF-16 or UTF-32"),
    (json.dumps(SOUND).replace("cat", "é").encode("latin-1"), "not valid JSON|top level"),
    (b"\x89PNG\r\n\x1a\n", "not valid JSON"),
    (b"\x1f\x8b\x08" + bytes(9), "compressed by gzip"),
    (b"PK\x03\x04" + bytes(9), "compressed by zip"),
    (b'{"images": [{"id": ' + b"9" * 5000 + b"}]}", "not valid JSON|annotations: missing"),
    (b"images,annotations\n1,2\n", "not valid JSON"),
    (b"<xml/>", "not valid JSON"),
]


def encoded(kind, **options):
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(
        0, 255, (30, 40), np.uint8
    )  # the names of tests have it
    Image.fromarray(noise).save(stream, kind, **options)
    return stream.getvalue()


def png(width, height, depth=8, colour=2, data=b""):
    """A PNG whose header says anything."""

    def chunk(name, content):
        checked = name + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


PICTURES = [  # the bytes of a picture, the expected part of the line
    (b"", "an empty file, of 0 bytes"),
    (b"hello", "its beginning is of no known format"),
    (bytes(1000), "its beginning is of no known format|not a readable image"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "its beginning is of no known format"),
    (b"%PDF-1.4", "its beginning is of no known format"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no known format"),
    (b"GIF89a", "not a readable image"),
    (b"\xff\xd8\xff\xe0" + bytes(20), "not a readable image"),
    (b"II*\0" + bytes(20), "not a readable image"),
    (b"RIFF\x10\0\0\0WEBPVP8 ", "not a readable image"),
    (b"P6\n", "not a readable image"),
    (b"P6\n40 30\n255\n" + bytes(9), "not a readable image"),
    (b"P6\n99999999 99999999\n255\n", "not a readable image"),
    (b"P6\n-4 4\n255\n" + bytes(99), "not a readable image"),
    (b"BM" + bytes(60), "not a readable image"),
    (png(40, 30), "not a readable image"),
    (png(0, 30), "not a readable image"),
    (png(10**5, 10**5), "more than 178956970 pixels: shrink it"),
    (png(2**31 - 1, 2**31 - 1), "more than 178956970 pixels: shrink it"),
    (png(40, 30, depth=3), "not a readable image"),
    (png(40, 30, colour=5), "not a readable image"),
    (encoded("PNG")[:300], "not a readable image"),
    (encoded("PNG")[:40], "not a readable image"),
    (encoded("JPEG")[:200], "not a readable image"),
    (encoded("JPEG")[:-100], "cut short"),
    (encoded("TIFF")[:400], "not a readable image"),
    (encoded("GIF")[:100], "not a readable image"),
    (encoded("BMP")[:200], "cut short"),
    (encoded("PNG").replace(b"IDAT", b"IDAX"), "not a readable image"),
]


@pytest.fixture
def folder(tmp_path):
    """The pictures of SOUND, and beside them what is no picture of theirs."""
    for name in ("1.png", "2.png"):
        Image.new("RGB", (40, 30)).save(tmp_path / name)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.png").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "pipe.png")
    return tmp_path


@pytest.mark.parametrize(("place", "value", "told"), rows(TABLES))
def test_tables_are_told_by_id_and_field(folder, place, value, told):
    (folder / "a.json").write_text(json.dumps(put(SOUND, place, value)))
    lines = check(folder / "a.json", folder)
    require_line("; ".join(lines)[:900], told)
    for line in lines:
        require_line(line)
    assert all(line.startswith("a.json: ") for line in lines)


@pytest.mark.parametrize(("content", "told"), rows(TEXTS))
def test_what_is_no_json_of_ours_is_told(folder, content, told):
    (folder / "a.json").write_bytes(content)
    lines = check(folder / "a.json", folder)
    require_line("; ".join(lines), "a.json: ", told)


@pytest.mark.parametrize(("content", "told"), rows(PICTURES))
def test_a_picture_is_told_by_reading_and_by_the_check(folder, content, told):
    (folder / "1.png").write_bytes(content)
    require_told(lambda: read_picture(folder / "1.png"), "1.png: not a readable image: ", told)
    (folder / "a.json").write_text(json.dumps(SOUND))
    for line in check(folder / "a.json", folder):  # one shows only while decoding
        require_line(line, "a.json: image 1: 1.png: ")


def test_a_file_of_many_gigabytes_is_not_read(folder):
    with (folder / "a.json").open("wb") as file:
        file.write(b"{" + b" " * 9)
        file.truncate(2**40)
    [line] = check(folder / "a.json", folder)
    require_line(line, "a.json: 1099511627776 bytes .valid: up to 8589934592")


def test_the_sound_ones_are_read(folder):
    (folder / "a.json").write_text(json.dumps(SOUND))
    assert check(folder / "a.json", folder) == []
