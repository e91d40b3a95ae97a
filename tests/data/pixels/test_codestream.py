"""Codestream: a JPEG 2000 is read as it is, or told why not, and not decoded for its header."""

import struct

import numpy as np
import pytest
from PIL import Image, ImageFile

from p2s.data.checks.header import header
from p2s.data.picture import read_picture

RAMP = np.tile(np.linspace(0, 255, 64).round().astype(np.uint8), (48, 1))
MODES = ["LA", "RGB", "RGBA"]


def deeper(path, bits):
    """A JPEG 2000 of 8 bits, told to be of more; its pixels are not those any more."""
    whole = path.read_bytes()
    sizes = whole.index(b"\xff\x4f\xff\x51") + 42
    for k in range(whole[sizes - 1]):
        whole = whole[: sizes + 3 * k] + bytes([bits - 1]) + whole[sizes + 3 * k + 1 :]
    path.write_bytes(whole)
    return path


@pytest.mark.parametrize("bits", [9, 10, 12, 16])
@pytest.mark.parametrize("name", ["L.jp2", *(f"{m}.{s}" for m in MODES for s in ("jp2", "j2k"))])
def test_channels_of_more_than_8_bits_are_refused(tmp_path, bits, name):
    path, mode = tmp_path / name, name.split(".")[0]
    Image.fromarray(RAMP).convert(mode).save(path)
    assert not header(path).problem
    line = f"not a readable image: mode {mode} with {bits} bits a channel in a JPEG 2000 "
    assert header(deeper(path, bits)).problem.startswith(line)
    with pytest.raises(ValueError, match=f"{path}: {line}"):
        read_picture(path)


@pytest.mark.parametrize("white", [4095, 65535])
def test_grey_of_more_is_read(tmp_path, white):
    values = (RAMP * (white / 255)).round().astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.jp2", irreversible=False)
    assert abs(read_picture(tmp_path / "a.jp2")[:, :, 0].astype(int) - RAMP).max() <= 1


def boxed(path, long, ahead):
    """The file with other boxes ahead of its codestream's, and the length of that stated so."""
    whole = path.read_bytes()
    begin = whole.index(b"jp2c") - 4
    stream = whole[begin + 8 :]
    extra = struct.pack(">I4s", 8 + 30, b"uuid") + bytes(30) if ahead else b""
    lengths = {
        "short": struct.pack(">I4s", 8 + len(stream), b"jp2c"),
        "long": struct.pack(">I4sQ", 1, b"jp2c", 16 + len(stream)),
        "last": struct.pack(">I4s", 0, b"jp2c"),
    }
    path.write_bytes(whole[:begin] + extra + lengths[long] + stream)


@pytest.mark.parametrize("long", ["short", "long", "last"])
@pytest.mark.parametrize("ahead", [False, True])
def test_a_codestream_is_found_in_its_box(tmp_path, long, ahead):
    path = tmp_path / "a.jp2"
    Image.fromarray(RAMP).convert("RGB").save(path)
    boxed(path, long, ahead)
    assert header(path) == ((64, 48), 1, "")
    assert (read_picture(path)[:, :, 0] == RAMP).all()
    assert "mode RGB with 12 bits" in header(deeper(path, 12)).problem


@pytest.mark.parametrize("long", ["short", "long", "last", None])
def test_a_header_is_told_without_decoding_what_is_whole(tmp_path, monkeypatch, long):
    path = tmp_path / ("a.jp2" if long else "a.j2k")
    Image.fromarray(RAMP).convert("RGB").save(path)
    if long:
        boxed(path, long, ahead=True)
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    assert header(path) == ((64, 48), 1, "")
    path.write_bytes(path.read_bytes()[:-40] + bytes(40))  # as a download that broke off
    assert "not callable" in header(path).problem
