"""COCO evaluation: hotcoco beside pycocotools, on the same invented detections."""

import io
import time
from contextlib import redirect_stdout
from typing import Any

import numpy as np
from hotcoco import COCO as HotCOCO
from hotcoco import COCOeval as HotEval
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

CLASSES, OBJECTS, DETECTIONS = 80, 7, 100  # COCO: classes, objects and detections an image
EVALUATORS = {"pycocotools": (COCO, "loadRes", COCOeval), "hotcoco": (HotCOCO, "load_res", HotEval)}


def evaluator_times(images: int, seed: int = 0) -> dict[str, Any]:
    """Seconds and the largest difference of the 12 numbers of both evaluators, a row each."""
    truth, detections = _invented(images, np.random.default_rng(seed))
    rows, numbers = [], {}
    for way, evaluator in EVALUATORS.items():
        start = time.perf_counter()
        numbers[way] = _evaluated(truth, detections, *evaluator)
        rows.append({"way": way, "runtime": way, "total": time.perf_counter() - start})
    for row in rows:
        row["ratio"] = rows[0]["total"] / row["total"]
    difference = np.abs(np.subtract(*numbers.values())).max()
    return {"rows": rows, "largest_difference": float(difference), "AP": numbers["hotcoco"][0]}


def _invented(images, rng):
    truth = {
        "images": [{"id": k, "width": 640, "height": 480} for k in range(images)],
        "categories": [{"id": k, "name": str(k)} for k in range(CLASSES)],
        "annotations": [],
    }
    count = images * OBJECTS
    boxes = np.column_stack([rng.uniform(0, 400, (count, 2)), rng.uniform(5, 240, (count, 2))])
    labels = rng.integers(0, CLASSES, count)
    for k, (box, label) in enumerate(zip(boxes.tolist(), labels.tolist(), strict=True)):
        names = {"id": k + 1, "image_id": k // OBJECTS, "category_id": label, "bbox": box}
        truth["annotations"].append({**names, "area": box[2] * box[3], "iscrowd": 0})
    return truth, _detections(images, boxes, labels, rng)


def _detections(images, boxes, labels, rng):
    """Rows (image, x, y, w, h, score, class): every object shifted a little, others anywhere."""
    image = np.repeat(np.arange(images), DETECTIONS)
    pick = image * OBJECTS + rng.integers(0, OBJECTS, len(image))
    places = boxes[pick] + rng.normal(0, 8, (len(image), 4))
    places[:, 2:] = places[:, 2:].clip(1)
    right = rng.random(len(image)) < 0.5
    label = np.where(right, labels[pick], rng.integers(0, CLASSES, len(image)))
    return np.column_stack([image, places, rng.random(len(image)), label])


def _evaluated(truth, detections, dataset, load, evaluator):
    with redirect_stdout(io.StringIO()):
        coco = _dataset(dataset, truth)
        scorer = evaluator(coco, getattr(coco, load)(detections), "bbox")
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    return [float(number) for number in scorer.stats]


def _dataset(kind, truth):
    if kind is HotCOCO:
        return kind(truth)
    coco = kind()
    coco.dataset = truth
    coco.createIndex()
    return coco
