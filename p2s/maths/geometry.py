"""Boxes, locations and the distances between them: plain functions of tensors.

Boxes are (x1, y1, x2, y2) in pixels of the network's input. The letters of shapes, throughout p2s:
N images, L levels, A locations (all levels of an image, one after the other), G truths,
P positives, R regions, K classes.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

EPSILON = 1e-7  # keeps a ratio of areas finite where both boxes are empty
SQUARE = ((8.0, 8.0),)  # ATSS, Sec. 3.1: one anchor a cell, 8 strides a side


class Grid(NamedTuple):
    """The locations of an image on all levels, the finest level first.

    A location is a cell's point with one of its anchors; most detectors have one anchor a cell.
    """

    points: Tensor  # (A, 2): x, y in pixels
    level: Tensor  # (A,): index into strides
    strides: Tensor  # (L,): pixels a cell
    sides: Tensor  # (A, 2): width and height of the anchor around the point, in pixels
    counts: tuple[int, ...] = ()  # of locations of each level; of a part of them: unknown
    zoom: float = 1.0  # strides in the unit of lengths: of anchors, distances and size ranges

    @property
    def stride(self) -> Tensor:
        """The stride of each location, (A,)."""
        return self.strides[self.level]

    @property
    def units(self) -> Tensor:
        """The unit of lengths of each level, (L,), in pixels: the paper's is the stride."""
        return self.strides * self.zoom

    @property
    def unit(self) -> Tensor:
        """That of each location, (A,)."""
        return self.units[self.level]

    @property
    def anchors(self) -> Tensor:
        """The anchor of each location as a box, (A, 4)."""
        return torch.cat((self.points - self.sides / 2, self.points + self.sides / 2), -1)

    def at(self, rows: Tensor) -> "Grid":
        """The locations of so many rows, of any shape."""
        part = self.points[rows], self.level[rows], self.strides, self.sides[rows]
        return Grid(*part, zoom=self.zoom)


def locations(
    map_sizes: Sequence[tuple[int, int]],
    strides: Sequence[float] | Tensor,
    shapes: Sequence[tuple[float, float]] = SQUARE,
    offset: float = 0.5,
    zoom: float = 1.0,
) -> Grid:
    """The points of the cells of all levels, row by row: cell (i, j) has ((j, i) + offset) stride.

    `map_sizes` holds a height and a width, in cells, for each of the L strides; `shapes` a width
    and a height, in units of `zoom` strides, of each anchor of a cell, whose locations follow one
    another. A tensor of strides says on which device.
    """
    strides = torch.as_tensor(strides, dtype=torch.float32)
    shapes = torch.as_tensor(shapes, dtype=torch.float32, device=strides.device)  # (S, 2)
    points, sides, levels, counts = [], [], [], []
    for level, (size, stride) in enumerate(zip(map_sizes, strides.unbind(), strict=True)):
        cells = _cell_points(size, stride, offset)
        points.append(cells.repeat_interleave(len(shapes), 0))
        sides.append((shapes * (stride * zoom)).repeat(len(cells), 1))
        counts.append(len(points[-1]))
        levels.append(torch.full((counts[-1],), level, device=strides.device))
    return Grid(
        torch.cat(points), torch.cat(levels), strides, torch.cat(sides), tuple(counts), zoom
    )


def _cell_points(size, stride, offset):
    rows, columns = (torch.arange(cells, device=stride.device) + offset for cells in size)
    y, x = torch.meshgrid(rows * stride, columns * stride, indexing="ij")
    return torch.stack((x, y), -1).flatten(0, 1)  # (HW, 2)


def encode_ltrb(points: Tensor, boxes: Tensor) -> Tensor:
    """Distances from points (..., 2) to the left, top, right, bottom of boxes (..., 4).

    Positive inside the box; the two arguments broadcast (Tian et al., 2019, Eq. 1).
    """
    return torch.cat((points - boxes[..., :2], boxes[..., 2:] - points), -1)


def decode_ltrb(points: Tensor, ltrb: Tensor) -> Tensor:
    """Boxes (..., 4) from points (..., 2) and distances (..., 4): the inverse of `encode_ltrb`."""
    return torch.cat((points - ltrb[..., :2], points + ltrb[..., 2:]), -1)


def size_ranges(units: Tensor) -> Tensor:
    """The half diagonals of the boxes that each of L levels answers for, (L, 2).

    Neighbours overlap; the finest level takes all smaller boxes, the coarsest all larger ones. For
    units of 8 to 128 (Sec. 5; C2): 0-80, 64-160, 128-320, 256-640, 512-inf pixels, from 4 to 10
    units. For three, of 8 to 32 (C2): 0-64, 48-192, 128-inf.
    """
    low, high = units * 4.0, units * 10.0
    if len(units) == 3:
        low[1], high[0], high[1] = units[1] * 3, units[0] * 8, units[1] * 12
    low[0], high[-1] = 0, math.inf
    return torch.stack((low, high), -1)


def half_diagonal(boxes: Tensor) -> Tensor:
    """Half the diagonal of boxes (..., 4), in pixels."""
    return (boxes[..., 2:] - boxes[..., :2]).norm(dim=-1) / 2


def area(boxes: Tensor) -> Tensor:
    """The areas of boxes (..., 4), in square pixels."""
    left, top, right, bottom = boxes.unbind(-1)
    return (right - left) * (bottom - top)


def pairwise_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU of every pair of boxes (G, 4) and (R, 4), as (G, R); 0 where both are empty."""
    return paired_iou(boxes[:, None], others)


def paired_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU of boxes (P, 4) with their partners (P, 4), as (P,); 0 where both are empty."""
    intersection, union = _intersection_and_union(boxes, others)
    return intersection / union.clamp(min=EPSILON)


def paired_giou(boxes: Tensor, others: Tensor) -> Tensor:
    """Generalised IoU of boxes (P, 4) with their partners (P, 4), in (-1, 1], as (P,).

    IoU less the share of the common hull that neither covers (Rezatofighi et al., 2019, Alg. 1).
    """
    intersection, union = _intersection_and_union(boxes, others)
    top_left = torch.minimum(boxes[..., :2], others[..., :2])
    bottom_right = torch.maximum(boxes[..., 2:], others[..., 2:])
    hull = area(torch.cat((top_left, bottom_right), -1))
    waste = (hull - union) / hull.clamp(min=EPSILON)
    return intersection / union.clamp(min=EPSILON) - waste


def _intersection_and_union(boxes, others):
    # Side by side: a reduction over two numbers takes longer than all else.
    left, top, right, bottom = boxes.unbind(-1)
    others_left, others_top, others_right, others_bottom = others.unbind(-1)
    width = torch.minimum(right, others_right) - torch.maximum(left, others_left)
    height = torch.minimum(bottom, others_bottom) - torch.maximum(top, others_top)
    intersection = width.clamp(min=0) * height.clamp(min=0)
    return intersection, area(boxes) + area(others) - intersection
