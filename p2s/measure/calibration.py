"""Calibration: is P(O), P(C|O) or a score of .8 right in 80 of 100 cases?

Each probability is held against an event of its own:

    p_object        P(O) of a proposal, as the second stage gets it: it is the match of an object
    p_object_near   the same P(O): its IoU with some object is .5 or more, matched or not
    p_object_after  P(O) of a detection: so is the IoU of its final box
    p_class         P(C|O) of a detection whose final box has such an IoU: its class is that of the
                    object it overlaps most
    score           fused score of a detection: it is the match of an object of its class

A match is COCO's at IoU .5, by hotcoco: in an image the likeliest comes first, and takes the object
that it overlaps most of those not yet taken; each object is taken once, so a duplicate is an error.
For `score` this happens class by class, for `p_object` without classes. What is no hit and lies by
half or more on a crowd is left out (for `score`, on a crowd of its class).

One-stage detectors have a score alone. P(C|O) counts background as a class, so it can claim less
than the event's share where a box overlaps an object too little to have been trained as one.
"""

from typing import NamedTuple

import numpy as np
import torch
from detectron2.structures import Instances
from hotcoco import primitives
from numpy.typing import NDArray
from torch import nn
from torchvision.ops import box_convert

from p2s.data.coco import CocoSet
from p2s.maths.geometry import paired_iou
from p2s.measure import coco
from p2s.measure.calibration_errors import Judged, d_ece, held_out, la_ece, reliability
from p2s.measure.rows import Rows
from p2s.spec import Spec

IOU = 0.5  # of a box that is on an object
# Without a threshold, COCO's 100 detections of an image are judged, whatever their score: most are
# claims near 0, which are easily right, and the error is mostly theirs. Those above .05
# (detectron2's threshold) are what a user sees. It acts on what ranks: the fused score of
# detections, P(O) of proposals.
SAMPLES = {"all": 0.0, "above_.05": 0.05}


class _Truths(NamedTuple):
    """The G annotations of all images, in order."""

    image: NDArray  # (G,): position
    boxes: NDArray  # (G, 4): x, y, width, height
    labels: NDArray  # (G,): class numbers
    crowd: NDArray  # (G,): whether it is one


def calibration_numbers(model: nn.Module, data: CocoSet, spec: Spec) -> dict:
    """Calibration of a trained detector on the images of `data`, as a dict for a record.

    By probability and sample: the number of claims, their mean, the share of hits, D-ECE, LaECE,
    `reliability` and `held_out`; errors in percent. "tide": TIDE's errors above .05.
    """
    test = spec.changed({"test": {"score_threshold": 0.0}}).test
    detections, proposals = coco.detect(model, data, test)
    judged = {"score": judge_scores(data, detections)}
    if spec.second != "none":
        judged |= judge_stages(data, detections, proposals)
    summaries = {
        name: {
            sample: _summary(claims.where(claims.score > floor))
            for sample, floor in SAMPLES.items()
        }
        for name, claims in judged.items()
    }
    return summaries | {"tide": tide(data, detections)}


def judge_scores(data: CocoSet, detections: list[Instances]) -> Judged:
    """The fused scores of detections as claims, each judged."""
    return _matched(data, Rows.of_detections(detections), by_class=True)


def judge_stages(
    data: CocoSet, detections: list[Instances], proposals: list[Instances]
) -> dict[str, Judged]:
    """P(O) and P(C|O) of detections and proposals as claims, each judged."""
    truths = _truths(data)
    detected, proposed = Rows.of_detections(detections), _proposal_rows(proposals)
    before, after = _nearest(proposed, truths), _nearest(detected, truths)
    p_object, p_class = (_column(detections, name) for name in ("p_object", "p_class"))
    return {
        "p_object": _matched(data, proposed, by_class=False),
        "p_object_near": _near(proposed, proposed.scores, before),
        "p_object_after": _near(detected, p_object, after),
        "p_class": _classified(detected, p_class, after, truths),
    }


