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

import numpy as np
import torch
from hotcoco import primitives
from torchvision.ops import box_convert

from p2s.maths.geometry import paired_iou
from p2s.measure import coco
from p2s.measure.calibration_errors import Judged, d_ece, held_out, la_ece, reliability

IOU = 0.5  # of a box that is on an object
# Without a threshold, COCO's 100 detections of an image are judged, whatever their score: most are
# claims near 0, which are easily right, and the error is mostly theirs. Those above .05
# (detectron2's threshold) are what a user sees. It acts on what ranks: the fused score of
# detections, P(O) of proposals.
SAMPLES = {"all": 0.0, "above_.05": 0.05}
IMAGE, BOX, SCORE, LABEL = 0, slice(1, 5), 5, 6  # columns of `evaluate.coco_rows`


def measure(model, data, spec):
    """Calibration of a trained detector on the images of `data`, as a dict for a record.

    By probability and sample: the number of claims, their mean, the share of hits, D-ECE, LaECE,
    `reliability` and `held_out`; errors in percent. "tide": TIDE's errors above .05.
    """
    test = spec.changed({"test": {"score_threshold": 0.0}}).test
    detections, proposals = coco.detect(model, data, test)
    judged = {"score": judge_scores(data, detections)}
    if spec.second != "none":
        judged |= judge_stages(data, detections, proposals)
    found = {
        name: {
            sample: _summary(each.where(each.score > floor)) for sample, floor in SAMPLES.items()
        }
        for name, each in judged.items()
    }
    return found | {"tide": tide(data, detections)}


def judge_scores(data, detections):
    """The fused scores of detections, a list of `Instances` an image, as `Judged`."""
    rows = coco.rows_of(detections)
    return _matched(data, rows, by_class=True)


def judge_stages(data, detections, proposals):
    """P(O) and P(C|O) of detections and proposals, lists of `Instances`, as `Judged` by name."""
    truths, found, proposed = _truths(data), coco.rows_of(detections), _proposal_rows(proposals)
    before, after = _nearest(proposed, truths), _nearest(found, truths)
    p_object, p_class = (_column(detections, name) for name in ("p_object", "p_class"))
    return {
        "p_object": _matched(data, proposed, by_class=False),
        "p_object_near": _near(proposed, proposed[:, SCORE], before),
        "p_object_after": _near(found, p_object, after),
        "p_class": _classified(found, p_class, after, truths),
    }


def tide(data, detections):
    """TIDE's errors of detections above .05: "counts", and "delta_ap", the AP50 each costs.

    In percent, by hotcoco (Bolya et al., 2020).
    """
    rows = coco.rows_of(detections)
    scorer = coco.scorer_of(data, rows[rows[:, SCORE] > SAMPLES["above_.05"]])
    scorer.evaluate()
    found = scorer.tide_errors(IOU)
    lost = {name: round(100 * loss, 3) for name, loss in found["delta_ap"].items()}
    return {"counts": found["counts"], "delta_ap": lost}


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
    """Scores of (R, 7) rows against COCO's matches; rows on a crowd are left out."""
    scorer = coco.scorer_of(data, rows)
    scorer.params.use_cats = by_class
    most = np.unique(rows[:, IMAGE], return_counts=True)[1].max(initial=10)
    scorer.params.max_dets = [1, 10, int(most)]
    scorer.evaluate()
    found = scorer.image_diagnostics(IOU)
    ids = range(1, len(rows) + 1)  # hotcoco's, of rows as of annotations
    counts = np.array([i in found["dt_status"] for i in ids], bool)
    match = np.array([found["dt_match"].get(i, 0) for i in ids], int) - 1
    hit = match >= 0
    iou = np.zeros(len(rows))
    iou[hit] = _iou(rows[hit, BOX], _truths(data)[match[hit], BOX])
    return _judged(rows, rows[:, SCORE], hit, iou).where(counts)


def _near(rows, prob, nearest):
    iou, _, on_crowd = nearest
    hit = iou >= IOU
    return _judged(rows, prob, hit, iou * hit).where(hit | (on_crowd < IOU))


def _classified(rows, prob, nearest, truths):
    iou, place, _ = nearest
    on = iou >= IOU
    hit = rows[on, LABEL] == truths[place[on], LABEL]
    return _judged(rows[on], prob[on], hit, iou[on] * hit)


def _judged(rows, prob, hit, iou):
    return Judged(prob, hit, iou, rows[:, LABEL], rows[:, SCORE], rows[:, IMAGE])


def _nearest(rows, truths):
    """Of each row the IoU and place of the truth it overlaps most, and its share on a crowd."""
    iou, place, on_crowd = np.zeros(len(rows)), np.zeros(len(rows), int), np.zeros(len(rows))
    for image in np.unique(truths[:, IMAGE]):
        r, t = (
            slice(*np.searchsorted(each[:, IMAGE], [image, image + 1])) for each in (rows, truths)
        )
        crowd = truths[t, SCORE] > 0
        overlap = primitives.bbox_iou(rows[r, BOX], truths[t, BOX], crowd)  # (R, G)
        iou[r] = (overlap * ~crowd).max(1)
        place[r] = t.start + (overlap * ~crowd).argmax(1)
        on_crowd[r] = (overlap * crowd).max(1)
    return iou, place, on_crowd


def _iou(boxes, others):
    corners = [box_convert(torch.from_numpy(each), "xywh", "xyxy") for each in (boxes, others)]
    return paired_iou(*corners).numpy()


def _truths(data):
    """All annotations in order, laid out as `evaluate.coco_rows`; a crowd's score is 1."""
    number = {category: k for k, category in enumerate(data.category_ids)}
    rows = [
        (image, *one["bbox"], one.get("iscrowd", 0), number[one["category_id"]])
        for image, of_image in enumerate(data.annotations)
        for one in of_image
    ]
    return np.array(rows, float).reshape(-1, 7)


def _proposal_rows(proposals):
    return coco.joined(
        coco.coco_rows(image, each.proposal_boxes.tensor, _p_object(each), None)
        for image, each in enumerate(proposals)
    )


def _p_object(proposals):
    return proposals.objectness_logits.double().sigmoid()


def _column(detections, name):
    return np.concatenate([np.zeros(0), *(each.get(name).double().numpy() for each in detections)])
