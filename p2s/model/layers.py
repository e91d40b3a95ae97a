"""Layers at any width and number of ranks: normalisations, and the bias of an untrained score."""

import math
from collections.abc import Callable
from functools import partial

import torch
from detectron2.layers import Conv2d, NaiveSyncBatchNorm, get_norm
from fvcore.nn import weight_init
from torch import Tensor, nn

from p2s.maths.ranks import ranks

Norm = str | Callable[[int], nn.Module]  # as detectron2's get_norm takes it
PUBLISHED = 160  # channels of the narrowest pyramid of the paper (App. B)
PRIOR = 0.01  # P(positive) of an untrained head; Lin et al. (2017b), Sec. 4.1


def group_norm(channels: int, group_width: int) -> nn.GroupNorm:
    """32 groups, as detectron2's, or fewer where a group would hold under `group_width` channels.

    Fewer groups, not smaller ones: a group of one channel on a map of one cell would be normalised
    to nothing. Wu and He (2018). At published widths, 160 and more, there are 32 in any case.
    """
    if channels >= PUBLISHED:
        return nn.GroupNorm(math.gcd(32, channels), channels)
    return nn.GroupNorm(math.gcd(32, channels, max(channels // group_width, 1)), channels)


class BatchNorm(NaiveSyncBatchNorm):
    """Batch normalisation over the images of all ranks, in fp32; torch's own in one process.

    torch.nn.SyncBatchNorm is for GPUs only. Statistics are exact, for maps of all ranks are of one
    size; those that are kept have the variance of a sample, not the unbiased one.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """As torch's."""
        if not self.training or ranks() == 1:
            return nn.BatchNorm2d.forward(self, maps)
        with torch.autocast(maps.device.type, enabled=False):
            return super().forward(maps.float()).to(maps.dtype)


def trunk_norm(name: str) -> Norm:
    """The normalisation of a trunk's layers by its name in a Spec."""
    ours = {"GN": partial(group_norm, group_width=2), "BN": BatchNorm}
    return ours.get(name, name)


def conv(inputs: int, outputs: int, side: int, norm: Norm, stride: int = 1) -> Conv2d:
    """A convolution that keeps the size but for its stride, with its norm and no bias."""
    norm = get_norm(norm, outputs)
    made = Conv2d(inputs, outputs, side, stride, side // 2, bias=False, norm=norm)
    weight_init.c2_msra_fill(made)
    return made


def prior_bias(prior: float = PRIOR) -> float:
    """The bias of a logit that says a probability before anything is learnt."""
    return -math.log((1 - prior) / prior)
