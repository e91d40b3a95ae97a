"""LVIS's numbers: federated AP, and AP-fixed; the oracle in the tests is brute force.

A class counts in the images where it is annotated or known to be absent, nowhere else; where its
annotation is not exhaustive, a detection that matches no object is ignored (Gupta et al., 2019).
"""

import numpy as np
from hotcoco import COCO, LVISeval

from p2s.measure.coco import percent, rows_of, truth_of

OF_IMAGE, OF_CLASS = 300, 10_000  # detections that count: LVIS; Dave et al. (2021)
IMAGE, SCORE, CLASS = 0, 5, 6  # columns of `evaluate.coco_rows`
FIXED = ("AP", "APr", "APc", "APf")  # which AP-fixed is given of
NUMBERS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf")


def best_of_image(rows):
    """The best 300 rows (R, 7) of each image, of all classes together: what LVIS evaluates."""
    return _best(rows, IMAGE, OF_IMAGE)


def best_of_class(rows):
    """The best 10,000 rows (R, 7) of each class over all images: AP-fixed (arXiv 2102.01066)."""
    return _best(rows, CLASS, OF_CLASS)


def federated_numbers(data, detections):
    """The numbers of an LvisSet, a dict as `lvis_numbers`; AP-fixed beside them as "AP_fixed", ...

    AP-fixed is of the detections that are given: it wants more than 300 an image.
    """
    truth = _truth(data, data.negatives, data.not_exhaustive, data.groups)
    rows = rows_of(detections)
    fixed = _scored(truth, best_of_class(rows), data.classes)
    more = {f"{name}_fixed": fixed[name] for name in FIXED}
    return _scored(truth, best_of_image(rows), data.classes) | more


def full_numbers(data, detections, groups):
    """The same dict as `lvis_numbers` where `data` has every object of every class."""
    every = [range(len(data.classes))] * len(data)
    return lvis_numbers(data, detections, every, [()] * len(data), groups)


def lvis_numbers(data, detections, negatives, not_exhaustive, groups, best=best_of_image):
    """LVIS's AP numbers in percent by name and "per_class" AP by class name; NaN without truth.

    AP, AP50, AP75, APs, APm, APl, APr, APc, APf. `negatives` and `not_exhaustive` are a set of
    class numbers an image, `groups` are class numbers by "r", "c" and "f"; `best` chooses which
    detections count.
    """
    truth = _truth(data, negatives, not_exhaustive, groups)
    return _scored(truth, best(rows_of(detections)), data.classes)


def _scored(truth, rows, classes):
    """`lvis_numbers` of the rows (R, 7) that count against a COCO of `_truth`."""
    counted = truth.load_res(rows).cap_detections_per_image(None)  # the rows are cut
    scorer = LVISeval(truth, counted, "bbox")
    scorer.params.max_dets = [max(len(rows), 1)]  # its own are 300 of a class in an image
    scorer.evaluate()
    scorer.accumulate()
    scorer.summary_lines()  # run() would print them
    found = scorer.get_results()
    numbers = {name: percent([found[name]]) for name in NUMBERS}
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
    order = np.lexsort((-rows[:, SCORE], rows[:, column]))
    ordered = rows[order, column]
    rank = np.arange(len(rows)) - np.searchsorted(ordered, ordered)
    return rows[np.sort(order[rank < limit])]
