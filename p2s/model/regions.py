"""How regions learn from truths: detectron2's matcher and box coding, which ask a device nothing.

detectron2's assert that overlaps are not negative and boxes not empty; a device is waited for until
it has the answer. G truths, R regions.
"""

import torch
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from torch import Tensor


class Matching(Matcher):
    """detectron2's matcher."""

    def __call__(self, overlap: Tensor) -> tuple[Tensor, Tensor]:
        """Of overlaps (G, R): each region's best truth (R,) and its label (R,), as detectron2's."""
        if not overlap.numel():
            return super().__call__(overlap)
        best, truth = overlap.max(0)
        label = torch.ones_like(truth, dtype=torch.int8)
        ranges = zip(self.labels, self.thresholds[:-1], self.thresholds[1:], strict=True)
        for value, low, high in ranges:
            label = label.masked_fill((best >= low) & (best < high), value)
        if self.allow_low_quality_matches:
            is_best = (overlap == overlap.amax(1, keepdim=True)).any(0)
            label = label.masked_fill(is_best, 1)
        return truth, label


class Transform(Box2BoxTransform):
    """detectron2's coding by shifts and log sizes (Ren et al., 2015, Eq. 2)."""

    def get_deltas(self, boxes: Tensor, truths: Tensor) -> Tensor:
        """What to learn of boxes (R, 4) so that they become truths (R, 4), weighted, (R, 4)."""
        sides, wanted = boxes[:, 2:] - boxes[:, :2], truths[:, 2:] - truths[:, :2]  # (R, 2)
        away = (truths[:, :2] + 0.5 * wanted) - (boxes[:, :2] + 0.5 * sides)
        changes = (*away.unbind(1), *torch.log(wanted / sides).unbind(1))
        x, y, width, height = (
            weight * change for weight, change in zip(self.weights, changes, strict=True)
        )
        return torch.stack((x / sides[:, 0], y / sides[:, 1], width, height), 1)
