"""Group normalisation at any width."""

import math

from torch import nn


def group_norm(channels: int, group_width: int) -> nn.GroupNorm:
    """32 groups, as detectron2's, or fewer where a group would hold under `group_width` channels.

    Fewer groups, not smaller ones: a group of one channel on a map of one cell would be normalised
    to nothing. Wu and He (2018).
    """
    return nn.GroupNorm(math.gcd(32, channels, max(channels // group_width, 1)), channels)
