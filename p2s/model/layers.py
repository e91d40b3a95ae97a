"""Layers at any width: group normalisation, and the bias of an untrained score."""

import math

from torch import nn

PRIOR = 0.01  # P(positive) of an untrained head; Lin et al. (2017b), Sec. 4.1


def group_norm(channels: int, group_width: int) -> nn.GroupNorm:
    """32 groups, as detectron2's, or fewer where a group would hold under `group_width` channels.

    Fewer groups, not smaller ones: a group of one channel on a map of one cell would be normalised
    to nothing. Wu and He (2018).
    """
    return nn.GroupNorm(math.gcd(32, channels, max(channels // group_width, 1)), channels)


def prior_bias(prior: float = PRIOR) -> float:
    """The bias of a logit that says a probability before anything is learnt."""
    return -math.log((1 - prior) / prior)
