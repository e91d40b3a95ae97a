"""Dense heads: what every location of every level predicts, with one set of weights for all levels.

N images, L levels, A locations (all levels, concatenated), K classes, S anchors a cell.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from p2s.model.deformable import DeformConv
from p2s.model.layers import group_norm, prior_bias

GROUP_WIDTH = 8  # least channels of a group: 32 groups at the paper's 256 channels; C2
FIRST_SIDE = 8.0  # strides from a location to each side of an untrained box; C2
BINS = 17  # lengths of 0 to 16 strides; Li et al. (2020b), Sec. 4: n = 16
D2_CHANNELS = 256
GROUPED = partial(group_norm, group_width=GROUP_WIDTH)


class Predictions(NamedTuple):
    """What a head says of each location, in float32."""

    logit: Tensor  # (N, A, K)
    box: Tensor  # (N, A, 4): distances in strides or deltas of the anchor, as its coding says
    extra: Tensor | None = None  # (N, A, E): centerness logits, or logits of the sides' bins


def tower(channels: int, layers: int, norm: Callable = GROUPED) -> nn.Sequential:
    """3x3 convolutions of equal width, each with group normalisation and ReLU (Sec. 5; C2)."""
    modules = [
        module
        for _ in range(layers)
        for module in (_conv(channels, channels), norm(channels), nn.ReLU())
    ]
    return nn.Sequential(*modules)


def plain_tower(channels: int, layers: int) -> nn.Sequential:
    """The same without normalisation, as RetinaNet has it (d2)."""
    modules = tower(channels, layers, lambda _: nn.Identity())
    keep_gain(module for module in modules if isinstance(module, nn.Conv2d))
    return modules


def deformable_tower(channels: int, layers: int) -> nn.Sequential:
    """The tower, of which the last convolution is deformable, as large detectors have it (C2)."""
    modules = tower(channels, layers)
    modules[-3] = DeformConv(modules[-3])
    return modules


@torch.no_grad()
def keep_gain(convs: Iterable[nn.Conv2d]) -> None:
    """Let convolutions that no norm follows pass on as much as at detectron2's 256 channels.

    Its deviation of .01 is for that width; in a narrow tower the signal would die out.
    """
    for conv in convs:
        conv.weight.mul_((D2_CHANNELS / conv.in_channels) ** 0.5)


def shared_tower(channels: int, layers: int, tower: Callable = tower) -> tuple[nn.Module, ...]:
    """One tower for scores and boxes: enough for a class-agnostic first stage (Sec. 5)."""
    return tower(channels, layers), nn.Identity(), nn.Identity()


def separate_towers(channels: int, layers: int, tower: Callable = tower) -> tuple[nn.Module, ...]:
    """A tower for scores and one for boxes, as a K-class one-stage detector has (Sec. 5)."""
    return nn.Identity(), tower(channels, layers), tower(channels, layers)


class DenseHead(nn.Module):
    """Scores and distances to the four sides.

    `towers` are what comes before both outputs, before the scores alone, before the boxes alone.
    """

    def __init__(
        self, towers: Sequence[nn.Module], channels: int, num_classes: int, num_levels: int
    ):
        super().__init__()
        self.shared_tower, self.score_tower, self.box_tower = towers
        self.score = _conv(channels, num_classes, bias=prior_bias())
        self.ltrb = _conv(channels, 4, bias=FIRST_SIDE)
        self.scales = nn.Parameter(torch.ones(num_levels))

    def forward(self, maps: list[Tensor]) -> Predictions:
        """The predictions of all levels, the distances in strides and not negative."""
        levels = [self.at_level(features, level) for level, features in enumerate(maps)]
        return Predictions(*(torch.cat(field, 1) for field in zip(*levels, strict=True)))

    def at_level(self, features: Tensor, level: int) -> list[Tensor]:
        """The same of one level."""
        features = self.shared_tower(features)
        score = rows(self.score(self.score_tower(features)))
        return [score, *self.boxes(self.box_tower(features), level)]

    def boxes(self, features: Tensor, level: int) -> list[Tensor]:
        """All predictions of one level but scores."""
        return [rows(self.scales[level] * self.ltrb(features)).relu()]


class CenternessHead(DenseHead):
    """Says also how central a location is in its box, from the features of the box (ATSS, FCOS)."""

    def __init__(
        self, towers: Sequence[nn.Module], channels: int, num_classes: int, num_levels: int
    ):
        super().__init__(towers, channels, num_classes, num_levels)
        self.centerness = _conv(channels, 1)

    def boxes(self, features: Tensor, level: int) -> list[Tensor]:
        """All predictions of one level but scores."""
        return [*super().boxes(features, level), rows(self.centerness(features))]


class Integral(nn.Module):
    """The mean lengths that logits of bins stand for, (N, A, 4 B) -> (N, A, 4); GFL, Eq. 4.

    A module, so that it can be kept out of what works in a lower precision.
    """

    def forward(self, bins: Tensor) -> Tensor:
        lengths = torch.arange(BINS, device=bins.device, dtype=bins.dtype)
        return bins.unflatten(-1, (4, BINS)).softmax(-1) @ lengths


class IntegralHead(DenseHead):
    """Predicts a distribution of each distance over bins; their mean is the distance (GFL)."""

    def __init__(
        self, towers: Sequence[nn.Module], channels: int, num_classes: int, num_levels: int
    ):
        super().__init__(towers, channels, num_classes, num_levels)
        self.ltrb, self.mean = _conv(channels, 4 * BINS), Integral()

    def boxes(self, features: Tensor, level: int) -> list[Tensor]:
        """All predictions of one level but scores."""
        bins = rows(self.scales[level] * self.ltrb(features))  # (N, HW, 4 B)
        return [self.mean(bins), bins]


class AnchorHead(DenseHead):
    """Scores and deltas of each of S anchors a cell, without scales (RetinaNet)."""

    def __init__(
        self,
        towers: Sequence[nn.Module],
        channels: int,
        num_classes: int,
        num_levels: int,
        anchors: int,
    ):
        super().__init__(towers, channels, num_classes * anchors, num_levels)
        self.ltrb, self.anchors = _conv(channels, 4 * anchors), anchors
        self.scales = None

    def at_level(self, features: Tensor, level: int) -> list[Tensor]:
        """Of one level; the anchors of a cell follow one another."""
        logit, deltas = super().at_level(features, level)
        return [_by_anchor(rows, self.anchors) for rows in (logit, deltas)]

    def boxes(self, features: Tensor, level: int) -> list[Tensor]:
        """All predictions of one level but scores."""
        return [rows(self.ltrb(features))]


def _conv(channels, outputs, bias=0.0):
    conv = nn.Conv2d(channels, outputs, 3, padding=1)
    nn.init.normal_(conv.weight, std=0.01)
    nn.init.constant_(conv.bias, bias)
    return conv


def rows(maps: Tensor) -> Tensor:
    """Maps (N, C, H, W) as rows (N, HW, C) in float32; free in channels_last."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2).float()


def _by_anchor(predictions, anchors):
    return predictions.unflatten(-1, (anchors, -1)).flatten(1, 2)  # (N, HW, S C) -> (N, HW S, C)
