"""Fingerprints of scenes: kept on disk, equal to those drawn, and of the settings."""

import shutil

import pytest

from p2s.data import glyphs
from p2s.files import file_sha256
from p2s.spec import Glyphs
from p2s.study import runs
from p2s.study.project import PACKAGE, Project

SMALL = Glyphs(train=2, val=1, size=48, classes=3)
TAIL = SMALL.model_copy(update={"classes": 12, "train": 12, "val": 16, "imbalance": "lvis"})


def project(folder):
    return Project(folder, folder / "cache")


def drawn(data):
    return [glyphs.fingerprint(data, split) for split in glyphs.SPLITS]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A copy of a project whose cache knows SMALL, on a machine that cannot draw."""
    runs.fingerprints(SMALL, project(tmp_path / "first"))
    shutil.copytree(tmp_path / "first", tmp_path / "second")

    def fail(*_):
        raise RuntimeError("drawn again")

    monkeypatch.setattr(glyphs, "fingerprint", fail)
    return project(tmp_path / "second")


@pytest.mark.parametrize("data", [SMALL, TAIL, TAIL.model_copy(update={"federated": True})])
def test_kept_fingerprints_are_those_drawn(tmp_path, data):
    at_first = runs.fingerprints(data, project(tmp_path / "first"))
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    from_disk = runs.fingerprints(data, project(tmp_path / "second"))
    assert at_first == from_disk == drawn(data)


@pytest.mark.parametrize("content", [b"", b"[1]", b'["a", "b", "c"]'])
def test_what_is_kept_and_damaged_is_made_anew(tmp_path, content):
    first = runs.fingerprints(SMALL, project(tmp_path / "first"))
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    [path] = (project(tmp_path / "second").cache / "fingerprints").iterdir()
    path.write_bytes(content)
    assert runs.fingerprints(SMALL, project(tmp_path / "second")) == first
    assert path.read_bytes() != content


def test_what_is_kept_is_not_drawn_again(elsewhere):
    train, val = runs.fingerprints(SMALL, elsewhere)
    assert len({train, val}) == 2
    with pytest.raises(RuntimeError, match="drawn again"):
        runs.fingerprints(SMALL.model_copy(update={"seed": 1}), elsewhere)


def test_another_way_of_drawing_is_drawn_again(elsewhere, monkeypatch):
    monkeypatch.setattr(runs, "drawing", lambda: ["another font"])
    with pytest.raises(RuntimeError, match="drawn again"):
        runs.fingerprints(SMALL, elsewhere)


def test_the_way_of_drawing_is_every_file_of_glyphs_and_its_packages():
    *files, numpy, pillow, matplotlib = runs.drawing()
    folder = PACKAGE / "data" / "glyphs"
    source = [path for path in folder.rglob("*") if path.is_file() and "__" not in path.parent.name]
    assert sorted(files) == sorted(map(file_sha256, source)) and len(files) > 5
    assert all(version[0].isdigit() for version in (numpy, pillow, matplotlib))


@pytest.mark.parametrize(
    "change, other",
    [
        ({"seed": 1}, (True, True)),
        ({"size": 64}, (True, True)),
        ({"classes": 4}, (True, True)),
        ({"fragments": 0.75}, (True, True)),
        ({"train": 3}, (True, False)),
        ({"val": 2}, (False, True)),
    ],
)
def test_kept_fingerprints_change_with_the_settings(tmp_path, change, other):
    changed = SMALL.model_copy(update=change)
    assert changed != SMALL
    before, after = (runs.fingerprints(data, project(tmp_path)) for data in (SMALL, changed))
    assert tuple(a != b for a, b in zip(before, after, strict=True)) == other
    assert after == drawn(changed)
    assert len(list((project(tmp_path).cache / "fingerprints").iterdir())) == 2
