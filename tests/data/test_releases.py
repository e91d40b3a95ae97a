"""Published data sets: a file that is not what its authors describe is refused."""

from hashlib import sha256

import pytest
from pydantic import ValidationError

from p2s.data import coco, lvis, releases
from p2s.data.releases import Release
from p2s.spec import Coco
from tests.support.tiny_lvis import draw, named, sound, written


@pytest.fixture
def folder(tmp_path):
    draw(tmp_path)
    return tmp_path


def release(**changes):
    return Release(**{"source": "here", "classes": 3, "images": 3, "boxes": 5} | changes)


def test_a_data_set_as_published_has_no_differences(folder):
    data = lvis.read_lvis(written(folder, sound()), folder)
    for same in (release(), release(boxes=None), release(boxes=4, within=1)):
        assert releases.differences(data, same) == []


def test_every_other_count_and_a_missing_picture_are_told(folder):
    (folder / "val2017" / "002.jpg").unlink()
    data = lvis.read_lvis(written(folder, sound()), folder)
    lines = releases.differences(data, release(classes=4, images=2, boxes=3, within=1))
    assert lines[:3] == [
        "categories: 3 (valid: 4, as published)",
        "images: 3 (valid: 2, as published)",
        "annotations: 5 (valid: 3, as published, within 1)",
    ]
    assert lines[3].startswith("image 2: file_name: val2017/002.jpg: no such file in")


def files(folder, **fields):
    return Coco(train=folder / "a.json", val=folder / "b.json", images=folder, **fields)


@pytest.mark.parametrize("kind", ["lvis_v1", "objects365_v1"])
def test_a_file_that_is_not_the_published_one_is_refused_with_all_its_faults(folder, kind):
    with pytest.raises(FileNotFoundError, match="a.json: no such file; it comes from https"):
        releases.read_release(files(folder, kind=kind))
    written(folder, named())
    with pytest.raises(ValueError) as refused:
        releases.read_release(files(folder, kind=kind))
    lines = str(refused.value).splitlines()
    assert len(lines) == 3 and all(line.startswith(str(folder / "a.json")) for line in lines)
    assert lines[0].endswith(f"3 (valid: {1203 if kind == 'lvis_v1' else 365}, as published)")


def test_a_published_set_is_read_once_its_counts_are_right(folder, monkeypatch):
    written(folder, named()), written(folder, named(), "b.json")
    for kind, made in (("lvis_v1", lvis.LvisSet), ("objects365_v1", coco.CocoSet)):
        monkeypatch.setitem(releases.RELEASES, kind, (release(), release()))
        assert [type(one) for one in releases.read_release(files(folder, kind=kind))] == [
            made,
            made,
        ]
        monkeypatch.setitem(releases.RELEASES, kind, (release(), release(images=4)))
        with pytest.raises(ValueError, match="b.json: images: 3 .valid: 4, as published"):
            releases.read_release(files(folder, kind=kind))


@pytest.mark.parametrize("kind", ["coco", "lvis"])
def test_another_fingerprint_than_the_one_asked_for_is_refused(folder, kind):
    written(folder, named()), written(folder, {**named(), "info": 1}, "b.json")
    right = tuple(sha256((folder / f"{name}.json").read_bytes()).hexdigest() for name in "ab")
    found = releases.read_release(files(folder, kind=kind, fingerprints=right))
    assert tuple(one.fingerprint for one in found) == right
    with pytest.raises(ValueError, match=f"b.json: fingerprint: {right[1]} .valid: {right[0]}, as"):
        releases.read_release(files(folder, kind=kind, fingerprints=(right[0], right[0])))
    with pytest.raises(ValidationError, match="fingerprints"):
        files(folder, fingerprints=("abc", right[1]))


def test_training_and_validation_have_the_same_classes(folder):
    other = {**named(), "categories": [{"id": 1}, {"id": 2}, {"id": 9}]}
    written(folder, named()), written(folder, {**other, "annotations": []}, "b.json")
    with pytest.raises(ValueError, match="b.json: categories: 1, 2, 9 not in .*a.json"):
        releases.read_release(files(folder))


