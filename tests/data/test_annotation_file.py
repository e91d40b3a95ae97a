"""Annotation files: UTF-8 with or without byte order mark; what may not end is refused."""

import bz2
import gzip
import json
import lzma
import os
import time

import pytest

from p2s.data import coco
from p2s.data.annotation_file import parsed
from p2s.data.health import check
from p2s.files import bytes_of

TABLES = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "é"}]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf_8_is_read_with_and_without_a_byte_order_mark(tmp_path, encoding):
    (tmp_path / "a.json").write_text(json.dumps(TABLES, ensure_ascii=False), encoding=encoding)
    assert parsed(bytes_of(tmp_path / "a.json")) == TABLES
    assert coco.read_coco(tmp_path / "a.json", tmp_path).classes == ("é",)


@pytest.mark.parametrize(
    "encoding", [f"utf-{k}{order}" for k in (16, 32) for order in ("", "-le", "-be")]
)
def test_another_encoding_is_named(tmp_path, encoding):
    (tmp_path / "a.json").write_text(json.dumps(TABLES), encoding=encoding)
    [line] = check(tmp_path / "a.json", tmp_path)
    assert line.startswith("a.json: written in UTF-16 or UTF-32 (valid: UTF-8)")


PACKERS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("name", PACKERS)
def test_a_compressed_file_is_to_be_unpacked(tmp_path, name):
    (tmp_path / "a.json").write_bytes(PACKERS[name](json.dumps(TABLES).encode()))
    [line] = check(tmp_path / "a.json", tmp_path)
    assert line == f"a.json: compressed by {name} (valid: JSON): unpack it"


@pytest.mark.parametrize("start", [bytes(100), b"\0", b"\x89PNG", b"a\0b\0", b"\0\0{\0", b""])
def test_what_is_nothing_known_is_no_json(tmp_path, start):
    (tmp_path / "a.json").write_bytes(start)
    [line] = check(tmp_path / "a.json", tmp_path)
    assert line.startswith("a.json: not valid JSON: ")


@pytest.mark.parametrize("path", ["pipe", "/dev/zero", "."])
def test_a_pipe_a_device_and_a_folder_are_refused_at_once(tmp_path, path):
    os.mkfifo(tmp_path / "pipe")
    begun = time.monotonic()
    [line] = check(tmp_path / path, tmp_path)
    assert "not a regular file" in line and time.monotonic() - begun < 1


def test_nesting_without_end_is_told(tmp_path):
    (tmp_path / "a.json").write_text("[" * 100_000)
    [line] = check(tmp_path / "a.json", tmp_path)
    assert line.startswith("a.json: not valid JSON: ")
