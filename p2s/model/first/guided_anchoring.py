"""Guided Anchoring: anchors where a centre is likely, of the shape that is likely there (GA-RPN).

Wang et al., 2019; a proposal network of Table 11. N images, A locations.
"""

import torch
from detectron2.structures import Instances
from torch import Tensor, nn
from torch.nn.functional import relu

from p2s.maths.geometry import Grid, pairwise_iou
from p2s.maths.losses import bounded_iou_loss, peak_focal
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
from p2s.model.first.designs import NINE
from p2s.model.layers import prior_bias
from p2s.model.regions import Matching, Transform
from p2s.spec import Spec

CENTRE_FLOOR = 0.01  # P(centre) below which a location has no anchor in test
AWAY = 0.1  # weight of a location that is not a centre; the publication's code


class GuidedHead(nn.Module):
    """Where an object's centre is, its shape, and features for it (Wang et al., 2019, Fig. 1)."""

    transform = Transform(weights=(1 / 0.07, 1 / 0.07, 1 / 0.14, 1 / 0.14))

    def __init__(self, channels: int, groups: int = 4):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.location, self.shape = nn.Conv2d(channels, 1, 1), nn.Conv2d(channels, 2, 1)
        self.offset = nn.Conv2d(2, 18 * groups, 1, bias=False)
        self.adapted = Adapted(channels)
        self.objectness, self.deltas = nn.Conv2d(channels, 1, 1), nn.Conv2d(channels, 4, 1)
        small(self)
        nn.init.normal_(self.offset.weight, std=0.1)
        nn.init.constant_(self.location.bias, prior_bias())

    def forward(self, maps: list[Tensor]) -> Steps:
        """The predictions of all levels."""
        levels = []
        for features in maps:
            features = relu(self.conv(features))
            shape = self.shape(features)
            adapted = self.adapted(features, self.offset(shape.detach()))
            anchor = torch.cat((torch.zeros_like(shape), shape), 1)  # its centre stays
            second = self.objectness(adapted), self.deltas(adapted)
            levels.append((self.location(features), anchor, *second))
        return joined(levels)


class GuidedAnchoring(AdaptiveRPN):
    """GA-RPN: detectron2's RPN on anchors whose shape was learnt."""

    def may_hold(self, location: Tensor, values: list[Tensor]) -> list[Tensor]:
        """In test, where the centre of an object has a probability of at least .01."""
        if self.training:
            return values
        rows = location.sigmoid() >= CENTRE_FLOOR
        return [each[rows] for each in values]

    def first_step(
        self, grid: Grid, steps: Steps, anchors: Tensor, truths: list[Instances]
    ) -> dict[str, Tensor]:
        """Focal loss of the location, bounded IoU loss of the shape (Wang et al., Sec. 3.5)."""
        targets = center_targets(grid, truths)
        location = steps.location[..., None]
        unit = torch.where(targets.peaks > 0, 1.0, AWAY)  # (N, A, 1)
        location_loss = (unit * peak_focal(location, targets.heat, targets.peaks)).sum()
        sides = anchors[..., 2:] - anchors[..., :2]
        shape_loss = sum(
            self._shape_loss(grid, sides[n], truth.gt_boxes) for n, truth in enumerate(truths)
        )
        return {
            "loss_rpn_location": location_loss * LOCATIONS / location.numel(),
            "loss_rpn_shape": shape_loss / (self.batch_size_per_image * len(truths)),
        }

    def _shape_loss(self, grid, sides, truths):
        """Of sampled squares whose best of nine shapes overlaps a truth well."""
        iou = pairwise_iou(truths.tensor, approximations(grid).flatten(0, 1))  # (G, 9 A)
        matched, labels = self.anchor_matcher(iou.unflatten(1, (len(NINE), -1)).amax(1))
        positive = (self._subsample_labels(labels) == 1).nonzero()[:, 0]
        wanted = truths.tensor[matched[positive]] if len(truths) else sides.new_zeros(0, 4)
        return bounded_iou_loss(sides[positive], wanted[:, 2:] - wanted[:, :2]).sum()


def guided_anchoring(spec: Spec, strides: dict[str, int], channels: int) -> GuidedAnchoring:
    """GA-RPN of a Spec."""
    deltas = Transform(weights=(1 / 0.07, 1 / 0.07, 1 / 0.11, 1 / 0.11))
    matcher = Matching([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True)
    network = GuidedAnchoring(
        head=GuidedHead(channels), **shared_settings(spec, strides), anchor_matcher=matcher,
        box2box_transform=deltas, smooth_l1_beta=1.0,
    )  # fmt: skip
    network.set_test(spec.test)
    return network


def approximations(grid: Grid) -> Tensor:
    """Boxes of nine shapes around the points, (9, A, 4): they stand for all that may be learnt."""
    sides = grid.strides.new_tensor(NINE)[:, None] * 2 * grid.unit[:, None]  # (9, A, 2)
    return torch.cat((grid.points - sides / 2, grid.points + sides / 2), -1)
