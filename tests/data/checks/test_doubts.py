"""Doubts: what is valid and likely not meant is told in one line, and nothing else is."""

from collections import defaultdict
from functools import partial

import pytest

from p2s.data.checks.doubts import crowded, of_training, of_validation

BOTH = pytest.mark.parametrize("doubt", [of_training, of_validation])


def tables(boxes, images=1, classes=1, **fields):
    """Boxes of image 1 and class 1 among so many."""
    return {
        "images": [{"id": k, "width": 64, "height": 48} for k in range(1, images + 1)],
        "annotations": [
            {"id": k, "image_id": 1, "category_id": 1, "bbox": box, **fields}
            for k, box in enumerate(boxes)
        ],
        "categories": [{"id": k, "name": f"class {k}"} for k in range(1, classes + 1)],
    }


def told(doubt, data):
    doubts = defaultdict(list)
    doubt(data, doubts)
    return sum(doubts.values(), [])


@BOTH
def test_what_is_as_it_should_be_is_not_doubted(doubt):
    data = tables([[0, 0, 5, 5], [1, 1, 20, 9]])
    for item in data["annotations"]:
        item["area"] = item["bbox"][2] * item["bbox"][3]
    assert told(doubt, data) == []
    assert told(doubt, tables([[0, 0, 5, 5], [1, 1, 5, 5]], area=25)) == []  # of one size


@BOTH
@pytest.mark.parametrize(
    "box",
    [[0, 0, 0.5, 1], [0.1, 0.2, 0.8, 0.7], [0.5, 0.4, 0.6, 0.7], [0.1, 0.2, 0.95, 0.9]],
    ids=["of an edge", "within", "from the centre", "to a corner"],
)
def test_boxes_in_shares_of_the_image_are_doubted(doubt, box):
    [line] = told(doubt, tables([box, [0.5, 0.25, 0.5, 0.5]]))
    assert "bbox: no number is above 1" in line and "(valid: pixels" in line
    assert told(doubt, tables([box, [0.5, 0.25, 1.5, 0.5]])) == []


@BOTH
def test_a_box_of_one_pixel_is_not_doubted(doubt):
    assert told(doubt, tables([[0, 0, 1, 1], [1, 1, 1.0, 1]])) == []


@BOTH
@pytest.mark.parametrize("area", [0, 1, 0.0])
def test_areas_that_are_zero_or_all_the_same_are_doubted(doubt, area):
    [line] = told(doubt, tables([[0, 0, 5, 5], [1, 1, 20, 9]], area=area))
    assert line.startswith(f"annotations: area: {area:g} of every object")


@BOTH
@pytest.mark.parametrize(
    ("boxes", "rows"),
    [
        ([[0, 0, 5, 5], [1, 1, 20, 9]], [{"area": 25}, {}]),
        ([[0, 0, 5, 5], [1, 1, 5, 4.999999999999998]], [{"area": 25}] * 2),
        ([[0, 0, 7, 7], [1, 1, 5, 6]], [{"area": 25, "segmentation": [[0, 3, 3, 0, 7, 4]]}] * 2),
    ],
    ids=["of one object", "of one size, rounded", "of a thing that is turned"],
)
def test_an_area_that_may_be_right_is_not_doubted(doubt, boxes, rows):
    data = tables(boxes)
    for item, fields in zip(data["annotations"], rows, strict=True):
        item |= fields
    assert told(doubt, data) == []


def test_images_without_objects_are_counted_in_training_alone():
    data = tables([[0, 0, 5, 5]], images=6)
    [line] = told(of_training, data)
    assert line.startswith("images: 5 of 6 have no object") and "recipe.empty=true" in line
    assert told(of_validation, data) == told(partial(of_training, empty=True), data) == []


def test_classes_without_a_training_object_are_named():
    [line] = told(of_training, tables([[0, 0, 5, 5]], classes=9))
    assert line == (
        "categories: 8 of 9 have no object to train on: class 2, class 3, class 4, class 5, "
        "class 6 and 3 more"
    )


def test_crowds_are_no_objects():
    data = tables([[0, 0, 5, 5]], iscrowd=1)
    assert len(told(of_training, data)) == 2


def test_more_objects_than_ap_counts_are_told_of_validation_alone():
    data = tables([[k / 4, 0, 3, 3] for k in range(101)])
    [line] = told(of_validation, data)
    assert "(image 1: 101 of class 1)" in line and "once" in line
    assert told(of_training, data) == []
    assert crowded(data["annotations"][:100], {1: "class 1"}) == ""
