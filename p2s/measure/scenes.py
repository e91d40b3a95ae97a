"""What a detector says of one image, as rounded rows for figures: of its outputs, and inside."""

from typing import Any

import torch
from torch import nn

from p2s.data.coco import CocoSet
from p2s.data.loader import test_inputs
from p2s.measure.heat import heat_map
from p2s.model.detector import TwoStageDetector
from p2s.spec import Test

KEPT = 100  # proposals and detections of an image, the likeliest


@torch.inference_mode()
def scene(model: nn.Module, data: CocoSet, index: int, test: Test) -> dict[str, Any]:
    """What figures need of one image: its likeliest proposals and detections.

    Proposals are (x1, y1, x2, y2, p_object), detections (x1, y1, x2, y2, score, class, p_object,
    p_class), boxes in pixels.
    """
    model.eval()
    model.set_test(test)
    [detections], [proposed] = model.detect([test_inputs(data, index, test)])
    p_object = proposed.objectness_logits.sigmoid()
    numbers = [detections.scores, detections.pred_classes, detections.p_object, detections.p_class]
    return {
        "image_id": data.images[index]["id"],
        "proposals": _rows(proposed.proposal_boxes, [p_object]),
        "detections": _rows(detections.pred_boxes, numbers),
    }


@torch.inference_mode()
def observed(model: TwoStageDetector, data: CocoSet, index: int, test: Test) -> dict[str, Any]:
    """The same of a two-stage detector with a dense first stage, and what leads to it (Fig. 1).

    Besides a scene's: the heat map, (H, W) values of P(O) on cells of `cell` pixels a side, and
    P(C|O) of each proposal, background last.
    """
    outputs = scene(model, data, index, test)
    inputs = [test_inputs(data, index, test)]
    images, features, proposals = model.first_stage(inputs)
    _, [p_class] = model.roi_heads.classify(features, proposals)
    heat, stride = heat_map(model.proposal_generator, features, images.image_sizes[0])
    return {
        **outputs,
        "cell": stride * inputs[0]["width"] / images.image_sizes[0][1],
        "heat": _rounded(heat),
        "p_class": _rounded(p_class[: len(outputs["proposals"])]),
    }


def _rows(boxes, numbers):
    columns = torch.stack([values.double() for values in numbers], 1)  # (R, 1 or 4)
    order = columns[:, 0].argsort(descending=True, stable=True)[:KEPT]  # the likeliest first
    corners, columns = boxes.tensor[order].tolist(), columns[order].tolist()
    return [
        [round(v, 1) for v in box] + [round(v, 4) for v in row]
        for box, row in zip(corners, columns, strict=True)
    ]


def _rounded(values):
    return [[round(value, 4) for value in row] for row in values.double().tolist()]
