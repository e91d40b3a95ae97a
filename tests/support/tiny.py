"""A detector small enough to be built and trained in a test, and an image for it."""

import json

import numpy as np
import torch
from detectron2.structures import Boxes, Instances
from PIL import Image

from p2s.model.zoo import build
from p2s.spec import Spec, merge
from p2s.train.folder import write_model

TINY = {
    "num_classes": 3,
    "backbone": {"depth": 18, "width": 16, "norm": "BN", "fpn_channels": 16, "frozen_stages": 0},
    "first_stage": {"pre_nms": 100, "proposals": 50},
    "second_stage": {"channels": 32, "regions": 16},
    "test": {"pre_nms": 100, "proposals": 20, "score_threshold": 0.0},
}
MADE_OF_OTHERS = (  # of parts that other names have: for tests that take long
    *("FasterRCNN-RPN (P3-P7)", "CascadeRCNN-RPN", "CascadeRCNN-RPN (P3-P7)"),
    *("FasterRCNN-RetinaNet", "FasterRCNN-GFL", "FasterRCNN-ATSS", "FasterRCNN-CenterNet"),
    *("CascadeRCNN-RetinaNet", "CascadeRCNN-GFL", "CascadeRCNN-CenterNet"),
    *("CenterNet*-X101-DCN", "CascadeRCNN-X101-DCN"),
    *("CenterNet2-DLA-BiFPN-P5", "FCOS-RT-DLA-BiFPN-P3"),
)


def tiny(name):
    torch.manual_seed(0)
    return build(Spec.named(name).changed(TINY))


def scene(seed, boxes=((8.0, 8, 40, 48), (30.0, 20, 90, 80))):
    """An image of noise with two truths, or as many as there are `boxes`."""
    pixels = torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(seed)) * 255
    boxes = torch.tensor(boxes).reshape(-1, 4)
    truth = Instances((96, 96), gt_boxes=Boxes(boxes), gt_classes=torch.arange(len(boxes)))
    return {"image": pixels, "height": 192, "width": 96, "image_id": seed, "instances": truth}


CLASSES = ["cat", "dog", "owl"]
SMALL_PICTURES = {"test": {"short_edge": 64, "long_edge": 96}}


def lively_folder(folder, name="CenterNet2", changes=None):
    """A folder as a training leaves it, of a tiny detector that answers to what it sees."""
    spec = Spec.named(name).changed(merge(TINY, changes or {})).changed(SMALL_PICTURES)
    torch.manual_seed(0)
    model = build(spec)
    with torch.no_grad():
        for layer, parameter in model.named_parameters():
            if layer.endswith(("score.weight", "cls_score.weight")):
                parameter.normal_(std=0.5)
    texts = {"spec.json": spec.model_dump_json(), "classes.json": json.dumps(CLASSES)}
    write_model(folder, model, "0123", texts)
    return folder


def photo(path, size=(80, 60), seed=0):
    """A picture of blobs in a file; its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    Image.fromarray(noise).resize(size).save(path)
    return path
