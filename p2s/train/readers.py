"""Readers: heads that tell from features what the glyphs in given boxes are, to pretrain a trunk.

A reader takes the features of all levels, finest first, and the boxes of each image; it returns
what it sees (M, C) and of which box (M,). N images, L levels, R boxes of all images.
"""

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads import FastRCNNConvFCHead
from detectron2.structures import Boxes
from torch import Tensor, nn

from p2s.maths.geometry import half_diagonal, size_ranges
from p2s.model.first.heads import tower
from p2s.model.second.pooler import CANONICAL_SIZE, FastROIPooler
from p2s.model.second.stage import RESOLUTION

LAYERS = 4  # of a dense head; Sec. 5
MIDDLE = 0.5  # of a box's sides: where locations are read
FINEST = 8  # stride of the finest level of one-stage detectors, P3; Sec. 5
Seen = tuple[Tensor, Tensor]


class RegionReader(nn.Module):
    """Reads a box as a second stage sees it: pooled from one level."""

    def __init__(self, strides: list[int], zoom: float, hidden: nn.Module):
        super().__init__()
        scales, size = [1 / stride for stride in strides], CANONICAL_SIZE * zoom
        self.pool = FastROIPooler(RESOLUTION, scales, canonical_box_size=size)
        self.hidden = hidden

    def forward(self, features: list[Tensor], boxes: list[Boxes]) -> Seen:
        """Every box once."""
        seen = self.hidden(self.pool(features, boxes))
        return seen, torch.arange(len(seen))


def plain_layers(channels: int, width: int) -> nn.Module:
    """detectron2's two hidden layers of a region (d2)."""
    pooled = ShapeSpec(channels=channels, height=RESOLUTION, width=RESOLUTION)
    return FastRCNNConvFCHead(pooled, conv_dims=[], fc_dims=[width] * 2)


def normalised_layers(channels: int, width: int) -> nn.Module:
    """The same with batch normalisation, by which reading begins sooner."""
    inputs = channels * RESOLUTION**2, width
    return nn.Sequential(nn.Flatten(), *(layer for i in inputs for layer in _normalised(i, width)))


def _normalised(inputs, width):
    return nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()


class LocationReader(nn.Module):
    """Reads a box as a one-stage detector does: from single locations, behind a tower.

    On each level in whose size range it is, see p2s.maths.geometry.size_ranges: from the location
    of its centre, and from `more` by chance in its middle, as several of a box are positives.
    """

    def __init__(self, strides: list[int], channels: int, zoom: float, more: int = 0):
        super().__init__()
        self.strides = [stride for stride in strides if stride >= FINEST]
        self.ranges = size_ranges(torch.tensor(self.strides) * zoom).tolist()
        self.tower = tower(channels, LAYERS)
        self.more = more

    def forward(self, features: list[Tensor], boxes: list[Boxes]) -> Seen:
        """Every box `1 + more` times for each of its levels; none on levels finer than P3."""
        every = torch.cat([of_image.tensor for of_image in boxes])  # (R, 4)
        image = torch.arange(len(boxes)).repeat_interleave(torch.tensor(list(map(len, boxes))))
        seen, which = [], []
        levels = features[-len(self.strides) :]
        for level, stride, (low, high) in zip(levels, self.strides, self.ranges, strict=True):
            size = half_diagonal(every)
            here = ((size >= low) & (size <= high)).nonzero()[:, 0]  # (M,)
            here = here.repeat(1 + self.more)
            x, y = _cells(self._points(every[here]), level, stride).unbind(-1)
            seen.append(self.tower(level)[image[here], :, y, x])
            which.append(here)
        return torch.cat(seen), torch.cat(which)

    def _points(self, boxes):
        """A point (M, 2) in each box: of the first 1 / (1 + more) the centre."""
        away = MIDDLE * (torch.rand(len(boxes), 2) - 0.5)
        away[: len(boxes) // (1 + self.more)] = 0
        return (boxes[:, :2] + boxes[:, 2:]) / 2 + away * (boxes[:, 2:] - boxes[:, :2])


def _cells(points, level, stride):
    """The cells (M, 2) of a level (N, C, H, W) in which points lie, as x, y."""
    height, width = level.shape[-2:]
    return (points / stride).long().clamp(min=0).minimum(torch.tensor([width, height]) - 1)
