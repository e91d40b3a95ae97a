"""Averages: which weights of a training are evaluated and saved, the last ones or a mean."""

import copy
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from p2s.spec.recipe import Ema, Recipe


class Average(Protocol):
    """What a recipe makes of the weights of all steps."""

    model: nn.Module  # that is evaluated and saved

    def update(self, done: int) -> None:
        """Take the weights after so many steps into account."""

    def state(self) -> dict[str, Any]:
        """What the next update depends on, besides the weights themselves."""

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""


class Last:
    """The weights of the last step."""

    def __init__(self, model: nn.Module):
        self.model = model

    def update(self, done: int) -> None:
        """They are the model's own."""

    def state(self) -> dict[str, Any]:
        """Nothing besides."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Nothing to do."""


class Moving:
    """An exponential moving average of weights and statistics, in a model of its own.

    After t steps its decay is at most (1 + t) / (10 + t), so that a short training is not for the
    most part its first weights (the `num_updates` of TensorFlow's ExponentialMovingAverage).
    """

    def __init__(self, model: nn.Module, decay: float):
        self.trained, self.decay = model, decay
        self.model = copy.deepcopy(model)

    @torch.no_grad()
    def update(self, done: int) -> None:
        """Move towards the weights after so many steps; what is no float is theirs."""
        decay = min(self.decay, (1 + done) / (10 + done))
        ours, theirs = ([*net.parameters(), *net.buffers()] for net in (self.model, self.trained))
        pairs = list(zip(ours, theirs, strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        get_ema_multi_avg_fn(decay)(*map(list, zip(*floats, strict=True)), None)
        for own, their in pairs:
            if not own.is_floating_point():
                own.copy_(their)

    def state(self) -> dict[str, Any]:
        """The averaged weights."""
        return self.model.state_dict()

    def load(self, state: dict[str, Any]) -> None:
        """Take averaged weights back."""
        self.model.load_state_dict(state)


def average_of(model: nn.Module, recipe: Recipe) -> Average:
    """The recipe's average of the weights that a model has and will have."""
    if isinstance(recipe.average, Ema):
        return Moving(model, recipe.average.decay)
    return Last(model)
