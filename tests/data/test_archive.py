"""Archives: all members or none outside, whenever stopped, and no file of anybody is lost."""

import os
import shutil
import zipfile

import pytest

from p2s.data import archive
from p2s.data.archive import unpack

MEMBERS = {"p/1.jpg": b"one" * 100, "p/q/2.jpg": b"two", "3.json": b"{}"}


@pytest.fixture
def packed(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("p/", "")
        for name, content in MEMBERS.items():
            file.writestr(name, content)
    return tmp_path / "a.zip"


def members(folder):
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".zip"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_a_zip_is_unpacked_where_it_lies(packed):
    unpack(packed)
    assert members(packed.parent) == MEMBERS


@pytest.mark.parametrize("copies", [0, 1, 2])
def test_stopped_at_any_member_it_goes_on_and_no_half_file_is_in_a_place(
    packed, monkeypatch, copies
):
    copy, done = shutil.copyfileobj, []

    def stopping(packed_file, file):
        if len(done) == copies:
            file.write(b"ha")
            raise KeyboardInterrupt
        done.append(file.name)
        copy(packed_file, file)

    monkeypatch.setattr(shutil, "copyfileobj", stopping)
    with pytest.raises(KeyboardInterrupt):
        unpack(packed)
    here = members(packed.parent)
    assert here.pop("a.zip.member") == b"ha"
    assert len(here) == copies and here.items() <= MEMBERS.items()
    monkeypatch.setattr(shutil, "copyfileobj", lambda a, b: done.append(b.name) or copy(a, b))
    unpack(packed)
    assert members(packed.parent) == MEMBERS and len(done) == len(MEMBERS)


@pytest.mark.parametrize(
    "name", ["../out", "/tmp/out", "p/../../out", "..\\out", "C:/out", "link/out"]
)
def test_a_member_that_leads_outside_is_refused_before_anything_is_written(tmp_path, name):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    with zipfile.ZipFile(tmp_path / "in" / "a.zip", "w") as file:
        file.writestr("first", "1")
        file.writestr(name, "2")
    with pytest.raises(ValueError, match="outside of .*/in "):
        unpack(tmp_path / "in" / "a.zip")
    assert members(tmp_path) == {}


def test_another_file_in_the_place_of_a_member_is_kept(packed):
    (packed.parent / "3.json").write_text("mine")
    with pytest.raises(ValueError, match="3.json: another file than that of the archive"):
        unpack(packed)
    assert members(packed.parent) == {"3.json": b"mine"}


def test_a_pipe_beside_it_is_not_waited_for(packed):
    os.mkfifo(packed.with_name("a.zip.member"))
    unpack(packed)
    assert members(packed.parent) == MEMBERS


def test_a_lack_of_room_is_told_before_anything_is_written(packed, monkeypatch):
    usage = shutil.disk_usage(packed)._replace(free=302)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(ValueError, match=": 305 bytes are needed, 302 are free"):
        unpack(packed)
    assert members(packed.parent) == {}


@pytest.mark.parametrize("cut", [0, 60, -30])
def test_a_damaged_zip_is_told(packed, cut):
    content = bytearray(packed.read_bytes())
    start = content.index(b"p/1.jpg") + len("p/1.jpg")
    content[start : start + 4] = b"\xff" * 4
    packed.write_bytes(content[:cut] if cut else content)
    with pytest.raises(ValueError, match="a.zip: no whole zip: .*: remove it"):
        unpack(packed)
