"""Bootstrap: AP on validation images that are drawn again, with replacement.

Every evaluation of a data set of so many images draws the same ones, so differences of two
detectors are taken replicate by replicate. B replicates, N images, T IoU thresholds, D detections.
"""

import numpy as np
from hotcoco import COCOeval

REPLICATES = 100
SEED = 2021
RECALLS = np.linspace(0, 1, 101)  # COCO's


def draws(images: int, replicates: int = REPLICATES) -> np.ndarray:
    """How often each of N images is in each replicate, (B, N): always the same of so many."""
    rng = np.random.default_rng([SEED, images])
    return rng.multinomial(images, np.full(images, 1 / images), replicates)


def resampled_ap(scorer: COCOeval, counts: np.ndarray) -> np.ndarray:
    """AP in percent of each replicate, (B,), whose `counts` (B, N) tell of each image how often.

    `scorer` has evaluated, with image ids from 0. NaN where a replicate has no object.
    """
    whole, most = scorer.params.area_rng[0], max(scorer.params.max_dets)
    of_class: dict[int, list] = {}
    for item in scorer.eval_imgs:
        if item and item["aRng"] == list(whole) and item["maxDet"] == most:
            of_class.setdefault(item["category_id"], []).append(item)
    per_class = [_class_ap(items, counts) for items in of_class.values()]
    values = np.array(per_class).reshape(-1, len(counts))
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(0)
    return np.where(known.any(0), 100 * total / np.maximum(known.sum(0), 1), np.nan)


def _class_ap(items, counts):
    """AP of one class in each replicate, (B,); NaN where it has no object there."""
    images = [item["image_id"] for item in items]
    objects = counts[:, images] @ [item["gtIgnore"].count(False) for item in items]  # (B,)
    order = np.argsort(-_joined(items, "dtScores")[0], kind="stable")
    found = [len(item["dtScores"]) for item in items]
    weight = counts[:, np.repeat(images, found)[order]]  # (B, D)
    matched, ignored = (
        _joined(items, name)[:, order].astype(bool) for name in ("dtMatched", "dtIgnore")
    )
    thresholds = zip(matched & ~ignored, ~matched & ~ignored, strict=True)
    values = [_ap(weight, right, wrong, objects) for right, wrong in thresholds]
    return np.where(objects > 0, np.mean(values, 0), np.nan)


def _joined(items, name):
    """A field of the detections of all images, (T, D) or (1, D)."""
    rows = len(items[0][name]) if np.ndim(items[0][name][:1]) == 2 else 1
    return np.concatenate([np.reshape(item[name], (rows, -1)) for item in items], 1)


def _ap(weight, right, wrong, objects):
    """The mean of precision at COCO's recalls, (B,), of detections in their order."""
    hits, misses = (weight * right).cumsum(1), (weight * wrong).cumsum(1)  # (B, D)
    precision = hits / np.maximum(hits + misses, 1)
    precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    recall = hits / np.maximum(objects, 1)[:, None]
    padded = np.hstack([precision, np.zeros((len(weight), 1))])
    at = [np.searchsorted(of_replicate, RECALLS) for of_replicate in recall]
    return np.take_along_axis(padded, np.array(at), 1).mean(1)
