"""A square that is cut from a resized picture (App. C)."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from p2s.data import coco, loader
from p2s.data.loader import cropped
from p2s.spec import Recipe
from p2s.spec.recipe import Square

BOXES = [[4, 3, 30, 20], [70, 10, 90, 28], [0, 40, 12, 64]]


def sample(height=64, width=96):
    """A black picture whose objects have a channel each."""
    image = np.zeros((height, width, 3), np.uint8)
    boxes = np.array(BOXES, np.float32)
    for number, (x1, y1, x2, y2) in enumerate(BOXES):
        image[y1:y2, x1:x2, number] = 255
    named = {"image_id": 1, "height": height, "width": width}
    fields = {"gt_known": np.eye(3, dtype=bool)}
    return {"image": image, "boxes": boxes, "classes": np.arange(3), "fields": fields, **named}


def seen(image, number):
    """The box of an object's own channel, or None."""
    down, across = np.nonzero(image[number] > 127)
    if not len(down):
        return None
    return [across.min(), down.min(), across.max() + 1, down.max() + 1]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("flip", [False, True])
def test_boxes_are_where_the_objects_are_seen(seed, flip):
    place = np.random.default_rng(seed).random(3)
    row = cropped(sample(), Square(size=80, smallest=0.5, largest=2.0), place, flip)
    assert row["image"].shape[1] <= 80 and row["image"].shape[2] <= 80
    assert row["instances"].image_size == row["image"].shape[1:]
    assert row["padded_to"] == (80, 80)
    found = {
        int(label): box
        for label, box in zip(
            row["instances"].gt_classes, row["instances"].gt_boxes.tensor.tolist(), strict=True
        )
    }
    for number in range(3):
        box = seen(row["image"].numpy(), number)
        assert box is None or found[number] == pytest.approx(box, abs=1.5)
    for number, (x1, y1, x2, y2) in found.items():
        assert min(x2 - x1, y2 - y1) < 2 or seen(row["image"].numpy(), number)
    assert row["instances"].gt_known.int().argmax(1).tolist() == [*found]


def test_a_square_as_long_as_the_picture_cuts_nothing():
    row = cropped(sample(), Square(size=96, smallest=1.0, largest=1.0), np.zeros(3), False)
    whole = loader.augment(sample(), 64, 96, False)
    assert torch.equal(row["image"], whole["image"])
    assert row["instances"].gt_boxes.tensor.tolist() == BOXES


def test_the_square_reaches_every_corner():
    crop, shade = Square(size=32, smallest=3.0, largest=3.0), {}
    for corner in ((0, 0), (0, 0.999), (0.999, 0), (0.999, 0.999)):
        row = cropped(sample(), crop, np.array([0, *corner]), False)
        shade[corner] = sorted(row["instances"].gt_classes.tolist())
        assert row["image"].shape == (3, 32, 32)
    assert [*shade.values()] == [[0], [1], [2], []]


def test_a_picture_of_a_few_pixels_is_left_with_one():
    row = cropped(sample(), Square(size=8, smallest=0.001, largest=0.001), np.ones(3) / 2, True)
    assert row["image"].shape == (3, 1, 1) and row["padded_to"] == (8, 8)


@pytest.fixture
def data(tmp_path):
    images = [
        {"id": k, "file_name": f"{k}.png", "width": 40 + 8 * k, "height": 48} for k in range(3)
    ]
    for row in images:
        size = (row["height"], row["width"], 3)
        Image.fromarray(np.full(size, 9, np.uint8)).save(tmp_path / row["file_name"])
    rows = [{"id": k + 1, "image_id": k, "category_id": 1, "bbox": [0, 0, 9, 9]} for k in range(3)]
    tables = {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "a"}]}
    (tmp_path / "a.json").write_text(json.dumps(tables))
    return coco.read_coco(tmp_path / "a.json", tmp_path)


def test_a_batch_of_squares_is_a_pure_function_and_its_parts_are_parts_of_it(data):
    recipe = Recipe(batch=4, crop=Square(size=32))

    def plain(batch):
        return [(one["image"].tolist(), one["image_id"]) for one in batch]

    first = plain(loader.train_batch(data, recipe, 1, 4))
    assert plain(loader.train_batch(data, recipe, 1, 4)) == first
    assert plain(loader.train_batch(data, recipe, 1, 4, slice(1, None, 2))) == first[1::2]
    assert plain(loader.train_batch(data, recipe, 1, 5)) != first


def test_a_range_of_edges_has_all_of_them_and_a_choice_its_own(data):
    of_range = Recipe(batch=64, short_edge=(30, 33), long_edge=400, edges="range")
    of_choice = of_range.model_copy(update={"edges": "choice"})
    edges = [
        {min(one["image"].shape[1:]) for one in loader.train_batch(data, recipe, 0, 0)}
        for recipe in (of_range, of_choice)
    ]
    assert edges == [{30, 31, 32, 33}, {30, 33}]


@pytest.mark.parametrize(
    "fields, told",
    [
        ({"edges": "range"}, r"edges range \(valid: the smallest and the largest\)"),
        ({"edges": "range", "short_edge": (9, 8)}, r"short_edge \[9, 8\] with edges range"),
        ({"edges": "range", "short_edge": (8, 9), "crop": "square"}, "does nothing with crop squa"),
        ({"crop_size": 64}, "crop_size does nothing with crop whole; valid: square"),
        ({"crop": {"kind": "square", "smallest": 3}}, r"smallest 3.0 \(valid: 2.0 at most\)"),
    ],
)
def test_settings_that_contradict_each_other_are_a_line(fields, told):
    with pytest.raises(ValueError, match=told):
        Recipe.model_validate(fields)
