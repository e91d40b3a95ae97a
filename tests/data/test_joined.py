"""Annotated and pseudo-labelled pictures as one set."""

import json

import numpy as np
import pytest
from PIL import Image

from p2s.data import releases
from p2s.data.coco import read_coco
from p2s.data.joined import joined, share_of_last
from p2s.data.loader import train_batch
from p2s.files import file_fingerprint, joined_fingerprint
from p2s.spec import Coco, Recipe
from p2s.study import runs
from p2s.study.project import Project


def write(folder, name, shades, categories):
    """A set whose pictures have a shade each, and an object of each category in turn."""
    (folder / name).mkdir()
    images, rows = [], []
    for k, shade in enumerate(shades):
        Image.fromarray(np.full((20, 30, 3), shade, np.uint8)).save(folder / name / f"{k}.png")
        images.append({"id": k, "file_name": f"{k}.png", "width": 30, "height": 20})
        box = {"bbox": [k, 1, 9, 8], "category_id": categories[k % len(categories)]["id"]}
        rows.append({"id": k + 1, "image_id": k, **box})
    tables = {"images": images, "annotations": rows, "categories": categories}
    (folder / f"{name}.json").write_text(json.dumps(tables))


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "own", [10, 20, 30], [{"id": 4, "name": "cat"}, {"id": 9, "name": "dog"}])
    write(tmp_path, "more", [200, 210], [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}])
    return tmp_path


def data_of(folder):
    named = {"train": "own.json", "val": "own.json", "images": "own"}
    more = {"pseudo": "more.json", "pseudo_images": "more"}
    paths = {field: folder / name for field, name in (named | more).items()}
    return Coco(kind="self_training", **paths)


def test_samples_are_those_of_the_parts_in_the_classes_of_the_first(folder):
    train, val = releases.read_release(data_of(folder))
    own, more = read_coco(folder / "own.json", folder / "own"), train.parts[1]
    assert len(train) == 5 and len(val) == 3 and train.classes == ("cat", "dog")
    for index in range(5):
        part, at = (own, index) if index < 3 else (more, index - 3)
        assert np.array_equal(train.sample(index)["image"], part.sample(at)["image"])
        assert np.array_equal(train.sample(index)["boxes"], part.sample(at)["boxes"])
    assert [train.sample(k)["classes"].tolist() for k in range(5)] == [[0], [1], [0], [1], [0]]
    assert [train.boxes(k)[1].tolist() for k in range(5)] == [[0], [1], [0], [1], [0]]
    assert train.image_counts.tolist() == [3, 2] and train.trainable == (0, 1, 2, 3, 4)
    with pytest.raises(IndexError):
        train.sample(5)


def test_every_picture_of_both_trains_once_an_epoch(folder):
    train, _ = releases.read_release(data_of(folder))
    recipe = Recipe(batch=5, short_edge=(20,), long_edge=30, flip=False)
    batch = train_batch(train, recipe, 0, 0)
    assert sorted(int(one["image"].float().mean()) for one in batch) == [10, 20, 30, 200, 210]


def test_shares_are_of_images_and_boxes(folder):
    train, _ = releases.read_release(data_of(folder))
    assert share_of_last(train) == {"images": 2 / 5, "boxes": 2 / 5}


def test_the_identity_of_the_data_is_of_both_files(folder):
    data = data_of(folder)
    train, val = releases.read_release(data)
    own, more = (file_fingerprint(folder / f"{name}.json") for name in ("own", "more"))
    assert train.fingerprint == joined_fingerprint([own, more]) != own == val.fingerprint
    assert runs.fingerprints(data, Project(folder, folder)) == [train.fingerprint, own]


def test_classes_of_their_own_are_told_with_the_valid_ones(folder):
    write(folder, "odd", [7], [{"id": 1, "name": "owl"}])
    odd = {"pseudo": folder / "odd.json", "pseudo_images": folder / "odd"}
    with pytest.raises(ValueError, match=r"odd.json: categories: owl not in .*own.json \(valid: c"):
        releases.read_release(data_of(folder).model_copy(update=odd))


def test_a_sick_file_of_pseudo_labels_is_told_before_any_work(folder):
    sick = json.loads((folder / "more.json").read_text())
    sick["annotations"][0]["bbox"][2] = 0
    (folder / "more.json").write_text(json.dumps(sick))
    [line] = releases.check(data_of(folder), folder).problems
    assert line.startswith("more.json: annotation 1: bbox")


@pytest.mark.parametrize(
    "kind, more, told",
    [
        ("coco", {"pseudo": "a"}, r"pseudo: given with kind coco \(valid: none\)"),
        ("self_training", {"pseudo": "a"}, r"pseudo_images: missing with kind self_training"),
    ],
)
def test_a_kind_has_what_it_needs_and_no_more(kind, more, told):
    with pytest.raises(ValueError, match=told):
        Coco(kind=kind, train="a", val="b", images="c", **more)


def test_joining_leaves_both_sets_as_they_were(folder):
    sets = [read_coco(folder / f"{name}.json", folder / name) for name in ("own", "own")]
    before = json.dumps(sets[0].annotations)
    joined(*sets)
    assert json.dumps(sets[0].annotations) == json.dumps(sets[1].annotations) == before
