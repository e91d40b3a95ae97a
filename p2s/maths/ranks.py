"""Ranks: the processes that train one model together, each on its part of every batch.

A loss is a sum over a part divided by a total. Where each rank divides by the mean of all ranks'
totals, the mean of their losses, and of their gradients, is that of the whole batch.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


def rank() -> int:
    """The number of this process; 0, which alone writes, where it works alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def ranks() -> int:
    """How many processes work together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def part() -> slice:
    """Which of the images of a batch, or of a data set, are this rank's."""
    return slice(rank(), None, ranks())


def wait_for_all() -> None:
    """Return when all ranks have come here."""
    if ranks() > 1:
        dist.barrier()


def anywhere(true: bool) -> bool:
    """Whether something is true at any rank; every rank has to ask."""
    return true if ranks() == 1 else bool(mean(torch.tensor(float(true))) > 0)


def gathered(values: list) -> list:
    """The values of a data set, of which each rank has those of its `part`, at all ranks."""
    if ranks() == 1:
        return values
    parts = [None] * ranks()
    dist.all_gather_object(parts, values)
    whole = [None] * sum(map(len, parts))
    for number, of_rank in enumerate(parts):
        whole[number :: ranks()] = of_rank
    return whole


def mean(values: Tensor) -> Tensor:
    """The mean over ranks, without gradient; every rank has to ask for it."""
    if ranks() == 1:
        return values
    values = values.detach().clone()
    dist.all_reduce(values)
    return values / ranks()


def normaliser(total: Tensor) -> Tensor:
    """What a rank divides a sum by whose parts number `total` here: at least 1 over all ranks."""
    return mean(total).clamp(min=1 / ranks())


def share(count: int, device: torch.device) -> Tensor | float:
    """By what a mean over `count` rows of this rank weighs in the mean over those of all ranks."""
    if ranks() == 1:
        return 1.0
    return count / normaliser(torch.tensor(float(count), device=device))


@torch.no_grad()
def average_gradients(weights: Iterable[Tensor]) -> None:
    """Give the weights of all ranks the mean of their gradients; one that has none counts as 0."""
    if ranks() == 1:
        return
    # Not by torch's DistributedDataParallel: it wraps the model, and with it its names and methods.
    trained = [weight for weight in weights if weight.requires_grad]
    for weight in trained:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    whole = mean(torch.cat([weight.grad.flatten() for weight in trained]))
    parts = whole.split([weight.numel() for weight in trained])
    for weight, part in zip(trained, parts, strict=True):
        weight.grad.copy_(part.view_as(weight))
