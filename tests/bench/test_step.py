"""The parts of a step are shares of it."""

import pytest

from p2s.bench import step


def test_the_parts_of_a_full_size_step_are_shares_of_it(tiny, monkeypatch):
    monkeypatch.setattr(step, "CHANGES", {"recipe": {"batch": 1}})
    found = {row["way"]: row for row in step.step_shares(rounds=1)["rows"]}
    assert found["step"]["share"] == 1
    for way in ("assignment and losses", "decoding"):
        assert found[way]["share"] == pytest.approx(found[way]["total"] / found["step"]["total"])
