"""The learning rate at an iteration (Sec. 5; App. B)."""

import pytest

from p2s.spec import Recipe
from p2s.train.descent import rate_at


def test_the_rate_warms_up_from_a_thousandth_and_falls_to_a_tenth_at_each_drop():
    recipe = Recipe()  # the paper's: 90k iterations, batch 16
    assert rate_at(recipe, 0) == pytest.approx(0.02 / 1000)
    assert rate_at(recipe, 2000) == pytest.approx(0.02 * (1 + 1 / 1000) / 2)
    steps = {4000: 0.02, 59_999: 0.02, 60_000: 0.002, 79_999: 0.002, 80_000: 0.0002}
    assert {i: rate_at(recipe, i) for i in steps} == pytest.approx(steps)


def test_each_cycle_has_the_whole_schedule():
    recipe = Recipe(cycles=6)
    assert recipe.steps == 6 * 90_000
    for iteration in (0, 1, 3999, 60_000, 89_999):
        assert rate_at(recipe, iteration + 90_000 * 5) == rate_at(recipe, iteration)


def test_the_rate_is_linear_in_the_batch():
    small = Recipe(batch=2, warmup=0)
    assert rate_at(small, 0) == pytest.approx(0.02 / 8)
