import math

import numpy as np
import pytest

from p2s.report.intervals import Estimate
from p2s.report.tables import ratios
from p2s.report.verdicts import OPPOSITE, OTHER_SIZE, PUBLISHED, UNSEEN
from p2s.study.benches import Bench
from p2s.study.experiments import experiment_names, load_experiment
from p2s.study.project import Project
from tests.support import ROOT

PROJECT = Project.at(ROOT)
EXPERIMENTS = {name: load_experiment(PROJECT, name) for name in experiment_names(PROJECT)}
NAN = math.nan


def times(way, *seconds):
    columns = dict.fromkeys(("detector", "count", "runtime", "means", "precision"))
    return {"way": way, **columns, "total": seconds[0], "seconds": list(seconds)}


def test_a_ratio_is_taken_round_by_round_whatever_slows_both():
    row, than = times("a", 1.0, 3.0, 2.0), times("b", 2.0, 6.0, 4.0)
    ratio = ratios.measured(row, than)
    assert ratio == pytest.approx((0.5, 0.5, 0.5, 3))
    noisy = ratios.measured(times("a", 1.0, 1.1, 0.9), than)
    assert noisy.low < noisy.mean < noisy.high
    inverse = ratios.measured(than, times("a", 1.0, 1.1, 0.9))
    assert np.array(inverse[:3]) == pytest.approx(1 / np.array([noisy[0], noisy[2], noisy[1]]))


def test_a_row_is_found_by_its_columns():
    bench = Bench(id="x", bench="b", settings={}, rows=[times("a", 1.0), times("b", 2.0)])
    assert ratios.row(bench, {"way": "b"})["total"] == 2.0
    assert ratios.row(bench, {"way": "c"}) is None is ratios.row(None, {"way": "b"})
    alone = ratios.measured(*({**row, "seconds": None} for row in bench.rows))
    assert alone.mean == pytest.approx(0.5) and alone.seeds == 1


@pytest.mark.parametrize(
    ("bench", "row", "than", "ratio"),
    [
        ("rows_table1", {"way": "FasterRCNN-GFL"}, {"way": "GFL"}, 50 / 51),
        ("rows_table6", {"way": "CenterNet2, 128"}, {"way": "CascadeRCNN, 1000"}, 54 / 66),
        ("classes", {"detector": "GFL", "count": 1203}, {"detector": "GFL", "count": 80}, 69 / 51),
        ("proposals", *({"detector": "CenterNet2", "count": n} for n in (256, 64)), 57 / 52),
        ("detectors", {"detector": "GA RPN"}, {"detector": "Cascade RPN"}, 75 / 97),
        ("rows_table1", {"way": "GFL"}, {"way": "FasterRCNN-RetinaNet, GN towers"}, NAN),
    ],
)
def test_the_papers_ratio_is_read_from_its_tables(bench, row, than, ratio):
    found = ratios.published(EXPERIMENTS, bench, row, than)
    assert found == pytest.approx(ratio, nan_ok=True)


@pytest.mark.parametrize(
    ("low", "high", "expects", "paper", "verdict"),
    [
        (0.79, 0.81, "faster", 0.85, PUBLISHED),
        (0.79, 0.81, "faster", 0.95, OTHER_SIZE),
        (0.79, 0.81, "faster", NAN, PUBLISHED),
        (0.79, 0.81, "slower", 1.2, OPPOSITE),
        (1.19, 1.21, "slower", 1.2, PUBLISHED),
        (1.19, 1.21, "faster", 0.9, OPPOSITE),
        (0.95, 1.05, "faster", 0.9, UNSEEN),
        (NAN, NAN, "faster", 0.9, UNSEEN),  # one round
    ],
)
def test_a_verdict_is_on_sign_and_size(low, high, expects, paper, verdict):
    ratio = Estimate((low + high) / 2, low, high, 7)
    assert ratios.verdict(ratio, expects, paper, 0.1) == verdict
