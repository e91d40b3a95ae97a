"""A whole run is the sum of its parts."""

import pytest

from p2s.bench import desk


def test_a_whole_run_is_the_sum_of_its_parts_and_leaves_nothing(trained, tmp_path):
    found = desk.desk_run(trained)
    *parts, whole = [row["total"] for row in found["rows"]]
    assert sum(parts) == pytest.approx(whole) and found["AP"] >= 0
    assert {path.name for path in tmp_path.iterdir()} <= {"fingerprints"}  # no scenes, no weights
