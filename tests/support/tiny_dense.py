"""A dense head, its maps and truths on two small levels."""

import torch
from detectron2.structures import Boxes, Instances

from p2s.maths.geometry import locations
from p2s.model.first import heads

STRIDES = {"p3": 8, "p4": 16}
SIZES = [(4, 6), (2, 3)]
GRID = locations(SIZES, list(STRIDES.values()))
COUNT = len(GRID.points)


def head(towers=heads.shared_tower, num_classes=2, channels=8):
    torch.manual_seed(0)
    return heads.DenseHead(towers(channels, 2), channels, num_classes, len(SIZES))


def maps(images=2, channels=8, value=None):
    torch.manual_seed(1)
    shapes = [(images, channels, *size) for size in SIZES]
    return [torch.randn(s) if value is None else torch.full(s, value) for s in shapes]


def truths(boxes, classes):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    classes = torch.tensor(classes, dtype=torch.long)
    return Instances((32, 48), gt_boxes=Boxes(boxes), gt_classes=classes)


def predictions(images=2, num_classes=2):
    torch.manual_seed(2)
    logit = torch.randn(images, COUNT, num_classes) * 3
    return heads.Predictions(logit, torch.rand(images, COUNT, 4) * 2)
