"""The federated oracle: a detector against all objects, where some are annotated (App. D).

Only scenes that are drawn know the full truth. AP against it says what a loss has recovered, recall
and P(O) of annotated and of other objects what the first stage makes of those it was told nothing
of. N images, U objects, R proposals.
"""

import torch
from detectron2.structures import Instances
from torch import Tensor
from torch.nn.functional import pad

from p2s.data import glyphs
from p2s.data.lvis import LvisSet
from p2s.maths.geometry import pairwise_iou
from p2s.measure.coco import proposal_recall
from p2s.measure.lvis import FIXED, full_numbers
from p2s.measure.posterior import ON_OBJECT
from p2s.spec.data import PARTS


def full_truth_numbers(
    data: LvisSet, detections: list[Instances], proposals: list[Instances]
) -> dict[str, float]:
    """What is found of all objects of the validation scenes of a federated spec.Glyphs, in percent.

    "AP_full", "APr_full", "APc_full" and "APf_full" against the full truth. For "annotated" and
    "unannotated" objects: "AR_...", class-agnostic recall of proposals over IoU .5:.95, and
    "p_object_...", the mean P(O) of the likeliest proposal on an object, of those that have one.
    NaN where nothing is.
    """
    truth = glyphs.full_truth(data, "val")
    numbers = full_numbers(truth, detections, data.groups)
    parts = {name: glyphs.part(truth, name == "annotated") for name in PARTS}
    recall = {
        f"AR_{name}": proposal_recall(objects, proposals)["proposal_AR"]
        for name, objects in parts.items()
    }
    said = {
        f"p_object_{name}": 100 * _p_object(objects, proposals) for name, objects in parts.items()
    }
    return {f"{name}_full": numbers[name] for name in FIXED} | recall | said


def likeliest(boxes: Tensor, proposals: Instances) -> Tensor:
    """P(O) of the likeliest proposal on each box (U, 4), (U,); NaN where none is."""
    iou = pairwise_iou(boxes, proposals.proposal_boxes.tensor)  # (U, R)
    p_object = proposals.objectness_logits.sigmoid().expand_as(iou)
    on_object = p_object.masked_fill(iou < ON_OBJECT, -1)
    best = pad(on_object, (0, 1), value=-1).amax(1)  # also where there is no proposal
    return best.masked_fill(best < 0, torch.nan)


def _p_object(truth, proposals):
    boxes = [torch.from_numpy(truth.boxes(index)[0]) for index in range(len(truth))]
    pairs = zip(boxes, proposals, strict=True)
    return float(torch.cat([likeliest(*pair) for pair in pairs]).nanmean())
