"""Measuring: ways that take turns, and the ceiling that the machine sets in the same minutes."""

import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from tqdm import tqdm

CPU = torch.device("cpu")
CEILING = (256, 100, 136)  # channels and cells of the map whose convolution is the ceiling


def now(device: torch.device = CPU) -> float:
    """The seconds of a clock, once a device has done all that it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def turns(
    ways: dict[str, Callable], rounds: int = 7, warmup: int = 2, device: torch.device = CPU
) -> dict[str, dict[str, list[float]]]:
    """Seconds of every way, measured in turns, so that a slow minute slows all of them alike.

    `ways` maps names to callables; one that returns a dict of seconds by part is taken at its
    word. Returns {name: {part: [seconds of each round]}}, "total" always among the parts.
    """
    seconds = {name: {} for name in ways}
    for turn in tqdm(range(-warmup, rounds), "rounds", disable=None, leave=False):
        for name, way in ways.items():
            start = now(device)
            parts = way()
            total = now(device) - start
            parts = {"total": total, **parts} if isinstance(parts, dict) else {"total": total}
            for part, value in parts.items() if turn >= 0 else ():
                seconds[name].setdefault(part, []).append(value)
    return seconds


def medians(seconds: dict[str, list[float]]) -> dict[str, float]:
    """The median seconds of every part of one way."""
    return {part: statistics.median(values) for part, values in seconds.items()}


def rate(images: int, seconds: float, device: torch.device) -> dict[str, float]:
    """The column of images a second, of a GPU alone: tables of CPUs have never had it."""
    return {"rate": images / seconds} if device.type == "cuda" else {}


def ceiling(dtype: torch.dtype, device: torch.device = CPU) -> tuple[Callable, int]:
    """A convolution that keeps the machine busiest, and its operations: 3x3, channels_last."""
    channels, *size = CEILING
    conv = nn.Conv2d(channels, channels, 3, padding=1).to(device, dtype)
    conv = conv.requires_grad_(False).to(memory_format=torch.channels_last)
    x = (
        torch.randn(1, channels, *size, dtype=dtype)
        .to(device)
        .to(memory_format=torch.channels_last)
    )
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
def peak_memory(peak: list[float], device: torch.device = CPU) -> Iterator[None]:
    """Append the most memory held meanwhile, in MB, to `peak`.

    That of this process, on Linux only; of a GPU what torch's tensors take there.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield
        peak.append(torch.cuda.max_memory_allocated(device) / 1e6)
        return
    if platform.system() != "Linux":
        yield
        return
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak so far is forgotten
    yield
    with open("/proc/self/status") as file:
        [line] = [line for line in file if line.startswith("VmHWM")]
    peak.append(int(line.split()[1]) / 1000)
