"""Fusion: how good any powers of P(C|O) and P(O) are as a score, from one pass over the images.

Two laws make that cheap. What is above no threshold depends on the ratio of the powers alone, for
AP and NMS see only the order of scores. And NMS looks from the likeliest box down, so a threshold
on the score cuts the list of detections short and changes none before.
N images, S cascade stages, R regions, K classes.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from detectron2.modeling import detector_postprocess
from detectron2.structures import Boxes, Instances
from torch import Tensor

from p2s.data.coco import CocoSet
from p2s.data.loader import test_inputs
from p2s.files import finite_or_none
from p2s.maths.likelihood import FUSIONS, fuse
from p2s.maths.selection import boxes_of, select_classes
from p2s.measure.coco import coco_numbers
from p2s.model.detector import TwoStageDetector
from p2s.spec import Spec, Test

CLASS_POWERS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)  # 0 would tell no classes apart
OBJECT_POWERS = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
THRESHOLD = 0.05  # of the map; d2
NMS = (0.5, 0.7)  # of baselines and of probabilistic detectors: every mode is scored at both
PICTURES, KEPT = 4, 64  # validation images of which rows before NMS are kept, and how many of each


@dataclass(frozen=True)
class ClassifiedProposals:
    """What both stages say of the proposals of an image, before any score or NMS."""

    boxes: Tensor  # (R, 4) of the last stage, in the pixels of the network's input
    p_object: Tensor  # (R,)
    p_class: Tensor  # (S, R, K+1), background last
    size: tuple[int, int]  # height and width of the input
    stored: tuple[int, int]  # of the picture, in whose pixels detections are


@torch.inference_mode()
def fusion_numbers(model: TwoStageDetector, data: CocoSet, spec: Spec) -> dict[str, Any]:
    """AP in percent by powers, and rows of a few pictures before NMS, as JSON values below 20 kB.

    "map" has a line for each of "class_powers" and a column for each of "object_powers": AP of
    scores above .05 at the detector's own NMS; "kept" is how many detections an image those are.
    "curves" has AP of all scores by the IoU of NMS, along "ratios" of P(O)'s power to P(C|O)'s.
    "stages" has that of each cascade stage's P(C|O) alone by named powers. "pictures" has rows
    (x1, y1, x2, y2, class, P(C|O), P(O)) in pixels. ValueError for a one-stage detector.
    """
    if spec.second == "none":
        raise ValueError(f"fusion of {spec.first} with second none: a score without two factors")
    test = spec.test.model_copy(update={"score_threshold": 0.0})
    seen = observe(model, data, test)
    ious = sorted({*NMS, test.nms})
    curves = {iou: _curve(data, seen, test.model_copy(update={"nms": iou})) for iou in ious}
    return {
        "class_powers": list(CLASS_POWERS),
        "object_powers": list(OBJECT_POWERS),
        **_map(data, curves[test.nms]),
        "ratios": list(curves[test.nms]),
        "curves": {str(iou): [_ap(data, boxes) for boxes in curves[iou].values()] for iou in ious},
        "stages": _stages(data, seen, test, len(spec.second_stage.iou)),
        "pictures": [
            _rows(data.images[i]["id"], of_image) for i, of_image in enumerate(seen[:PICTURES])
        ],
    }


@torch.inference_mode()
def observe(model: TwoStageDetector, data: CocoSet, test: Test) -> list[ClassifiedProposals]:
    """What a two-stage detector says of each image of `data`, by image."""
    model.eval()
    model.set_test(test)
    return [_seen(model, test_inputs(data, index, test)) for index in range(len(data.images))]


def detections(seen: ClassifiedProposals, powers: tuple[float, float], test: Test) -> Instances:
    """The detections of an image by a score P(C|O)^a P(O)^b, as `Instances` in its own pixels.

    `powers` is (a, b). Threshold, NMS and number are those of `test` (spec.Test): with the powers
    of `test.fusion` these are the model's own detections.
    """
    p_class = seen.p_class.mean(0)[:, :-1]  # (R, K)
    scores = fuse(p_class, seen.p_object[:, None], *powers)
    limits = test.score_threshold, test.nms, test.detections
    row, label, scores = select_classes(seen.boxes, scores, *limits)
    boxes = Boxes(boxes_of(seen.boxes, row, label))
    selected = Instances(seen.size, pred_boxes=boxes, scores=scores, pred_classes=label)
    return detector_postprocess(selected, *seen.stored)


def above(of_images: list[Instances], threshold: float, class_power: float) -> list[Instances]:
    """Detections with P(C|O)^a P(O)^b above a threshold, of those by P(C|O) P(O)^(b/a)."""
    cut = threshold ** (1 / class_power)
    return [boxes[boxes.scores > cut] for boxes in of_images]


def ratios() -> list[float]:
    """The ratios b/a of the map's powers, in ascending order."""
    return sorted({b / a for a in CLASS_POWERS for b in OBJECT_POWERS})


def _seen(model, inputs):
    _, features, [proposals] = model.first_stage([inputs])
    [boxes], [p_class] = model.roi_heads.classify_by_stage(features, [proposals])
    p_object = proposals.objectness_logits.sigmoid()
    stored = inputs["height"], inputs["width"]
    return ClassifiedProposals(boxes, p_object, p_class, proposals.image_size, stored)


def _curve(data, seen, test):
    """Detections of each image by ratio of the powers."""
    return {
        ratio: [detections(of_image, (1, ratio), test) for of_image in seen] for ratio in ratios()
    }


def _map(data, curve):
    """AP above the threshold, and how many detections an image those are, for pairs of powers."""
    cells = [[above(curve[b / a], THRESHOLD, a) for b in OBJECT_POWERS] for a in CLASS_POWERS]
    counts = [[np.mean([len(boxes) for boxes in cell]) for cell in line] for line in cells]
    return {
        "map": [[_ap(data, cell) for cell in line] for line in cells],
        "kept": [[round(float(count), 1) for count in line] for line in counts],
    }


def _stages(data, seen, test, stages):
    """AP of all scores with the P(C|O) of one cascade stage alone, by named powers."""
    return {
        name: [
            _ap(data, [detections(_alone(of_image, stage), powers, test) for of_image in seen])
            for stage in range(stages)
        ]
        for name, powers in FUSIONS.items()
    }


def _alone(seen, stage):
    return replace(seen, p_class=seen.p_class[stage : stage + 1])


def _ap(data, boxes):
    ap = finite_or_none(coco_numbers(data, boxes)["AP"])
    return ap if ap is None else round(ap, 2)


def _rows(image_id, seen):
    """The rows of a picture whose P(C|O) is highest: it limits every score, whatever P(O) is."""
    p_class = seen.p_class.mean(0)[:, :-1]
    best = p_class.flatten().argsort(descending=True, stable=True)[:KEPT]
    row, label = best // p_class.shape[1], best % p_class.shape[1]
    numbers = {"label": label, "p_class": p_class[row, label], "p_object": seen.p_object[row]}
    kept = Instances(seen.size, pred_boxes=Boxes(seen.boxes[row]), **numbers)
    kept = detector_postprocess(kept, *seen.stored)
    columns = zip(
        kept.pred_boxes.tensor.tolist(),
        kept.label.tolist(),
        *(_three_digits(kept.get(name)) for name in ("p_class", "p_object")),
        strict=True,
    )
    rows = [[*(round(side, 1) for side in box), *rest] for box, *rest in columns]
    return {"image_id": image_id, "rows": rows}


def _three_digits(values):
    return [float(f"{value:.3g}") for value in values.tolist()]
