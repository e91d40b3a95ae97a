"""Cascade RPN: a box from dilated features, then one from features that are aligned with it.

Vu et al., 2019; a proposal network of Table 11. N images, A locations.
"""

import torch
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu

from p2s.maths.geometry import Grid, paired_iou
from p2s.model.first.adaptive_rpn import (
    LOCATIONS,
    Adapted,
    AdaptiveRPN,
    Steps,
    center_targets,
    joined,
    shared_settings,
    small,
)
from p2s.model.first.coding import decoded
from p2s.model.regions import Matching, Transform
from p2s.spec import Spec

SIDE = 8.0  # units a side of the square that the first step starts from
BOX_WEIGHT = 10.0  # of both box losses


class CascadeHead(nn.Module):
    """Both steps of Cascade RPN (Vu et al., 2019, Fig. 2)."""

    transform = Transform(weights=(10.0, 10.0, 2.0, 2.0))

    def __init__(self, channels: int, side: float = SIDE):
        super().__init__()
        self.side = side  # of the square, in cells
        self.conv = nn.Conv2d(channels, channels, 3, padding=3, dilation=3)
        self.anchor, self.adapted = nn.Conv2d(channels, 4, 1), Adapted(channels)
        self.objectness, self.deltas = nn.Conv2d(channels, 1, 1), nn.Conv2d(channels, 4, 1)
        small(self)

    def forward(self, maps: list[Tensor]) -> Steps:
        """The predictions of all levels."""
        levels = []
        for features in maps:
            features = relu(self.conv(features))
            anchor = self.anchor(features)
            adapted = self.adapted(features, self.aligned(anchor.detach().float()))
            logit = self.objectness(adapted)
            levels.append((torch.zeros_like(logit), anchor, logit, self.deltas(adapted)))
        return joined(levels)

    def aligned(self, deltas: Tensor) -> Tensor:
        """Offsets (N, 18, H, W) that spread 3x3 points over the anchors of deltas (N, 4, H, W)."""
        weights = deltas.new_tensor(self.transform.weights)[:, None, None]
        x, y, w, h = (deltas / weights).unbind(1)
        centre = torch.stack((y, x), 1) * self.side  # (N, 2, H, W), in cells
        size = torch.stack((h, w), 1).clamp(max=self.transform.scale_clamp).exp() * self.side
        steps = torch.arange(-1, 2, device=deltas.device)
        point = torch.cartesian_prod(steps, steps)[:, :, None, None]  # (9, 2, 1, 1): y, x
        return (centre[:, None] + point * (size[:, None] / 2 - 1)).flatten(1, 2)


class CascadeRPN(AdaptiveRPN):
    """Two steps of regression; only the second says what is an object."""

    def first_step(
        self, grid: Grid, steps: Steps, anchors: Tensor, truths: list[Instances]
    ) -> dict[str, Tensor]:
        """IoU loss of the anchors whose location is near a centre."""
        targets = center_targets(grid, truths)
        positive = targets.weight > 0  # (N, A)
        loss = (1 - paired_iou(anchors[positive], targets.boxes[positive])).sum()
        return {"loss_rpn_anchor": BOX_WEIGHT * loss * LOCATIONS / positive.numel()}

    def losses(
        self,
        anchors: list[Boxes],
        logits: list[Tensor],
        labels: list[Tensor],
        deltas: list[Tensor],
        boxes: list[Tensor],
    ) -> dict[str, Tensor]:
        """Cross entropy of objectness and IoU loss of the boxes of one image."""
        label, logit = labels[0], torch.cat(logits, 1)[0]
        known, positive = label >= 0, label == 1
        proposals = decoded(self.box2box_transform, Boxes.cat(anchors).tensor, torch.cat(deltas, 1))
        objectness = binary_cross_entropy_with_logits(
            logit[known], label[known].float(), reduction="sum"
        )
        box = (1 - paired_iou(proposals[0, positive], boxes[0][positive])).sum()
        unit = self.weight / self.batch_size_per_image
        return {"loss_rpn_cls": unit * objectness, "loss_rpn_loc": unit * BOX_WEIGHT * box}


def cascade_rpn(spec: Spec, strides: dict[str, int], channels: int) -> CascadeRPN:
    """Cascade RPN of a Spec."""
    deltas = Transform(weights=(20.0, 20.0, 10.0, 10.0))
    matcher = Matching([0.7], [0, 1], allow_low_quality_matches=True)
    head = CascadeHead(channels, SIDE * spec.zoom)
    network = CascadeRPN(
        head=head, **shared_settings(spec, strides), anchor_matcher=matcher,
        box2box_transform=deltas,
    )  # fmt: skip
    network.set_test(spec.test)
    return network
