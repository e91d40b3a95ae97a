"""Prefetch: the same results in the same order by any number of threads, and errors in place."""

import threading
import time

import pytest

from p2s.data.prefetch import AHEAD, prefetched


def slow_square(number):
    time.sleep(0.003 * (number % 3))  # a later one may be ready first
    return number * number


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_the_order_of_their_numbers(workers):
    assert list(prefetched(slow_square, range(5, 40), workers)) == [n * n for n in range(5, 40)]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_comes_where_its_result_was_wanted(workers):
    def make(number):
        if number == 3:
            raise ValueError("photo.jpg: not a readable image")
        return number

    results = prefetched(make, range(9), workers)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="photo.jpg"):
        next(results)


def test_no_more_is_made_ahead_than_may_wait():
    made = []
    results = prefetched(made.append, range(1000), 2)
    next(results)
    time.sleep(0.05)
    assert len(made) <= 2 * AHEAD + 1
    results.close()


def test_the_threads_end_with_whoever_stops_early():
    results = prefetched(slow_square, range(1000), 3)
    next(results)
    results.close()
    deadline = time.monotonic() + 5
    while any(thread.name.startswith("p2s-prefetch") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
