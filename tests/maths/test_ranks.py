"""Ranks: what two of them agree on, and that their gradients are those of one."""

import json
from functools import partial

import pytest
import torch

from p2s.maths import ranks
from p2s.train.processes import together
from tests.support import ranked


def test_two_ranks_agree_on_means_totals_and_answers(tmp_path, capfd):
    together(partial(ranked.write_what_each_gets, tmp_path), 2)
    told = [json.loads((tmp_path / name).read_text()) for name in "01"]
    shares = [one.pop("share") for one in told]
    assert shares == [0.5, 1.5]  # of 1 and 3 rows
    first = {one.pop("first") for one in told}
    assert len(first) == 1 and first <= {"0", "1"}
    assert told[0] == told[1]
    assert told[0] == {
        "mean": 0.5,
        "normaliser": 1.5,
        "least": 0.5,
        "anywhere": True,
        "nowhere": False,
        "gathered": [0, 1, 2, 3, 4],
        "largest": [5, 8],
        "alone": [0, 1],
    }
    assert capfd.readouterr().out.split() == ["rank", "0"]


def test_two_ranks_step_as_one_also_where_a_weight_rests_at_one_or_at_all(tmp_path):
    ranked.step_with_parts_that_rest(tmp_path)
    together(partial(ranked.step_with_parts_that_rest, tmp_path), 2)
    names = ("0 of 1", "0 of 2", "1 of 2")
    one, *two = (json.loads((tmp_path / name).read_text()) for name in names)
    assert one[1] == [True] * 4 + [False] * 2
    for weights, has_gradient in two:
        assert has_gradient == one[1]
        for weight, wanted in zip(weights, one[0], strict=True):
            torch.testing.assert_close(torch.tensor(weight), torch.tensor(wanted))


def test_one_process_is_the_first_and_the_only_one():
    assert ranks.is_first("to ask") and ranks.is_first("to ask")
    assert ranks.by_first("to ask", lambda: "made") == "made"
    assert ranks.largest([3, 4]) == [3, 4] and (ranks.rank(), ranks.ranks()) == (0, 1)
    with pytest.raises(ZeroDivisionError):
        ranks.by_first("to fail", lambda: 1 // 0)
