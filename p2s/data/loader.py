"""Loader: model inputs as pure functions of (data, recipe, seed, iteration), so a run can resume.

A model input is detectron2's: "image" uint8 (3, H, W) RGB, "height" and "width" of the picture as
stored, "image_id", and in training "instances" with gt_boxes, gt_classes and what else the data
tell of an object (see p2s.data.lvis); of a square crop "padded_to", its height and width, besides.
"""

import numpy as np
import torch
from detectron2.data import transforms
from detectron2.structures import Boxes, Instances

from p2s.data import sampling
from p2s.data.coco import CocoSet
from p2s.spec import Recipe, Test
from p2s.spec.memory import require_image
from p2s.spec.recipe import Square

AUGMENTATION = 1  # a seed's stream of random numbers; the orders of images have others


def train_batch(
    data: CocoSet, recipe: Recipe, seed: int, iteration: int, part: slice = slice(None)
) -> list[dict]:
    """The inputs of one iteration, in the recipe's order: a pure function of its arguments.

    Of a `part` of the batch alone, as one rank of several takes it. Raises ValueError if no image
    has an object.
    """
    rng = np.random.default_rng([seed, AUGMENTATION, iteration])
    edges = _edges(rng, recipe)
    flips = rng.random(recipe.batch) < (0.5 if recipe.flip else 0)
    indices = batch_indices(data, recipe.batch, seed, iteration, sampling.order_of(recipe))
    if isinstance(recipe.crop, Square):
        places = rng.random((recipe.batch, 3))
        return [
            cropped(data.sample(index), recipe.crop, place, flip)
            for index, place, flip in list(zip(indices, places, flips, strict=True))[part]
        ]
    return [
        augment(data.sample(index), edge, recipe.long_edge, flip)
        for index, edge, flip in list(zip(indices, edges, flips, strict=True))[part]
    ]


def _edges(rng, recipe):
    """The short edge of each image of a batch."""
    if recipe.edges == "range":
        smallest, largest = recipe.short_edge
        return rng.integers(smallest, largest, recipe.batch, endpoint=True).tolist()
    return rng.choice(recipe.short_edge, recipe.batch).tolist()


def pinned(batch: list[dict]) -> list[dict]:
    """The inputs of a batch, its images in memory from which a GPU copies while others compute."""
    return [inputs | {"image": inputs["image"].pin_memory()} for inputs in batch]


def test_inputs(data: CocoSet, index: int, test: Test) -> dict:
    """The input of one image in test: resized, never mirrored, without instances."""
    return _without_truth(data.sample(index), test)


def picture_inputs(image: np.ndarray, test: Test, size: tuple[int, int]) -> dict:
    """The input of a picture (h, w, 3) that is in no data set, in test.

    size: height and width in which its boxes are to be told.
    """
    height, width = size
    nothing = {"boxes": np.zeros((0, 4), np.float32), "classes": np.zeros(0, np.int64)}
    named = {"image_id": None, "height": height, "width": width}
    return _without_truth({"image": image, **nothing, **named}, test)


def batch_indices(
    data: CocoSet, batch: int, seed: int, iteration: int, order: sampling.Order = sampling.shuffled
) -> list[int]:
    """The images of one iteration: its places in the chain of an order's epochs."""
    if not data.trainable:
        raise ValueError("no image has an object to train on")
    length = len(order(data, seed, 0))
    places = range(iteration * batch, (iteration + 1) * batch)
    epochs = [divmod(place, length) for place in places]
    return [int(order(data, seed, epoch)[rank]) for epoch, rank in epochs]


def augment(sample: dict, short_edge: int, long_edge: int, flip: bool) -> dict:
    """One model input: the sample resized as detectron2 does, then perhaps mirrored."""
    height, width = sample["image"].shape[:2]
    shortest = transforms.ResizeShortestEdge
    sides = shortest.get_output_shape(height, width, short_edge, long_edge)
    size = tuple(max(1, side) for side in sides)  # a very long picture's short side rounds to 0
    require_image(*size, f"short_edge {short_edge}")
    return _transformed(sample, [*_resizing(sample, size), *_mirroring(size, flip)])


def cropped(sample: dict, crop: Square, place: np.ndarray, flip: bool) -> dict:
    """One model input: the sample resized, and of it a square, which is told if it is not full.

    place: three numbers from 0 to 1, of the size, and of the square's place down and across.
    Objects of which nothing is left are left out. App. C, as EfficientDet does (Tan et al., 2020).
    """
    height, width = sample["image"].shape[:2]
    share, *at = place.tolist()
    long_edge = crop.size * (crop.smallest + share * (crop.largest - crop.smallest))
    size = tuple(max(1, int(side * long_edge / max(height, width))) for side in (height, width))
    require_image(*size, f"crop.size {crop.size}")
    cut = [min(side, crop.size) for side in size]
    top, left = (int(p * (side - kept + 1)) for p, side, kept in zip(at, size, cut, strict=True))
    steps = [*_resizing(sample, size), transforms.CropTransform(left, top, *cut[::-1])]
    row = _transformed(sample, [*steps, *_mirroring(cut, flip)])
    inside = row["instances"].gt_boxes.nonempty()
    return row | {"instances": row["instances"][inside], "padded_to": (crop.size, crop.size)}


def _resizing(sample, size):
    before = sample["image"].shape[:2]
    return [transforms.ResizeTransform(*before, *size)] * (size != before)


def _mirroring(size, flip):
    return [transforms.HFlipTransform(size[1])] * bool(flip)


def _transformed(sample, steps):
    """A model input of a sample after these steps of detectron2."""
    image, boxes = sample["image"], sample["boxes"]
    for step in steps:
        image, boxes = step.apply_image(image), step.apply_box(boxes)
    return {
        "image": torch.from_numpy(image.transpose(2, 0, 1).copy()),
        "instances": _instances(
            boxes, sample["classes"], image.shape[:2], sample.get("fields", {})
        ),
        **{field: sample[field] for field in ("height", "width", "image_id")},
    }


def _without_truth(sample, test):
    row = augment(sample, test.short_edge, test.long_edge, flip=False)
    del row["instances"]
    return row


def _instances(boxes, classes, size, fields):
    instances = Instances(size)
    instances.gt_boxes = Boxes(torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    instances.gt_boxes.clip(size)
    instances.gt_classes = torch.as_tensor(classes, dtype=torch.int64)
    for name, values in fields.items():
        instances.set(name, torch.from_numpy(values.copy()))
    return instances
