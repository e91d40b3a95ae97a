"""The most memory that full-size inference holds, each way in a process of its own."""

from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

import torch

from p2s.bench.nets import picture
from p2s.bench.timing import CPU, peak_memory, threads
from p2s.bench.ways import Way


def memories(
    make_ways: Callable[[], dict[str, Way]],
    size: tuple[int, int],
    count: int,
    device: torch.device = CPU,
) -> dict[str, Any]:
    """The most memory in MB that is held while each way runs, by a process or on its GPU.

    `make_ways()` gives the ways; it is called in new processes, so it must be picklable. None of a
    process but on Linux.
    """
    rows = []
    for name, way in make_ways().items():
        with get_context("spawn").Pool(1) as pool:
            most = pool.apply(_memory, (make_ways, name, size, count, device))
        rows.append({"way": name, **way.columns, "memory": most})
    return {"rows": rows}


def _memory(make_ways, name, size, count, device):
    with threads(count), torch.no_grad():
        model, inputs, peak = make_ways()[name].make(), picture(size), []
        model(inputs)
        with peak_memory(peak, device):
            model(inputs)
    return peak[0] if peak else None