def tide(data: CocoSet, detections: list[Instances]) -> dict:
    """TIDE's errors of detections above .05: "counts", and "delta_ap", the AP50 each costs.

    In percent, by hotcoco (Bolya et al., 2020).
    """
    rows = Rows.of_detections(detections)
    scorer = coco.scorer_of(data, rows.where(rows.scores > SAMPLES["above_.05"]))
    scorer.evaluate()
    errors = scorer.tide_errors(IOU)
    lost = {name: round(100 * loss, 3) for name, loss in errors["delta_ap"].items()}
    return {"counts": errors["counts"], "delta_ap": lost}


def _summary(judged):
    numbers = {
        "mean": judged.prob.mean() if len(judged.prob) else np.nan,
        "share": judged.hit.mean() if len(judged.hit) else np.nan,
        "d_ece": d_ece(judged.prob, judged.hit),
        "la_ece": la_ece(judged),
        **{f"held_out_{name}": value for name, value in held_out(judged).items()},
    }
    rounded = {k: round(float(v), 4) if np.isfinite(v) else None for k, v in numbers.items()}
    return {"count": len(judged.prob), **rounded, "bins": reliability(judged)}


def _matched(data, rows, by_class):
    """Scores of rows against COCO's matches; rows on a crowd are left out."""
    scorer = coco.scorer_of(data, rows)
    scorer.params.use_cats = by_class
    most = np.unique(rows.image, return_counts=True)[1].max(initial=10)
    scorer.params.max_dets = [1, 10, int(most)]
    scorer.evaluate()
    verdicts = scorer.image_diagnostics(IOU)
    ids = range(1, len(rows) + 1)  # hotcoco's, of rows as of annotations
    counts = np.array([i in verdicts["dt_status"] for i in ids], bool)
    match = np.array([verdicts["dt_match"].get(i, 0) for i in ids], int) - 1
    hit = match >= 0
    iou = np.zeros(len(rows))
    iou[hit] = _iou(rows.boxes[hit], _truths(data).boxes[match[hit]])
    return _judged(rows, rows.scores, hit, iou).where(counts)


def _near(rows, prob, nearest):
    iou, _, on_crowd = nearest
    hit = iou >= IOU
    return _judged(rows, prob, hit, iou * hit).where(hit | (on_crowd < IOU))


def _classified(rows, prob, nearest, truths):
    iou, place, _ = nearest
    on = iou >= IOU
    hit = rows.labels[on] == truths.labels[place[on]]
    return _judged(rows.where(on), prob[on], hit, iou[on] * hit)


def _judged(rows, prob, hit, iou):
    return Judged(prob, hit, iou, rows.labels, rows.scores, rows.image)


def _nearest(rows, truths):
    """Of each row the IoU and place of the truth it overlaps most, and its share on a crowd."""
    iou, place, on_crowd = np.zeros(len(rows)), np.zeros(len(rows), int), np.zeros(len(rows))
    for image in np.unique(truths.image):
        r, t = (slice(*np.searchsorted(of.image, [image, image + 1])) for of in (rows, truths))
        crowd = truths.crowd[t]
        overlap = primitives.bbox_iou(rows.boxes[r], truths.boxes[t], crowd)  # (R, G)
        iou[r] = (overlap * ~crowd).max(1)
        place[r] = t.start + (overlap * ~crowd).argmax(1)
        on_crowd[r] = (overlap * crowd).max(1)
    return iou, place, on_crowd


def _iou(boxes, others):
    corners = [box_convert(torch.from_numpy(side), "xywh", "xyxy") for side in (boxes, others)]
    return paired_iou(*corners).numpy()


def _truths(data):
    number = {category: k for k, category in enumerate(data.category_ids)}
    pairs = [(image, item) for image, items in enumerate(data.annotations) for item in items]
    return _Truths(
        np.array([image for image, _ in pairs], int),
        np.array([item["bbox"] for _, item in pairs], float).reshape(-1, 4),
        np.array([number[item["category_id"]] for _, item in pairs], int),
        np.array([item.get("iscrowd", 0) for _, item in pairs], bool),
    )


def _proposal_rows(proposals):
    return Rows.joined(
        Rows.of_image(image, proposed.proposal_boxes.tensor, _p_object(proposed))
        for image, proposed in enumerate(proposals)
    )


def _p_object(proposals):
    return proposals.objectness_logits.double().sigmoid()


def _column(detections, name):
    columns = [detected.get(name).double().numpy() for detected in detections]
    return np.concatenate([np.zeros(0), *columns])
