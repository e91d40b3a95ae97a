"""Descent: how weights move in training: the recipe's optimiser, and its rate at an iteration."""

import torch
from detectron2.solver.build import get_default_optimizer_params
from torch import nn

from p2s.spec import Recipe
from p2s.spec.recipe import AdamW

WARMUP_FROM = 1 / 1000  # d2: the share of the rate at iteration 0


def optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's: gradient descent with momentum (d2) or AdamW; normalisations don't decay."""
    parameters = get_default_optimizer_params(model, weight_decay_norm=0.0)
    shared = {"lr": recipe.scaled_rate, "weight_decay": recipe.weight_decay, "fused": True}
    if isinstance(recipe.optimizer, AdamW):
        return torch.optim.AdamW(parameters, **shared)
    return torch.optim.SGD(parameters, momentum=recipe.optimizer.momentum, **shared)


def rate_at(recipe: Recipe, iteration: int) -> float:
    """The learning rate at an iteration: linear warm-up, then a tenth after every drop (Sec. 5).

    Each cycle has the same.
    """
    iteration %= recipe.iterations
    warm = min(1.0, iteration / recipe.warmup) if recipe.warmup else 1.0
    drops = sum(iteration >= round(share * recipe.iterations) for share in recipe.drops)
    return recipe.scaled_rate * (WARMUP_FROM + (1 - WARMUP_FROM) * warm) * 0.1**drops
