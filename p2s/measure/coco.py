"""Evaluation: COCO's numbers, in percent, by hotcoco; pycocotools is the oracle in the tests.

Images and classes go to the evaluator by their position in the data, so any file's ids will do.
"""

import io
from contextlib import redirect_stdout

import numpy as np
import torch
from hotcoco import COCO, COCOeval

from p2s.data.loader import test_inputs

PROPOSALS_AT = (100, 256)  # Sec. 5: proposals an image, of which recall is given


@torch.inference_mode()
def detect(model, data, test):
    """Detections and proposals of each image, as two lists of `Instances` in its pixels.

    One image at a time: what is found in an image depends on no other image.
    """
    model.eval()
    model.set_test(test)
    found = [model.detect([test_inputs(data, i, test)]) for i in range(len(data.images))]
    detections = [each.to("cpu") for (each,), _ in found]
    proposals = [each.to("cpu") for _, (each,) in found]
    return detections, proposals


def coco_numbers(data, detections):
    """COCO's 12 numbers by name and "per_class" AP by class name; NaN where no truth is.

    AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl; detections hold
    `pred_boxes`, `scores` and `pred_classes`.
    """
    scorer = scorer_of(data, rows_of(detections))
    with redirect_stdout(io.StringIO()):
        scorer.run()
    found = scorer.get_results()
    numbers = {name: percent([found[name]]) for name in scorer.metric_keys()}
    precision = scorer.eval["precision"][:, :, :, 0, -1]  # (IoU, recall, K): any area, 100 found
    per_class = {name: percent(precision[:, :, k]) for k, name in enumerate(data.classes)}
    return {**numbers, "per_class": per_class}


def proposal_recall(data, proposals):
    """Class-agnostic AR over IoU .5:.95 of proposals, and how many there are, as a dict.

    "proposal_AR" of all, "proposal_AR100" and "proposal_AR256" of the best; "proposals_per_image".
    """
    rows = [
        coco_rows(image, each.proposal_boxes.tensor, each.objectness_logits, None)
        for image, each in enumerate(proposals)
    ]
    scorer = scorer_of(data, joined(rows))
    scorer.params.use_cats = False
    scorer.params.max_dets = [*PROPOSALS_AT, max(PROPOSALS_AT[-1], *map(len, rows), 0)]
    scorer.evaluate()
    scorer.accumulate()
    recall = scorer.eval["recall"][:, 0, 0]  # (IoU, counts): any area
    at = {f"proposal_AR{n}": percent(recall[:, i]) for i, n in enumerate(PROPOSALS_AT)}
    at["proposal_AR"] = percent(recall[:, -1])
    return {**at, "proposals_per_image": sum(map(len, rows)) / max(len(rows), 1)}


def score(data, detections, proposals, numbers=coco_numbers):
    """The `numbers` of detections, with those of `proposal_recall`, in one dict."""
    return {**numbers(data, detections), **proposal_recall(data, proposals)}


def evaluate(model, data, test):
    """Detect in every image of `data` with the test settings, and score what was found.

    A dict as that of `score`.
    """
    return score(data, *detect(model, data, test))


def scorer_of(data, rows):
    """hotcoco's evaluator of `coco_rows` of all images (R, 7); it counts annotations from 1."""
    truth = COCO(truth_of(data))
    return COCOeval(truth, truth.load_res(rows), "bbox")


def rows_of(detections):
    """The `coco_rows` of detections, `Instances` of each image, one after the other: (R, 7)."""
    return joined(
        coco_rows(image, each.pred_boxes.tensor, each.scores, each.pred_classes)
        for image, each in enumerate(detections)
    )


def joined(rows):
    """An array of `coco_rows` an image as one of all, which may be none: (R, 7)."""
    return np.concatenate([np.zeros((0, 7)), *rows])


def coco_rows(image, boxes, scores, classes):
    """One row [image, x, y, w, h, score, class] for each box x1, y1, x2, y2: (R, 7)."""
    corner, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    classes = torch.zeros_like(scores) if classes is None else classes
    columns = [torch.full_like(scores, image)[:, None], corner, size, scores[:, None]]
    return torch.cat([*columns, classes[:, None]], 1).double().numpy()


def truth_of(data):
    """The images, annotations and classes of `data` in COCO's format, numbered by position."""
    position = {category: k for k, category in enumerate(data.category_ids)}
    boxes = [
        {
            "bbox": one["bbox"],
            "area": one.get("area", one["bbox"][2] * one["bbox"][3]),
            "iscrowd": one.get("iscrowd", 0),
            "image_id": image,
            "category_id": position[one["category_id"]],
        }
        for image, of_image in enumerate(data.annotations)
        for one in of_image
    ]
    sizes = [{"width": one["width"], "height": one["height"]} for one in data.images]
    return {
        "images": [{"id": i, **size} for i, size in enumerate(sizes)],
        "annotations": [{"id": i + 1, **one} for i, one in enumerate(boxes)],
        "categories": [{"id": k, "name": name} for k, name in enumerate(data.classes)],
    }


def percent(values):
    """The mean of what the evaluator could measure: it writes -1 where there is no truth."""
    measured = np.asarray(values)[np.asarray(values) > -1]
    return 100 * float(measured.mean()) if measured.size else float("nan")
