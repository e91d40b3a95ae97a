"""Evaluation: COCO's numbers, in percent, by hotcoco; pycocotools is the oracle in the tests.

Images and classes go to the evaluator by their position in the data, so any file's ids will do.
"""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import torch
from detectron2.structures import Instances
from hotcoco import COCO, COCOeval
from numpy.typing import ArrayLike
from torch import nn

from p2s.data.coco import CocoSet
from p2s.data.loader import test_inputs
from p2s.maths import ranks
from p2s.measure.bootstrap import draws, resampled_ap
from p2s.measure.rows import Rows
from p2s.spec import Test

ERRORS = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")
Pair = tuple[Instances, Instances]  # detections and proposals of an image
PROPOSALS_AT = (100, 256)  # Sec. 5: proposals an image, of which recall is given


def detect(model: nn.Module, data: CocoSet, test: Test) -> tuple[list[Instances], list[Instances]]:
    """Detections and proposals of each image, as two lists of `Instances` in its pixels.

    One image at a time: what is found in an image depends on no other image. Several ranks share
    the images, and each has all answers.
    """

    def look(index):
        [pair] = answers(model, [test_inputs(data, index, test)], test)
        return pair

    return columns(of_each(data, look))


def of_each(data: CocoSet, look: Callable[[int], Any]) -> list:
    """What is seen in each image by its number; ranks share the images, and each has all."""
    return ranks.gathered([look(index) for index in range(len(data.images))[ranks.part()]])


def columns(pairs: list[Pair]) -> tuple[list[Instances], list[Instances]]:
    """Detections and proposals of each image, as two lists."""
    detections, proposals = map(list, zip(*pairs, strict=True)) if pairs else ([], [])
    return detections, proposals


@torch.inference_mode()
def answers(model: nn.Module, batch: list[dict], test: Test) -> list[Pair]:
    """Detections and proposals of each input of a batch, on the CPU."""
    model.eval()
    model.set_test(test)
    pairs = zip(*model.detect(batch), strict=True)
    return [(detected.to("cpu"), proposed.to("cpu")) for detected, proposed in pairs]


def coco_numbers(data: CocoSet, detections: list[Instances]) -> dict:
    """COCO's 12 numbers by name and "per_class" AP by class name; NaN where no truth is.

    AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl; detections hold
    `pred_boxes`, `scores` and `pred_classes`. Besides them TIDE's errors: how much AP50 would gain
    if all detections of a wrong class, place, both, duplicates or background were put right, or
    all misses found: TIDE_Cls, _Loc, _Both, _Dupe, _Bkg, _Miss (Bolya et al., 2020).
    """
    scorer = scorer_of(data, Rows.of_detections(detections))
    with redirect_stdout(io.StringIO()):
        scorer.run()
    results = scorer.get_results()
    numbers = {name: percent([results[name]]) for name in scorer.metric_keys()}
    precision = scorer.eval["precision"][:, :, :, 0, -1]  # (IoU, recall, K): any area, 100 found
    per_class = {name: percent(precision[:, :, k]) for k, name in enumerate(data.classes)}
    return {**numbers, **_errors(scorer), "per_class": per_class}


def replicates(data: CocoSet, detections: list[Instances]) -> list[float]:
    """AP in percent of images drawn again, see p2s.measure.bootstrap."""
    scorer = evaluated(data, Rows.of_detections(detections))
    return resampled_ap(scorer, draws(len(data.images))).round(2).tolist()


def proposal_recall(data: CocoSet, proposals: list[Instances]) -> dict[str, float]:
    """Class-agnostic AR over IoU .5:.95 of proposals, and how many there are, as a dict.

    "proposal_AR" of all, "proposal_AR100" and "proposal_AR256" of the best; "proposals_per_image".
    """
    rows = [
        Rows.of_image(image, proposed.proposal_boxes.tensor, proposed.objectness_logits)
        for image, proposed in enumerate(proposals)
    ]
    scorer = scorer_of(data, Rows.joined(rows))
    scorer.params.use_cats = False
    scorer.params.max_dets = [*PROPOSALS_AT, max(PROPOSALS_AT[-1], *map(len, rows), 0)]
    scorer.evaluate()
    scorer.accumulate()
    recall = scorer.eval["recall"][:, 0, 0]  # (IoU, counts): any area
    at = {f"proposal_AR{n}": percent(recall[:, i]) for i, n in enumerate(PROPOSALS_AT)}
    at["proposal_AR"] = percent(recall[:, -1])
    return {**at, "proposals_per_image": sum(map(len, rows)) / max(len(rows), 1)}


def score(
    data: CocoSet,
    detections: list[Instances],
    proposals: list[Instances],
    numbers: Callable[[CocoSet, list[Instances]], dict] = coco_numbers,
) -> dict:
    """The `numbers` of detections, with those of `proposal_recall`, in one dict."""
    return {**numbers(data, detections), **proposal_recall(data, proposals)}


def evaluate(model: nn.Module, data: CocoSet, test: Test) -> dict:
    """Detect in every image of `data` with the test settings, and score what was found.

    A dict as that of `score`.
    """
    return score(data, *detect(model, data, test))


def scorer_of(data: CocoSet, rows: Rows) -> COCOeval:
    """hotcoco's evaluator of the rows of all images; it counts annotations from 1."""
    truth = COCO(truth_of(data))
    return COCOeval(truth, truth.load_res(rows.array), "bbox")


def evaluated(data: CocoSet, rows: Rows) -> COCOeval:
    """An evaluator that has matched the rows of all images with the truth."""
    scorer = scorer_of(data, rows)
    scorer.evaluate()
    return scorer


def _errors(scorer):
    parts = scorer.tide_errors()["delta_ap"]
    return {f"TIDE_{name}": 100 * parts[name] for name in ERRORS}


def truth_of(data: CocoSet) -> dict:
    """The images, annotations and classes of `data` in COCO's format, numbered by position."""
    position = {category: k for k, category in enumerate(data.category_ids)}
    boxes = [
        {
            "bbox": item["bbox"],
            "area": item.get("area", item["bbox"][2] * item["bbox"][3]),
            "iscrowd": item.get("iscrowd", 0),
            "image_id": image,
            "category_id": position[item["category_id"]],
        }
        for image, items in enumerate(data.annotations)
        for item in items
    ]
    sizes = [{"width": row["width"], "height": row["height"]} for row in data.images]
    return {
        "images": [{"id": i, **size} for i, size in enumerate(sizes)],
        "annotations": [{"id": i + 1, **box} for i, box in enumerate(boxes)],
        "categories": [{"id": k, "name": name} for k, name in enumerate(data.classes)],
    }


def percent(values: ArrayLike) -> float:
    """The mean of what the evaluator could measure: it writes -1 where there is no truth."""
    measured = np.asarray(values)[np.asarray(values) > -1]
    return 100 * float(measured.mean()) if measured.size else float("nan")
