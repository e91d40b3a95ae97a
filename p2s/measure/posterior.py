"""Absolute calibration: what a detector says of objects whose truth is by chance and known.

P(O), P(A|O) and their product of the objects of the validation scenes, annotated or not:

    before   NMS, the mean of the locations that answer for an object. Which location that is
             cannot be told exactly from the pixels, so a location's own truth is below that.
    after    NMS of proposals, of the likeliest one on the object: the largest of several, and of
             those objects alone that have one left.

N images, A locations, G objects, R proposals, K classes.
"""

import numpy as np
import torch
from detectron2.structures import Boxes, Instances
from torch import nn

from p2s.data import glyphs
from p2s.data.coco import CocoSet
from p2s.data.loader import test_inputs
from p2s.maths.geometry import paired_iou, pairwise_iou
from p2s.maths.optimum import NUMBERS, undone
from p2s.measure.answers import answers, sampled_shares
from p2s.model.first.assign import centerness
from p2s.model.first.contract import TRAINING_FLOOR
from p2s.spec import Spec

ON_OBJECT = 0.5  # IoU from which a proposal is that of an object
QUANTILES = np.linspace(0.025, 0.975, 20)  # of IoU and centerness, whose means are not enough
SAID = (*NUMBERS, "p_foreground", "p_any")  # 1 - P(bg|O), and that times P(O)


@torch.inference_mode()
def posterior_numbers(model: nn.Module, data: CocoSet, spec: Spec) -> dict:
    """What is said of each character of the spec's scenes, and what optima depend on.

    "characters": a dict each with q, r, how many objects, how many of them annotated and as A, and
    `before` and `after`: how many were found and the means of SAID; before NMS also `undone`,
    p_object with the odds of an RPN's sampler undone at each location. "negatives" and "regions":
    how often a location of the RPN and a region of the second stage are sampled as background, for
    each time that they are as positives. "ious" and "centerness": quantiles, of annotated objects'
    locations before NMS. ValueError if the scenes' truth is not by chance.
    """
    if not getattr(spec.data, "chances", ()):
        raise ValueError("posterior: data has no chances; valid: glyphs with data.chances")
    model.eval()
    model.set_test(spec.test)
    seen = [_of_image(model, data, spec, index) for index in range(len(data))]
    rows = [row for image in seen for row in image["rows"]]
    values = {name: np.concatenate([image[name] for image in seen]) for name in ("ious", "center")}
    return {
        "characters": [
            _summary([row for row in rows if row["character"] == number], *chance)
            for number, chance in enumerate(glyphs.dealt(spec.data))
        ],
        **{name: _odds([image[name] for image in seen]) for name in ("negatives", "regions")},
        "ious": _quantiles(values["ious"]),
        "centerness": _quantiles(values["center"]),
    }


def _of_image(model, data, spec, index):
    items = glyphs.scene(spec.data, "val", index)[1]
    inputs = [test_inputs(data, index, spec.test)]
    images, features, [proposals] = model.first_stage(inputs)
    objects = _objects(items, images.image_sizes[0], data.images[index]["height"])
    annotated = torch.tensor([item["annotated"] for item in items], dtype=torch.bool)
    # Sampling and optima depend on annotated objects alone, all else on every object.
    stage = model.proposal_generator
    [of_annotated] = answers(stage, features, [objects[annotated]])
    [of_all] = answers(stage, features, [objects])
    said = _of_locations(model, features, images, of_all)  # (R, 5)
    fixed = undone(said[:, :1], of_annotated.odds)
    before = of_all.owner, torch.cat((said, fixed), 1)
    after = _after(model, features, objects, proposals)
    boxes = objects.gt_boxes.tensor[annotated][of_annotated.owner]
    return {
        "rows": [
            {**item, "before": _mean(before, g), "after": _mean(after, g)}
            for g, item in enumerate(items)
        ],
        "negatives": of_annotated.shares,
        "regions": _of_regions(model, images, features, objects[annotated], spec),
        "ious": paired_iou(of_annotated.boxes[of_annotated.rows], boxes).numpy(),
        "center": centerness(of_annotated.points[of_annotated.rows], boxes).numpy(),
    }


def _of_regions(model, images, features, truths, spec):
    """`sampled_shares` of the second stage's regions: proposals as in training, and the truths."""
    stage = spec.first_stage
    fields = {"pre_nms": stage.pre_nms, "proposals": stage.proposals, "proposal_nms": stage.nms}
    model.set_test(spec.test.model_copy(update=fields | {"proposal_floor": TRAINING_FLOOR}))
    [proposals], _ = model.proposal_generator(images, features)
    model.set_test(spec.test)
    regions = Boxes.cat([proposals.proposal_boxes, truths.gt_boxes])
    heads = model.roi_heads
    _, label = heads.proposal_matchers[0](pairwise_iou(truths.gt_boxes.tensor, regions.tensor))
    return sampled_shares(heads, label)


def _objects(items, size, height):
    """All objects of a scene of this height, annotated or not, as truths of an image of a size."""
    corners = torch.tensor([item["bbox"] for item in items], dtype=torch.float32).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    classes = torch.zeros(len(items), dtype=torch.long)
    return Instances(size, gt_boxes=Boxes(corners * (size[0] / height)), gt_classes=classes)


def _of_locations(model, features, images, answered):
    [size] = images.image_sizes
    boxes = Boxes(answered.boxes[answered.rows])
    boxes.clip(size)
    logit = answered.logit[answered.rows]
    locations = Instances(size, proposal_boxes=boxes, objectness_logits=logit)
    return _said(model, features, locations)


def _after(model, features, objects, proposals):
    """The likeliest proposal on each object that is on no other object more."""
    iou = pairwise_iou(proposals.proposal_boxes.tensor, objects.gt_boxes.tensor)  # (R, G)
    if not iou.numel():
        return torch.zeros(0, dtype=torch.long), torch.zeros(0, len(SAID))
    best, owner = iou.max(1)
    rows = (best >= ON_OBJECT).nonzero()[:, 0]  # likeliest first
    first = [rows[owner[rows] == g][:1] for g in range(len(objects))]
    rows = torch.cat(first)
    return owner[rows], _said(model, features, proposals[rows])


def _said(model, features, proposals):
    """SAID of R proposals, (R, 5)."""
    if not len(proposals):
        return torch.zeros(0, len(SAID))
    _, [p_class] = model.roi_heads.classify(features, [proposals])
    p_object, first = proposals.objectness_logits.sigmoid(), p_class[:, 0]
    foreground = 1 - p_class[:, -1]
    return torch.stack((p_object, first, p_object * first, foreground, p_object * foreground), 1)


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
        "before": _means([row["before"] for row in rows if row["before"]], (*SAID, "undone")),
        "after": _means([row["after"] for row in rows if row["after"]], SAID),
    }


def _means(said, names):
    means = np.mean(said, 0).round(5).tolist() if said else [None] * len(names)
    return {"found": len(said)} | dict(zip(names, means, strict=True))


def _odds(shares):
    """Of N images' shares of positives and negatives that are sampled: the odds of a negative."""
    positives, negatives = np.mean(shares, 0)
    return round(float(negatives / positives), 5)


def _quantiles(values):
    return np.quantile(values, QUANTILES).round(4).tolist() if len(values) else []
