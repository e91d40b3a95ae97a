"""RoIAlign for the CPU: equal to torchvision's, with a fast gradient.

RoIAlign (He et al., 2017, Mask R-CNN, Sec. 3) averages bilinear samples of each bin of a region.
That is linear in the map and separable: a bin of row p and column q is W_y[p] F W_x[q]^T, where
W_y (W_x) holds what the samples weigh on each row (column) of cells. Both are 0 but for a few
neighbouring cells, so the bin is a weighted sum of the cells in a small rectangle, and the gradient
of a cell is a weighted sum of bins. Each sum is one embedding bag: it reads all channels of a
channels_last cell at once, where torchvision's gradient adds to one number at a time.

N images, L maps, R regions, C channels, H x W cells, P x Q bins of a region, S samples of a bin
along an axis, T cells that a bin reads (Ty x Tx), A cells of all maps, B bins of all regions.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.utils import _pair
from torchvision.ops import roi_align as torchvision_roi_align

MOST_CELLS = 2**26  # read by all bins at once: about 1 GB of indices and weights


class Regions(NamedTuple):
    """Where each region lies: an image, a map of the pyramid, a box in cells of that map."""

    image: Tensor  # (R,) long
    level: Tensor  # (R,) long, index of a map
    start: Tensor  # (R, 2) x, y of the upper left corner
    length: Tensor  # (R, 2)


class Band(NamedTuple):
    """The neighbouring cells that each bin of a region reads along one axis of its map."""

    cell: Tensor  # (R, P, T) long; beyond the map's end the last one, with weight 0
    weight: Tensor  # (R, P, T)
    samples: int  # of the largest bin


class Bins(NamedTuple):
    """What all bins read, where the cells of all maps stand in one list, image by image."""

    first: Tensor  # (R,) long, the first cell of a region's map in its image
    width: Tensor  # (R,) long, cells in a row of that map
    y: Band
    x: Band


def roi_align(
    features: Tensor,
    rois: Tensor,
    output_size: int | tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Tensor:
    """The regions of a map, resampled to one size: (N, C, H, W), (R, 5) -> (R, C, P, Q).

    A region is (index of its image, x1, y1, x2, y2) in pixels; the map has `spatial_scale` cells a
    pixel. A bin takes `sampling_ratio` samples a side, or ceil(its size in cells) if that is 0.
    Only features get a gradient. Runs torchvision's function where that is the faster one.
    """
    rois = rois.detach().to(features.dtype)
    if features.is_cpu and len(rois):
        level = rois.new_zeros(len(rois), dtype=torch.long)
        regions = to_regions(rois, level, spatial_scale, aligned)
        bins = lay_bins([features], regions, output_size, sampling_ratio)
        if bags_are_faster([features], bins):
            return by_bags([features], bins)
    arguments = (output_size, spatial_scale, sampling_ratio, aligned)
    return torchvision_roi_align(features, rois, *arguments)


def to_regions(rois: Tensor, level: Tensor, scale: float | Tensor, aligned: bool = True) -> Regions:
    """Rois (R, 5) on maps `level` (R,) that have `scale` cells a pixel, one number or (R, 1)."""
    offset = 0.5 if aligned else 0.0  # a cell's value is that of its centre
    start, end = rois[:, 1:3] * scale - offset, rois[:, 3:] * scale - offset
    length = end - start
    return Regions(rois[:, 0].long(), level, start, length if aligned else length.clamp(min=1))


def lay_bins(
    maps: list[Tensor],
    regions: Regions,
    output_size: int | tuple[int, int],
    sampling_ratio: int,
) -> Bins:
    """The bins of all regions on a list of maps (N, C, H, W) that differ in H and W only."""
    rows, columns = _pair(output_size)
    images, level = len(maps[0]), regions.level
    height, width = torch.tensor([level.shape[2:] for level in maps]).T  # (L,), (L,)
    area = height * width
    first = (images * area).cumsum(0) - images * area  # (L,)
    return Bins(
        first[level] + regions.image * area[level],
        width[level],
        _band(regions.start[:, 1], regions.length[:, 1], rows, height[level], sampling_ratio),
        _band(regions.start[:, 0], regions.length[:, 0], columns, width[level], sampling_ratio),
    )


def by_bags(maps: list[Tensor], bins: Bins) -> Tensor:
    """RoIAlign of all bins as one embedding bag over the cells of all maps, -> (R, C, P, Q)."""
    channels = maps[0].shape[1]
    row = (bins.first[:, None, None] + bins.y.cell * bins.width[:, None, None]).int()
    column = bins.x.cell.int()
    cell = row[:, :, None, :, None] + column[:, None, :, None, :]  # (R, P, Q, Ty, Tx)
    weight = bins.y.weight[:, :, None, :, None] * bins.x.weight[:, None, :, None, :]
    # (A, C): one map that is channels_last is only viewed
    tables = [level.permute(0, 2, 3, 1).reshape(-1, channels) for level in maps]
    table = torch.cat(tables) if len(tables) > 1 else tables[0]
    pooled = _Bags.apply(table, cell.flatten(0, 2).flatten(1), weight.flatten(0, 2).flatten(1))
    return pooled.reshape(*cell.shape[:3], channels).permute(0, 3, 1, 2)


def bags_are_faster(maps: list[Tensor], bins: Bins) -> bool:
    """Compare nanoseconds, fitted on one AVX2 core, over maps from 3 x 3 x 64 to 100 x 136 x 256.

    torchvision's time goes with the samples, and ten times that with a gradient; ours with the
    cells read, and twice that, after a start of 2 ms.
    """
    channels, y, x = maps[0].shape[1], bins.y, bins.x
    count = len(y.cell) * y.cell.shape[1] * x.cell.shape[1]
    cells = count * y.cell.shape[2] * x.cell.shape[2]
    trains = torch.is_grad_enabled() and any(level.requires_grad for level in maps)
    torchvisions = 2.5 * channels * count * y.samples * x.samples * (10 if trains else 1)
    ours = (2e6 + cells * (20 + channels / 8)) * (2 if trains else 1)
    return cells <= MOST_CELLS and ours < torchvisions


class RoIAlign(nn.Module):
    """`roi_align` with the constructor and the call of detectron2's ROIAlign."""

    def __init__(
        self,
        output_size: int | tuple[int, int],
        spatial_scale: float,
        sampling_ratio: int,
        aligned: bool = True,
    ):
        super().__init__()
        self.arguments = (output_size, spatial_scale, sampling_ratio, aligned)

    def forward(self, features: Tensor, rois: Tensor) -> Tensor:
        return roi_align(features, rois, *self.arguments)

    def extra_repr(self) -> str:
        return "output_size={}, spatial_scale={}, sampling_ratio={}, aligned={}".format(
            *self.arguments
        )


