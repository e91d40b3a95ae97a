"""Whether two ways to run a network find the same detections."""

import torch
from detectron2.structures import Instances

PIXELS, SCORE = 0.1, 1e-3  # between detections that are taken for the same


def unmatched(
    detections: Instances, wanted: Instances, pixels: float = PIXELS, score: float = SCORE
) -> tuple[int, int]:
    """How many detections differ, and how many of those are not at the end of a list.

    Detections are matched one to one: same class, sides of a box within so many pixels, scores
    within `score`. At the end is one as near to the lowest, where rounding decides who stays.
    """
    free, alone = torch.ones(len(wanted), dtype=torch.bool), []
    for box, said, label in zip(
        detections.pred_boxes.tensor, detections.scores, detections.pred_classes, strict=True
    ):
        same = (wanted.pred_boxes.tensor - box).abs().amax(1) <= pixels
        same &= (wanted.pred_classes == label) & free
        same &= (wanted.scores - said).abs() <= score
        if same.any():
            free[same.nonzero()[0, 0]] = False
        else:
            alone.append(said)
    scores = torch.cat([detections.scores.new_tensor(alone), wanted.scores[free]])
    both = [found.scores.min() for found in (detections, wanted) if len(found)]
    lowest = min(both, default=0)
    return len(scores), int((scores - lowest > score).sum())
