"""Geometry: the dimensionless numbers of a data set before a detector, beside COCO's.

Lengths are in cells of the detector's finest level, of images as large as it sees them.
"""

import numpy as np
import torch
from detectron2.structures import Boxes
from torch import nn

from p2s.data.coco import CocoSet
from p2s.data.loader import test_inputs
from p2s.maths.geometry import half_diagonal, size_ranges
from p2s.model.second.stage import RESOLUTION
from p2s.spec import Spec

UNIT = 8.0  # pixels: the paper's finest stride at 800 pixels, Sec. 5


def geometry_numbers(model: nn.Module, data: CocoSet, spec: Spec) -> dict:
    """How the objects of `data` lie on the levels of a detector.

    "cells": the quartiles of an object's size in cells of the finest level; "bins": the same in
    cells of the level that its region is pooled from, over the bins a side (None without a second
    stage); "levels": the share of objects in the size range of each level; "above": of those above
    the finest one's; "objects" and "proposals" an image, "proposals_an_object".
    """
    of_images = [_boxes(data, index, spec) for index in range(len(data))]
    boxes = torch.cat(of_images)  # (G, 4)
    low, high = size_ranges(UNIT * spec.zoom * 2.0 ** torch.arange(5)).unbind(-1)
    size = half_diagonal(boxes)[:, None]
    objects = len(boxes) / max(len(data), 1)
    return {
        "cells": _quartiles(_side(boxes) / 2 ** spec.levels[0]),
        "bins": _of_pooled(model, boxes),
        "levels": ((size >= low) & (size <= high)).float().mean(0).tolist(),
        "above": float((size[:, 0] > high[0]).float().mean()),
        "objects": objects,
        "proposals": spec.test.proposals,
        "proposals_an_object": spec.test.proposals / objects,
    }


def _boxes(data, index, spec):
    """The objects of an image in pixels of what the detector sees, (G, 4)."""
    boxes, *_ = data.boxes(index)
    height = test_inputs(data, index, spec.test)["image"].shape[1]
    return torch.as_tensor(boxes, dtype=torch.float32) * (height / data.images[index]["height"])


def _of_pooled(model, boxes):
    """The quartiles of an object's size in bins of its region; None without a second stage."""
    if not hasattr(model, "roi_heads"):
        return None
    pooler = model.roi_heads.box_pooler
    stride = 2.0 ** (pooler.min_level + pooler.levels([Boxes(boxes)]))
    return _quartiles(_side(boxes) / stride / RESOLUTION)


def _side(boxes):
    return (boxes[:, 2:] - boxes[:, :2]).prod(-1).sqrt()


def _quartiles(values):
    return np.quantile(values.numpy(), (0.25, 0.5, 0.75)).round(3).tolist()
