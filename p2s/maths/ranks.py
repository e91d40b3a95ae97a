"""Ranks: the processes that train one model together, each on its part of every batch.

A loss is a sum over a part divided by a total. Where each rank divides by the mean of all ranks'
totals, the mean of their losses, and of their gradients, is that of the whole batch.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import _get_default_store

_apart = False  # whether this process has left the others, see alone()


def rank() -> int:
    """The number of this process; 0, which alone writes, where it works alone."""
    return dist.get_rank() if _are_several() else 0


def ranks() -> int:
    """How many processes work together."""
    return dist.get_world_size() if _are_several() else 1


def _are_several():
    return dist.is_initialized() and not _apart


@contextmanager
def alone() -> Iterator[None]:
    """Let this process compute as if there were no other rank, which may be doing anything."""
    global _apart
    _apart = True
    try:
        yield
    finally:
        _apart = False


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


def is_first(what: str) -> bool:
    """Whether no rank has asked this before; not all have to ask."""
    return ranks() == 1 or _get_default_store().add(what, 1) == 1


def by_first(what: str, make: Callable[[], str]) -> str:
    """What the first rank that comes here makes, at all that come; not all have to."""
    if ranks() == 1:
        return make()
    store = _get_default_store()
    if is_first(what):
        store.set(f"{what}: made", make())
    return store.get(f"{what}: made").decode()


def largest(values: Iterable[int]) -> list[int]:
    """The largest of each of some numbers over ranks; every rank has to ask for it."""
    numbers = torch.tensor(list(values))
    if ranks() > 1:
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
    return numbers.tolist()


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
    """Give the weights of all ranks the mean of their gradients.

    A rank that has none of a weight counts as 0; where none has one, there is none, so that an
    optimizer leaves such a weight alone, as in one process.
    """
    if ranks() == 1:
        return
    # Not by torch's DistributedDataParallel: it wraps the model, and with it its names and methods.
    trained = _with_gradients([weight for weight in weights if weight.requires_grad])
    for weight in trained:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    whole = mean(torch.cat([weight.grad.flatten() for weight in trained]))
    parts = whole.split([weight.numel() for weight in trained])
    for weight, part in zip(trained, parts, strict=True):
        weight.grad.copy_(part.view_as(weight))


def _with_gradients(weights):
    """Those that have a gradient at any rank; asked on the CPU, so that no device is waited for."""
    shares = mean(torch.tensor([float(weight.grad is not None) for weight in weights]))
    return [weight for weight, share in zip(weights, shares.tolist(), strict=True) if share > 0]
