"""Absolute calibration: what a detector says of objects whose truth is by chance and known.

For each object of the validation scenes, annotated or not: P(O), P(A|O) and their product, before
NMS at the locations that answer for it, and after NMS of the proposal that is left of it.
N images, A locations, G objects, R proposals, K classes.
"""

from typing import NamedTuple

import numpy as np
import torch
from detectron2.structures import Boxes, Instances, pairwise_iou
from torch import Tensor

from p2s.assign import centerness
from p2s.data import glyphs
from p2s.data.loader import test_inputs
from p2s.first_stage import TRAINING_FLOOR
from p2s.geometry import paired_iou

ON_OBJECT = 0.5  # IoU from which a proposal is that of an object
QUANTILES = np.linspace(0.025, 0.975, 20)  # of IoU and centerness, whose means are not enough
NUMBERS = ("p_object", "p_class", "product")


class Responsible(NamedTuple):
    """The locations of an image that answer for an object, if it is annotated, and what they say.

    A location stands once for each object that it answers for.
    """

    owner: Tensor  # (R,): which object
    boxes: Tensor  # (R, 4): predicted
    logit: Tensor  # (R,): of P(O)
    points: Tensor  # (R, 2): the location's point
    share: float  # of the other locations, how many an RPN samples in training; else 1


@torch.inference_mode()
def measure(model, data, spec) -> dict:
    """Means by character, before and after NMS, of the spec's scenes, and what optima depend on.

    "characters": a dict each with q, r, how many objects, how many of them annotated and as A, and
    `before` and `after`: how many objects were found, p_object, p_class and product. "negatives"
    and "regions": how often a location of the RPN and a region of the second stage are sampled as
    background, for each time that they are as positives. "ious" and "centerness": quantiles, of
    annotated objects' locations before NMS. ValueError if the scenes' truth is not by chance.
    """
    if not getattr(spec.data, "chances", ()):
        raise ValueError("posterior: data has no chances; valid: glyphs with data.chances")
    model.eval()
    model.set_test(spec.test)
    seen = [_of_image(model, data, spec, index) for index in range(len(data))]
    rows = [row for each in seen for row in each["rows"]]
    values = {name: np.concatenate([each[name] for each in seen]) for name in ("ious", "center")}
    return {
        "characters": [
            _summary([row for row in rows if row["character"] == number], *chance)
            for number, chance in enumerate(spec.data.chances)
        ],
        **{
            name: round(float(np.mean([each[name] for each in seen])), 5)
            for name in ("negatives", "regions")
        },
        "ious": _quantiles(values["ious"]),
        "centerness": _quantiles(values["center"]),
    }


def responsible(stage, images, features, objects) -> list[Responsible]:
    """Which locations answer for which objects (a list of N Instances with `gt_boxes`)."""
    if hasattr(stage, "rpn_head"):
        return _of_rpn(stage, features, objects)
    return _of_dense(stage, features, objects)


def _of_dense(stage, features, objects):
    grid, predictions = stage.predict(features)
    targets = stage.objective.targets(grid, predictions, objects, 1)
    boxes = stage.objective.coding.decode(grid, predictions.box)  # (N, A, 4)
    logit = stage.score(predictions)[..., 0]  # (N, A)
    found = []
    for n, truths in enumerate(objects):
        rows = targets.peaks[n, :, 0].nonzero()[:, 0]  # (R,)
        own = (targets.boxes[n, rows, None] == truths.gt_boxes.tensor).all(-1)  # (R, G)
        row, owner = own.nonzero(as_tuple=True)
        rows = rows[row]
        found.append(Responsible(owner, boxes[n, rows], logit[n, rows], grid.points[rows], 1.0))
    return found


def _of_rpn(stage, features, objects):
    maps = [features[name] for name in stage.in_features]
    anchors = Boxes.cat(stage.anchor_generator(maps))  # A
    logits, deltas = stage.rpn_head(maps)
    logit = torch.cat([each.permute(0, 2, 3, 1).flatten(1) for each in logits], 1)  # (N, A)
    deltas = torch.cat([_by_anchor(each) for each in deltas], 1)  # (N, A, 4)
    found = []
    for n, truths in enumerate(objects):
        owner, label = stage.anchor_matcher(pairwise_iou(truths.gt_boxes, anchors))
        rows = (label == 1).nonzero()[:, 0]
        boxes = stage.box2box_transform.apply_deltas(deltas[n, rows], anchors.tensor[rows])
        points = anchors[rows].get_centers()
        share = _sampled_share(stage, label)
        found.append(Responsible(owner[rows], boxes, logit[n, rows], points, share))
    return found


def _by_anchor(deltas):
    """(N, 4 S, H, W) of S anchors a cell as (N, H W S, 4)."""
    return deltas.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3)


