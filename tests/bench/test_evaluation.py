"""Both evaluators give the same numbers."""

from p2s.bench.evaluation import evaluator_times


def test_both_evaluators_agree():
    found = evaluator_times(images=12)
    assert found["largest_difference"] < 1e-6
    assert {row["way"] for row in found["rows"]} == {"pycocotools", "hotcoco"}
