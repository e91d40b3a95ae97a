"""Box codings: how what a head predicts becomes a box, and what a wrong box costs.

P positives; any leading dimensions will do for decoding.
"""

from collections.abc import Callable
from dataclasses import dataclass

from detectron2.modeling.box_regression import Box2BoxTransform
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from p2s.maths.geometry import Grid, decode_ltrb
from p2s.maths.losses import giou_loss
from p2s.model.regions import Transform

SMOOTH = 0.1  # from where a delta's loss is linear; d2's RetinaNet
TRANSFORM = Transform(weights=(1.0, 1.0, 1.0, 1.0))  # d2's RetinaNet


@dataclass(frozen=True)
class Distances:
    """Distances from a location's point to the four sides, in units (Tian et al., 2019)."""

    box_loss: Callable = giou_loss  # boxes, boxes -> (P,)

    def decode(self, grid: Grid, sides: Tensor) -> Tensor:
        """Boxes (..., 4) in pixels."""
        return decode_ltrb(grid.points, sides * grid.unit[..., None])

    def loss(self, grid: Grid, sides: Tensor, boxes: Tensor) -> Tensor:
        """Of predictions (P, 4) beside their true boxes, (P,)."""
        unit = grid.unit[..., None]  # in units, levels weigh alike in any box loss
        return self.box_loss(self.decode(grid, sides) / unit, boxes / unit)


@dataclass(frozen=True)
class Deltas:
    """Shifts and log sizes relative to a location's anchor (Ren et al., 2015, Eq. 2)."""

    def decode(self, grid: Grid, deltas: Tensor) -> Tensor:
        """Boxes (..., 4) in pixels."""
        return decoded(TRANSFORM, grid.anchors, deltas)

    def loss(self, grid: Grid, deltas: Tensor, boxes: Tensor) -> Tensor:
        """Smooth L1 of predictions (P, 4) beside the deltas of their true boxes, (P,)."""
        wanted = TRANSFORM.get_deltas(grid.anchors, boxes)
        return smooth_l1_loss(deltas, wanted, beta=SMOOTH, reduction="none").sum(-1)


def decoded(transform: Box2BoxTransform, anchors: Tensor, deltas: Tensor) -> Tensor:
    """Boxes (..., 4) of deltas (..., 4) from anchors that broadcast to them."""
    anchors = anchors.expand_as(deltas).reshape(-1, 4)
    return transform.apply_deltas(deltas.reshape(-1, 4), anchors).view_as(deltas)
