"""Kept: what was found comes back to the bit, while the picture and the file are as they were."""

import os

import pytest
import torch
from safetensors.torch import save

from p2s.measure.kept import Kept
from tests.support.found import instances
from tests.support.tiny import photo


@pytest.fixture
def picture(tmp_path):
    return photo(tmp_path / "a.png")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_what_is_kept_comes_back_to_the_bit(tmp_path, picture, count):
    pair, kept = instances(count), Kept(tmp_path / "kept")
    kept.keep(7, picture, pair)
    for before, after in zip(pair, kept.of(7, picture), strict=True):
        assert before.image_size == after.image_size
        assert before.get_fields().keys() == after.get_fields().keys()
        for name, value in before.get_fields().items():
            again = after.get(name)
            assert type(value) is type(again)
            value, again = (getattr(v, "tensor", v) for v in (value, again))
            assert value.dtype == again.dtype and torch.equal(value, again)


def test_another_picture_in_its_place_has_nothing_kept(tmp_path, picture):
    kept = Kept(tmp_path / "kept")
    kept.keep(0, picture, instances(1))
    assert kept.of(1, picture) is None and kept.of(0, tmp_path / "gone.png") is None
    os.utime(picture, (9, 9))
    assert kept.of(0, picture) is None and len(kept) == 1


def test_what_nobody_went_on_with_goes_when_it_is_old(tmp_path, picture):
    old, new, kept = (Kept(tmp_path / name) for name in ("old", "new", "kept"))
    for each in (old, new, kept):
        each.keep(0, picture, instances(1))
        os.utime(each.folder, (9, 9))
    os.utime(new.folder)
    kept.remove_old()
    assert [len(each) for each in (old, new, kept)] == [0, 1, 1]


def test_a_broken_file_or_a_place_that_cannot_be_written_keeps_nothing(tmp_path, picture):
    kept, nowhere = Kept(tmp_path / "kept"), Kept(picture / "kept")
    for each in (kept, nowhere):
        each.keep(0, picture, instances(2))
    assert nowhere.of(0, picture) is None and len(nowhere) == 0
    [file] = kept.folder.iterdir()
    file.write_bytes(file.read_bytes()[:40])
    assert kept.of(0, picture) is None
    kept.remove()
    assert not kept.folder.exists()


def other_content(file):
    file.write_bytes(save({"detections.scores": torch.ones(1)}))


def edited(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def moved(file):
    """What was kept of another picture."""
    Kept(file.parent).keep(9, photo(file.parents[1] / "b.png"), instances(3))
    [other] = set(file.parent.iterdir()) - {file}
    other.replace(file)


def pipe(file):
    file.unlink()
    os.mkfifo(file)


def endless(file):
    file.unlink()
    file.symlink_to("/dev/zero")


@pytest.mark.parametrize("change", [other_content, edited, moved, pipe, endless, os.unlink])
def test_what_is_not_as_it_was_kept_is_found_anew(tmp_path, picture, change):
    kept = Kept(tmp_path / "kept")
    kept.keep(0, picture, instances(2))
    [file] = kept.folder.iterdir()
    change(file)
    assert kept.of(0, picture) is None
    kept.keep(0, picture, instances(2))
    assert kept.of(0, picture) is not None
