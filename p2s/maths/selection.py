"""Selection: which of many scored boxes leave, the one rule of proposals and detections.

Likely enough, after NMS within each class, at most so many, the likeliest first. R boxes,
K classes.
"""

import torch
from torch import Tensor
from torchvision.ops import batched_nms


def select(
    boxes: Tensor, scores: Tensor, classes: Tensor, threshold: float, nms: float, keep: int
) -> tuple[Tensor, Tensor]:
    """The rows of R scored boxes that leave, and their scores; a box competes in its class.

    Boxes (R, 4), scores (R,), classes (R,). A score of -inf never leaves.
    """
    rows = (scores > threshold).nonzero()[:, 0]
    rows = rows[first_kept(boxes[rows], scores[rows], classes[rows], nms, keep)]
    return rows, scores[rows]


def select_classes(
    boxes: Tensor, scores: Tensor, threshold: float, nms: float, keep: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The same where each of R boxes has a score of every class, (R, K): rows, classes, scores.

    Boxes are (R, 4), or (R, 4 K) with a box for each class.
    """
    row, label = (scores > threshold).nonzero(as_tuple=True)
    of_class = boxes_of(boxes, row, label)
    kept, scores = select(of_class, scores[row, label], label, threshold, nms, keep)
    return row[kept], label[kept], scores


def boxes_of(boxes: Tensor, row: Tensor, label: Tensor) -> Tensor:
    """The boxes (D, 4) of rows (D,) as classes (D,); of (R, 4), or of (R, 4 K), one a class."""
    if boxes.shape[1] == 4:
        return boxes[row]
    return boxes.unflatten(1, (-1, 4))[row, label]


def first_kept(boxes: Tensor, scores: Tensor, classes: Tensor, nms: float, keep: int) -> Tensor:
    """The first `keep` rows that NMS by class leaves of R, the likeliest first.

    What NMS leaves depends on likelier boxes alone, so only as many as are needed are looked at:
    NMS takes time with their square. A quarter more than `keep` is enough where NMS takes little.
    """
    order, looked = scores.argsort(descending=True, stable=True), 0
    kept = order[:0]
    while len(kept) < keep and looked < len(order):
        looked = min(len(order), max(keep + keep // 4, 4 * looked))
        first = order[:looked]
        kept = first[batched_nms(boxes[first], scores[first], classes[first], nms)]
    return kept[:keep]


def to_logit(probability: float) -> float:
    """log p / (1 - p) in double precision; infinite at 0 and 1."""
    return torch.tensor(probability, dtype=torch.float64, device="cpu").logit().item()
