"""Whether two ways to run a network find the same detections."""

import torch
from detectron2.structures import Instances

CLOSE = {"pixels": 0.1, "score": 1e-3}  # of detections that are taken for the same


def unmatched(detections: Instances, wanted: Instances) -> tuple[int, int]:
    """How many detections differ, and how many of those are not at the end of a list.

    Detections are matched one to one: same class, boxes within .1 pixel, scores within .001. At
    the end is a score within .001 of the lowest, where a rounding error decides who stays.
    """
    free, alone = torch.ones(len(wanted), dtype=torch.bool), []
    for box, score, label in zip(
        detections.pred_boxes.tensor, detections.scores, detections.pred_classes, strict=True
    ):
        same = (wanted.pred_boxes.tensor - box).abs().amax(1) <= CLOSE["pixels"]
        same &= (wanted.pred_classes == label) & free
        same &= (wanted.scores - score).abs() <= CLOSE["score"]
        if same.any():
            free[same.nonzero()[0, 0]] = False
        else:
            alone.append(score)
    scores = torch.cat([detections.scores.new_tensor(alone), wanted.scores[free]])
    both = [said.scores.min() for said in (detections, wanted) if len(said)]
    lowest = min(both, default=0)
    return len(scores), int((scores - lowest > CLOSE["score"]).sum())
