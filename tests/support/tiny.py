"""A detector small enough to be built and trained in a test, and an image for it."""

import torch
from detectron2.structures import Boxes, Instances

from p2s.model.zoo import build
from p2s.spec import Spec

TINY = {
    "num_classes": 3,
    "backbone": {"depth": 18, "width": 16, "norm": "BN", "fpn_channels": 16, "frozen_stages": 0},
    "first_stage": {"pre_nms": 100, "proposals": 50},
    "second_stage": {"channels": 32, "regions": 16},
    "test": {"pre_nms": 100, "proposals": 20, "score_threshold": 0.0},
}


def tiny(name):
    torch.manual_seed(0)
    return build(Spec.named(name).changed(TINY))


def scene(seed, boxes=((8.0, 8, 40, 48), (30.0, 20, 90, 80))):
    """An image of noise with two truths, or as many as there are `boxes`."""
    pixels = torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(seed)) * 255
    boxes = torch.tensor(boxes).reshape(-1, 4)
    truth = Instances((96, 96), gt_boxes=Boxes(boxes), gt_classes=torch.arange(len(boxes)))
    return {"image": pixels, "height": 192, "width": 96, "image_id": seed, "instances": truth}
