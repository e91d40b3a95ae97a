"""Prefetch: what the next steps need is made while one is at work, by threads.

Decoding and resizing leave Python's lock, so threads are enough; they share the data, die with the
process, and an error is raised where its result is wanted.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

AHEAD = 2  # results that wait, for each worker
MOST = 8  # workers by default: each holds two batches, which at 800 pixels are 100 MB


def workers(processes: int) -> int:
    """How many a process has by default: half of its share of the cores that are ours."""
    given = getattr(os, "sched_getaffinity", None)  # Linux: a cluster's job has some of them
    cores = len(given(0)) if given else os.cpu_count() or 1
    return min(MOST, max(1, cores // 2 // processes))


def prefetched(make: Callable[[int], T], numbers: Iterable[int], workers: int) -> Iterator[T]:
    """`make(number)` of each number, in their order, made ahead by so many threads; 0: by none."""
    if not workers:
        yield from map(make, numbers)
        return
    pool, waiting = ThreadPoolExecutor(workers, "p2s-prefetch"), deque()
    try:
        for number in numbers:
            waiting.append(pool.submit(make, number))
            if len(waiting) > AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