def _sampled_share(stage, label):
    """How many of the negatives are sampled for each positive's once (d2's subsampling)."""
    positives, negatives = int((label == 1).sum()), int((label == 0).sum())
    kept = min(positives, int(stage.batch_size_per_image * stage.positive_fraction))
    share = min(stage.batch_size_per_image - kept, negatives) / max(negatives, 1)
    return share / (kept / positives if positives else 1.0)


def _regions_share(model, images, features, truths, spec):
    """The same of the second stage's regions: proposals as in training, and the truths."""
    stage = spec.first_stage
    fields = {"pre_nms": stage.pre_nms, "proposals": stage.proposals, "proposal_nms": stage.nms}
    model.set_test(spec.test.model_copy(update=fields | {"proposal_floor": TRAINING_FLOOR}))
    [proposals], _ = model.proposal_generator(images, features)
    model.set_test(spec.test)
    regions = Boxes.cat([proposals.proposal_boxes, truths.gt_boxes])
    heads = model.roi_heads
    _, label = heads.proposal_matchers[0](pairwise_iou(truths.gt_boxes, regions))
    return _sampled_share(heads, label)


def _of_image(model, data, spec, index):
    items = glyphs.scene(spec.data, "val", index)[1]
    inputs = [test_inputs(data, index, spec.test)]
    images, features, [proposals] = model.first_stage(inputs)
    scale = images.image_sizes[0][0] / data.images[index]["height"]
    corners = torch.tensor([item["bbox"] for item in items], dtype=torch.float32).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    objects = Instances(images.image_sizes[0], gt_boxes=Boxes(corners * scale))
    objects.gt_classes = torch.zeros(len(items), dtype=torch.long)
    annotated = torch.tensor([item["annotated"] for item in items], dtype=torch.bool)
    # Sampling and optima depend on annotated objects alone, all else on every object.
    [of_annotated] = responsible(model.proposal_generator, images, features, [objects[annotated]])
    [of_all] = responsible(model.proposal_generator, images, features, [objects])
    said = [_before(model, features, images, of_all), _after(model, features, objects, proposals)]
    boxes = objects.gt_boxes.tensor[annotated][of_annotated.owner]
    return {
        "rows": [
            {**item, "before": _mean(said[0], g), "after": _mean(said[1], g)}
            for g, item in enumerate(items)
        ],
        "negatives": of_annotated.share,
        "regions": _regions_share(model, images, features, objects[annotated], spec),
        "ious": paired_iou(of_annotated.boxes, boxes).numpy(),
        "center": centerness(of_annotated.points, boxes).numpy(),
    }


def _before(model, features, images, found):
    boxes = Boxes(found.boxes)
    boxes.clip(images.image_sizes[0])
    proposals = Instances(
        images.image_sizes[0], proposal_boxes=boxes, objectness_logits=found.logit
    )
    return found.owner, _said(model, features, proposals)


def _after(model, features, objects, proposals):
    """The likeliest proposal on each object that is on no other object more."""
    iou = pairwise_iou(proposals.proposal_boxes, objects.gt_boxes)  # (R, G)
    if not iou.numel():
        return torch.zeros(0, dtype=torch.long), torch.zeros(0, len(NUMBERS))
    best, owner = iou.max(1)
    rows = (best >= ON_OBJECT).nonzero()[:, 0]  # likeliest first
    first = [rows[owner[rows] == g][:1] for g in range(len(objects))]
    rows = torch.cat(first)
    return owner[rows], _said(model, features, proposals[rows])


def _said(model, features, proposals):
    """P(O), P(A|O) and their product of R proposals, (R, 3)."""
    if not len(proposals):
        return torch.zeros(0, len(NUMBERS))
    _, [p_class] = model.roi_heads.classify(features, [proposals])
    p_object, first = proposals.objectness_logits.sigmoid(), p_class[:, 0]
    return torch.stack((p_object, first, p_object * first), 1)


def _mean(said, g):
    owner, numbers = said
    mine = numbers[owner == g]
    return mine.mean(0).tolist() if len(mine) else None


def _summary(rows, q, r):
    annotated = [row for row in rows if row["annotated"]]
    return {
        "q": q,
        "r": r,
        "objects": len(rows),
        "annotated": len(annotated),
        "first": sum(row["label"] == 0 for row in annotated),
        **{when: _means([row[when] for row in rows if row[when]]) for when in ("before", "after")},
    }


def _means(found):
    means = np.mean(found, 0) if found else [None] * len(NUMBERS)
    numbers = {
        name: round(float(one), 5) if found else None
        for name, one in zip(NUMBERS, means, strict=True)
    }
    return {"found": len(found), **numbers}


def _quantiles(values):
    return np.quantile(values, QUANTILES).round(4).tolist() if len(values) else []
