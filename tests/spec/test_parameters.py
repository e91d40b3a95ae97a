"""Parameters: each is of its kind and within its bounds, or told with what is valid."""

import math

import pytest

from p2s.spec.parameters import require


@pytest.mark.parametrize("kind, value", [(int, 0), (int, 3), (float, 1.5), (float, 2), (str, "")])
def test_what_is_of_its_kind_and_in_its_bounds_is_taken(kind, value):
    require(kind, 0, 3, name=value)


@pytest.mark.parametrize("value", [-1, 4, True, "1", 1.5, None])
def test_what_is_not_is_told_with_what_is_valid(value):
    with pytest.raises(ValueError) as error:
        require(int, 0, 3, good=1, shown=value)
    assert str(error.value) == f"shown: {value!r} (valid: a whole number, 0 to 3)"


@pytest.mark.parametrize("kind, value", [(float, math.nan), (float, True), (str, 5), (str, None)])
def test_no_number_and_no_text_is_neither(kind, value):
    with pytest.raises(ValueError, match="^name: "):
        require(kind, 0, name=value)
