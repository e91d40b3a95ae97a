"""Detections in an image of 80 x 60 pixels, without a model."""

import torch
from detectron2.structures import Boxes, Instances

from p2s.deploy.detections import Detections
from p2s.deploy.pictures import Picture

CLASSES = ["cat", "dog"]
BOX = [8.0, 30.0, 40.0, 50.0]


def instances(count):
    """Detections and proposals of one box, the likeliest first: scores .9, .45, .3 ..."""
    scores = 0.9 / torch.arange(1, count + 1)
    boxes = Boxes(torch.tensor([BOX] * count).reshape(-1, 4))
    found = Instances(
        (60, 80),
        pred_boxes=boxes,
        scores=scores,
        pred_classes=torch.arange(count) % 2,
        p_object=scores.sqrt(),
        p_class=scores.sqrt(),
        level=torch.full((count,), 4),
    )
    return found, Instances((60, 80), proposal_boxes=boxes, objectness_logits=scores.logit())


def detections(count, source):
    """The same as Detections in a picture."""
    return Detections.of(Picture.of(source), *instances(count), CLASSES)
