"""The federated oracle: a detector against all objects, where some are annotated (App. D).

Only scenes that are drawn know the full truth. AP against it says what a loss has recovered, recall
and P(O) of annotated and of other objects what the first stage makes of those it was told nothing
of. N images, U objects, R proposals.
"""

from dataclasses import replace

import numpy as np
import torch
from detectron2.structures import Boxes, pairwise_iou

from p2s.data import glyphs
from p2s.data.lvis import LvisSet
from p2s.evaluate import detect, proposal_recall
from p2s.lvis_evaluate import FIXED, full_numbers
from p2s.records import finite_or_none

ON_OBJECT = 0.5  # IoU from which a proposal is that of an object
PARTS = {"annotated": True, "unannotated": False}


def measure(model, data, spec) -> dict:
    """What detections are worth against the full truth, and what is proposed of each part of it.

    "full": AP, APr, APc and APf in percent. For "annotated" and "unannotated" objects: "objects",
    and of them "found", those with a proposal on them; "AR", class-agnostic recall of proposals
    over IoU .5:.95, in percent; "p_object", the mean P(O) of the likeliest proposal on what was
    found. None is where nothing is. ValueError if the data are no federated scenes.
    """
    if not (isinstance(data, LvisSet) and getattr(spec.data, "federated", False)):
        raise ValueError("federated: data has no full truth; valid: glyphs with data.federated")
    truth = glyphs.full_truth(data, "val")
    detections, proposals = detect(model, data, spec.test)
    numbers = full_numbers(truth, detections, data.groups)
    parts = {name: _part(truth, here) for name, here in PARTS.items()}
    return {
        "full": {name: _rounded(numbers[name]) for name in FIXED},
        **{name: _proposed(part, proposals) for name, part in parts.items()},
    }


def likeliest(boxes, proposals):
    """P(O) of the likeliest proposal on each box (U, 4), (U,); NaN where none is."""
    iou = pairwise_iou(Boxes(boxes), proposals.proposal_boxes)  # (U, R)
    p_object = proposals.objectness_logits.sigmoid().expand_as(iou)
    on_object = p_object.masked_fill(iou < ON_OBJECT, -1)
    best = torch.nn.functional.pad(on_object, (0, 1), value=-1).amax(1)  # also of no proposal
    return best.masked_fill(best < 0, torch.nan)


def _part(truth, annotated):
    """The truth with the boxes of one part alone."""
    chosen = [
        [one for one in items if one["annotated"] == annotated] for items in truth.annotations
    ]
    return replace(truth, annotations=chosen)


def _proposed(truth, proposals):
    boxes = [torch.from_numpy(truth.boxes(index)[0]) for index in range(len(truth))]
    pairs = zip(boxes, proposals, strict=True)
    p_object = torch.cat([likeliest(*pair) for pair in pairs]).numpy()
    found = ~np.isnan(p_object)
    return {
        "objects": len(p_object),
        "AR": _rounded(proposal_recall(truth, proposals)["proposal_AR"]),
        "found": int(found.sum()),
        "p_object": _rounded(float(p_object[found].mean())) if found.any() else None,
    }


def _rounded(value):
    return finite_or_none(round(value, 4))
