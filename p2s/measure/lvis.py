"""LVIS's numbers: federated AP, and AP-fixed; the oracle in the tests is brute force.

A class counts in the images where it is annotated or known to be absent, nowhere else; where its
annotation is not exhaustive, a detection that matches no object is ignored (Gupta et al., 2019).
"""

from collections.abc import Callable, Sequence, Set

import numpy as np
from detectron2.structures import Instances
from hotcoco import COCO, LVISeval

from p2s.data.coco import CocoSet
from p2s.data.lvis import LvisSet
from p2s.measure.coco import percent, truth_of
from p2s.measure.rows import Rows

OF_IMAGE, OF_CLASS = 300, 10_000  # detections that count: LVIS; Dave et al. (2021)
FIXED = ("AP", "APr", "APc", "APf")  # which AP-fixed is given of
Classes = Set[int] | Sequence[int]  # class numbers
Groups = dict[str, list[int]]  # class numbers by "r", "c" and "f"
NUMBERS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf")


def best_of_image(rows: Rows) -> Rows:
    """The best 300 rows of each image, of all classes together: what LVIS evaluates."""
    return _best(rows, rows.image, OF_IMAGE)


def best_of_class(rows: Rows) -> Rows:
    """The best 10,000 rows of each class over all images: AP-fixed (arXiv 2102.01066)."""
    return _best(rows, rows.labels, OF_CLASS)


def federated_numbers(data: LvisSet, detections: list[Instances]) -> dict:
    """The numbers of an LvisSet, a dict as `lvis_numbers`; AP-fixed beside them as "AP_fixed", ...

    AP-fixed is of the detections that are given: it wants more than 300 an image.
    """
    truth = _truth(data, data.negatives, data.not_exhaustive, data.groups)
    rows = Rows.of_detections(detections)
    fixed = _scored(truth, best_of_class(rows), data.classes)
    more = {f"{name}_fixed": fixed[name] for name in FIXED}
    return _scored(truth, best_of_image(rows), data.classes) | more


def full_numbers(data: CocoSet, detections: list[Instances], groups: Groups) -> dict:
    """The same dict as `lvis_numbers` where `data` has every object of every class."""
    every = [range(len(data.classes))] * len(data)
    return lvis_numbers(data, detections, every, [()] * len(data), groups)


def lvis_numbers(
    data: CocoSet,
    detections: list[Instances],
    negatives: Sequence[Classes],
    not_exhaustive: Sequence[Classes],
    groups: Groups,
    best: Callable[[Rows], Rows] = best_of_image,
) -> dict:
    """LVIS's AP numbers in percent by name and "per_class" AP by class name; NaN without truth.

    AP, AP50, AP75, APs, APm, APl, APr, APc, APf. `negatives` and `not_exhaustive` are a set of
    class numbers an image, `groups` are class numbers by "r", "c" and "f"; `best` chooses which
    detections count.
    """
    truth = _truth(data, negatives, not_exhaustive, groups)
    return _scored(truth, best(Rows.of_detections(detections)), data.classes)


def _scored(truth, rows, classes):
    """`lvis_numbers` of the rows that count against a COCO of `_truth`."""
    counted = truth.load_res(rows.array).cap_detections_per_image(None)  # the rows are cut
    scorer = LVISeval(truth, counted, "bbox")
    scorer.params.max_dets = [max(len(rows), 1)]  # its own are 300 of a class in an image
    scorer.evaluate()
    scorer.accumulate()
    scorer.summary_lines()  # run() would print them
    results = scorer.get_results()
    numbers = {name: percent([results[name]]) for name in NUMBERS}
    precision = scorer.eval["precision"][:, :, :, 0, 0]  # (IoU, recall, K): any area
    per_class = {name: percent(precision[:, :, k]) for k, name in enumerate(classes)}
    return {**numbers, "per_class": per_class}


def _truth(data, negatives, not_exhaustive, groups):
    """The COCO of `data` with LVIS's lists of each image and the group of each category."""
    truth = truth_of(data)
    lists = zip(truth["images"], negatives, not_exhaustive, strict=True)
    for image, negative, partial in lists:
        image["neg_category_ids"] = sorted(negative)
        image["not_exhaustive_category_ids"] = sorted(partial)
    for group, classes in groups.items():
        for k in classes:
            truth["categories"][k]["frequency"] = group
    return COCO(truth)


def _best(rows, column, limit):
    """In their order, the `limit` best-scored rows of each value of a column; ties: the first."""
    order = np.lexsort((-rows.scores, column))
    ordered = column[order]
    rank = np.arange(len(rows)) - np.searchsorted(ordered, ordered)
    return rows.where(np.sort(order[rank < limit]))