@pytest.mark.parametrize("kind, lists", [("coco", 0), ("lvis", 2)])
def test_problems_of_both_files_are_told_as_their_format_has_them(folder, kind, lists):
    data = files(folder.relative_to(folder), kind=kind)
    written(folder, named()), written(folder, named(), "b.json")
    assert releases.check(data, folder).problems == []
    broken = named()
    del broken["images"][0]["neg_category_ids"], broken["images"][1]["neg_category_ids"]
    broken["images"][2]["width"] = 0
    written(folder, broken, "b.json")
    lines = releases.check(data, folder).problems
    assert len([line for line in lines if "neg_category_ids: missing" in line]) == lists
    assert any(line.startswith("b.json: image") and "width: 0" in line for line in lines)


@pytest.mark.parametrize("kind, doubted", [("coco", True), ("lvis", False)])
@pytest.mark.parametrize("empty", [True, False])
def test_what_is_valid_and_likely_not_meant_is_told_of_own_data(folder, kind, doubted, empty):
    content = named()
    content["annotations"] = content["annotations"][:1]
    written(folder, content), written(folder, content, "b.json")
    told = releases.check(files(folder.relative_to(folder), kind=kind), folder, empty)
    assert not told.problems and bool(told.doubts) == doubted
    if doubted:
        assert any(" pictures are like ones of " in line for line in told.doubts)
        assert empty != any("do not train" in line for line in told.doubts)


def test_validation_pictures_may_have_a_folder_of_their_own(folder):
    written(folder, named()), written(folder, named(), "b.json")
    train, val = releases.read_release(files(folder, val_images=folder / "other"))
    assert train.folder == folder and val.folder == folder / "other"


@pytest.mark.parametrize("kind", ["lvis_v1", "objects365_v1"])
def test_counts_and_fingerprints_are_checked_before_anything_runs(folder, kind, monkeypatch):
    data = files(folder.relative_to(folder), kind=kind)
    written(folder, named()), written(folder, named(), "b.json")
    lines = releases.check(data, folder).problems
    assert len(lines) == 3 and all("as published" in line for line in lines)
    monkeypatch.setitem(releases.RELEASES, kind, (release(), release()))
    assert releases.check(data, folder).problems == []
    other = data.model_copy(update={"fingerprints": ("a" * 64, "b" * 64)})
    assert "fingerprint" in releases.check(other, folder).problems[0]


@pytest.mark.parametrize("kind", ["lvis", "lvis_v1", "objects365_v1", "coco"])
def test_what_reading_mends_is_told_of_own_data_alone(folder, kind, monkeypatch):
    monkeypatch.setitem(releases.RELEASES, "lvis_v1", (release(), release()))
    monkeypatch.setitem(releases.RELEASES, "objects365_v1", (release(), release()))
    odd = named()
    odd["annotations"][0]["bbox"] = [3, 4, 0, 9]
    odd["annotations"][1]["bbox"] = [50, 4, 40, 9]
    written(folder, odd), written(folder, named(), "b.json")
    lines = releases.check(files(folder.relative_to(folder), kind=kind), folder).problems
    assert len(lines) == (0 if kind in releases.RELEASES else 2)
    [train, _] = releases.read_release(files(folder, kind=kind))
    assert train.boxes(0)[0].tolist()[0] == [50, 4, 64, 13] and len(train.boxes(0)[0]) == 2


def test_validation_has_the_groups_of_the_training_file(folder, monkeypatch):
    monkeypatch.setattr(lvis, "MOST", {"r": 0, "c": 1})
    written(folder, sound()), written(folder, {**sound(), "annotations": []}, "b.json")
    train, val = releases.read_release(files(folder, kind="lvis"))
    assert val.groups == train.groups == {"r": [], "c": [1, 2], "f": [0]}
    assert lvis.groups(val.image_counts)["r"] == [0, 1, 2]
