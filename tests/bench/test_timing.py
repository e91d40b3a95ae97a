"""Ways take turns, threads come back, and the ceiling is counted by hand."""

import pytest
import torch

from p2s.bench import timing


def test_ways_take_turns_and_the_warm_up_is_not_counted():
    order = []
    ways = {"a": lambda: order.append("a"), "b": lambda: order.append("b") or {"first": 2.0}}
    seconds = timing.turns(ways, rounds=3, warmup=1)
    assert order == list("ab" * 4)
    assert len(seconds["a"]["total"]) == 3 and timing.medians(seconds["b"])["first"] == 2


def test_threads_are_restored_also_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), timing.threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before


def test_the_ceiling_counts_its_own_operations():
    conv, operations = timing.ceiling(torch.float32)
    weight = conv().shape[1] * 256 * 9
    assert operations == 2 * weight * 100 * 136
