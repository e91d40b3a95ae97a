"""Errors: what a detector gets wrong, by kind, by class and by picture; all by hotcoco."""

from typing import NamedTuple

import numpy as np
from detectron2.structures import Instances
from numpy.typing import NDArray

from p2s.data.coco import CocoSet
from p2s.measure.coco import ERRORS, evaluated
from p2s.measure.rows import Rows

IOU = 0.5  # of a detection that is on an object
SURE = 0.3  # lowest score of what a user sees: `p2s predict` draws from there on
SHOWN = 12  # pictures


class Wrong(NamedTuple):
    """An image in which something is wrong, as indices of its annotations and detections."""

    image: int
    missed: list[int]
    false: list[int]
    right: int  # how many objects are found


class Errors(NamedTuple):
    """What is wrong with the detections of a data set of K classes."""

    lost: dict[str, float]  # AP50 in percent that each of TIDE's errors costs
    counts: dict[str, int]  # how many there are
    # Of sure detections, (K + 1, K + 1): rows are classes of objects, columns of detections; the
    # last row is of detections on no object, the last column of objects that are missed.
    confusion: NDArray
    worst: list[Wrong]  # by sure detections, the image with most errors first


def errors_of(
    data: CocoSet, detections: list[Instances], sure: float = SURE, shown: int = SHOWN
) -> Errors:
    """TIDE's errors (Bolya et al., 2020), the confusion matrix and the worst images."""
    rows = Rows.of_detections(detections)
    tide = evaluated(data, rows).tide_errors(IOU)
    seen = rows.scores >= sure
    scorer = evaluated(data, rows.where(seen))
    confusion = scorer.confusion_matrix(iou_thr=IOU)["matrix"].astype(int)
    every = _wrong(data, detections, seen, scorer.image_diagnostics(IOU))
    ranked = sorted(every, key=lambda one: -len(one.missed) - len(one.false))
    worst = [one for one in ranked if one.missed or one.false][:shown]
    lost = {name: 100 * tide["delta_ap"][name] for name in ERRORS}
    return Errors(lost, {name: tide["counts"][name] for name in ERRORS}, confusion, worst)


def confusions(matrix: NDArray, names: tuple[str, ...]) -> list[tuple[str, str, int]]:
    """Classes of objects, and the other classes as which they were detected, how often."""
    among = matrix[:-1, :-1] * ~np.eye(len(names), dtype=bool)
    places = sorted(zip(*among.nonzero(), strict=True), key=lambda place: -among[place])
    return [(names[row], names[column], int(among[row, column])) for row, column in places]


def _wrong(data, detections, seen, verdicts):
    """Of each image what is wrong; hotcoco counts detections and objects from 1."""
    found = [(image, k) for image, of in enumerate(detections) for k in range(len(of))]
    found = [place for place, is_seen in zip(found, seen, strict=True) if is_seen]
    objects = [(image, k) for image, of in enumerate(data.annotations) for k in range(len(of))]
    every = [Wrong(image, [], [], 0) for image in range(len(data.images))]
    for number, status in sorted(verdicts["dt_status"].items()):
        image, k = found[number - 1]
        if status == "fp":
            every[image].false.append(k)
    for number, status in sorted(verdicts["gt_status"].items()):
        image, k = objects[number - 1]
        if status == "fn":
            every[image].missed.append(k)
        else:
            every[image] = every[image]._replace(right=every[image].right + 1)
    return every
