"""Loader: model inputs as pure functions of (data, recipe, seed, iteration), so a run can resume.

A model input is detectron2's: "image" uint8 (3, H, W) RGB, "height" and "width" of the picture as
stored, "image_id", and in training "instances" with gt_boxes, gt_classes and what else the data
tell of an object (see p2s.data.lvis).
"""

import numpy as np
import torch
from detectron2.data import transforms
from detectron2.structures import Boxes, Instances

from p2s.data import sampling
from p2s.data.coco import CocoSet
from p2s.spec import Recipe, Test
from p2s.spec.memory import require_image

AUGMENTATION = 1  # a seed's stream of random numbers; the orders of images have others


def train_batch(
    data: CocoSet, recipe: Recipe, seed: int, iteration: int, part: slice = slice(None)
) -> list[dict]:
    """The inputs of one iteration, in the recipe's order: a pure function of its arguments.

    Of a `part` of the batch alone, as one rank of several takes it. Raises ValueError if no image
    has an object.
    """
    rng = np.random.default_rng([seed, AUGMENTATION, iteration])
    edges = rng.choice(recipe.short_edge, recipe.batch).tolist()
    flips = rng.random(recipe.batch) < (0.5 if recipe.flip else 0)
    indices = batch_indices(data, recipe.batch, seed, iteration, sampling.order_of(recipe))
    return [
        augment(data.sample(index), edge, recipe.long_edge, flip)
        for index, edge, flip in list(zip(indices, edges, flips, strict=True))[part]
    ]


def pinned(batch: list[dict]) -> list[dict]:
    """The inputs of a batch, its images in memory from which a GPU copies while others compute."""
    return [inputs | {"image": inputs["image"].pin_memory()} for inputs in batch]


def test_inputs(data: CocoSet, index: int, test: Test) -> dict:
    """The input of one image in test: resized, never mirrored, without instances."""
    return _without_truth(data.sample(index), test)


def picture_inputs(image: np.ndarray, test: Test) -> dict:
    """The input of a picture (H, W, 3) that is in no data set, in test."""
    height, width = image.shape[:2]
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
    image, boxes = sample["image"], sample["boxes"]
    height, width = image.shape[:2]
    shortest = transforms.ResizeShortestEdge
    sides = shortest.get_output_shape(height, width, short_edge, long_edge)
    size = tuple(max(1, side) for side in sides)  # a very long picture's short side rounds to 0
    require_image(*size, short_edge)
    steps = [transforms.HFlipTransform(size[1])] if flip else []
    if size != (height, width):
        steps.insert(0, transforms.ResizeTransform(height, width, *size))
    for step in steps:
        image, boxes = step.apply_image(image), step.apply_box(boxes)
    return {
        "image": torch.from_numpy(image.transpose(2, 0, 1).copy()),
        "instances": _instances(boxes, sample["classes"], size, sample.get("fields", {})),
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
