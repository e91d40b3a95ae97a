"""Measuring: ways that take turns, and the ceiling that the machine sets in the same minutes."""

import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from tqdm import tqdm

CEILING = (256, 100, 136)  # channels and cells of the map whose convolution is the ceiling


def turns(
    ways: dict[str, Callable], rounds: int = 7, warmup: int = 2
) -> dict[str, dict[str, list[float]]]:
    """Seconds of every way, measured in turns, so that a slow minute slows all of them alike.

    `ways` maps names to callables; one that returns a dict of seconds by part is taken at its
    word. Returns {name: {part: [seconds of each round]}}, "total" always among the parts.
    """
    seconds = {name: {} for name in ways}
    for turn in tqdm(range(-warmup, rounds), "rounds", disable=None, leave=False):
        for name, way in ways.items():
            start = time.perf_counter()
            parts = way()
            total = time.perf_counter() - start
            parts = {"total": total, **parts} if isinstance(parts, dict) else {"total": total}
            for part, value in parts.items() if turn >= 0 else ():
                seconds[name].setdefault(part, []).append(value)
    return seconds


def medians(seconds: dict[str, list[float]]) -> dict[str, float]:
    """The median seconds of every part of one way."""
    return {part: statistics.median(values) for part, values in seconds.items()}


def ceiling(dtype: torch.dtype) -> tuple[Callable, int]:
    """A convolution that keeps the machine busiest, and its operations: 3x3, channels_last."""
    channels, *size = CEILING
    conv = nn.Conv2d(channels, channels, 3, padding=1).to(dtype=dtype)
    conv = conv.requires_grad_(False).to(memory_format=torch.channels_last)
    x = torch.randn(1, channels, *size, dtype=dtype).to(memory_format=torch.channels_last)
    return (lambda: conv(x)), 2 * 9 * channels**2 * size[0] * size[1]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch work with `count` threads, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def peak_memory(peak: list[float]) -> Iterator[None]:
    """Append the most memory that this process holds meanwhile, in MB, to `peak`; Linux only."""
    if platform.system() != "Linux":
        yield
        return
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak so far is forgotten
    yield
    with open("/proc/self/status") as file:
        [line] = [line for line in file if line.startswith("VmHWM")]
    peak.append(int(line.split()[1]) / 1000)