class _Bags(torch.autograd.Function):
    """Weighted sums of rows, (A, C), (B, T), (B, T) -> (B, C), whose gradient is such a sum too.

    That is a product with a sparse matrix; scipy brings one in the order of the other side in a
    quarter of the time that sorting takes.
    """

    @staticmethod
    def forward(ctx, table, cell, weight):
        ctx.save_for_backward(cell, weight)
        ctx.rows = len(table)
        return F.embedding_bag(cell, table, per_sample_weights=weight, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        cell, weight = ctx.saved_tensors
        bins, of_bin = cell.shape
        starts = np.arange(0, bins * of_bin + 1, of_bin)
        entries = weight.flatten().numpy(), cell.flatten().numpy(), starts
        weights = csr_matrix(entries, shape=(bins, ctx.rows), copy=True)
        weights.eliminate_zeros()
        return torch.from_numpy(weights.T @ gradient.contiguous().numpy()), None, None


def _band(start, length, bins, size, ratio):
    """The cells under `bins` bins along one axis, for (R,) starts, lengths and sizes of the map.

    A sample more than one cell outside of the map weighs nothing; one between that and the
    outermost centres is moved there.
    """
    at, share = _samples(start, length, bins, ratio)  # (R, P, S), (R, 1, S)
    size = size[:, None, None]
    share = share * ((at >= -1) & (at <= size))
    at = torch.minimum(at.clamp(min=0), (size - 1).to(at))
    below = at.floor()
    # Samples ascend, or descend in an inverted region: the lowest is at one of the ends.
    first = torch.minimum(below[:, :, :1], below[:, :, -1:]).long()
    near = below.long() - first
    span = int(near.max()) + 2
    weight = at.new_zeros(*first.shape[:2], span)
    weight.scatter_add_(2, near, share * (1 - (at - below)))
    weight.scatter_add_(2, near + 1, share * (at - below))
    cell = torch.minimum(first + torch.arange(span), size - 1)
    return Band(cell, weight, at.shape[2])


def _samples(start, length, bins, ratio):
    """Positions (R, P, S) of a bin's samples, and the share (R, 1, S) of each in it.

    Every step is in torchvision's order: beside the map's border, or in the number of samples, a
    rounding error would make a whole sample appear or vanish.
    """
    step = length / bins  # (R,) cells a bin
    count = torch.full_like(step, ratio) if ratio > 0 else step.ceil().clamp(min=0)
    i = torch.arange(max(int(count.max()), 1), dtype=step.dtype)
    i = torch.minimum(i, (count[:, None] - 1).clamp(min=0))  # repeats the last one, with share 0
    p = torch.arange(bins, dtype=step.dtype)
    within = (i + 0.5) * step[:, None] / count.clamp(min=1)[:, None]  # (R, S)
    at = (start[:, None] + p * step[:, None])[:, :, None] + within[:, None]
    is_sample = torch.arange(i.shape[1]) < count[:, None]
    return at, (is_sample / count.clamp(min=1)[:, None])[:, None]
