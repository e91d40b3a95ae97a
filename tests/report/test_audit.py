"""The audit of trainings: what invented curves say, and what real ones hold."""

import numpy as np
import pytest

from p2s.report import audit
from p2s.study import records
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT

GAP = {"exact@K": 0.001, "B1": 0.004, "B2": 0.003, "max": 0.002}
NAMES = ("exact", "exact@K", "B1", "B2", "max", "worst gap", "B1 active, P(O) 0.5 to 1")


def record(run, worst=0.5):
    curve = {"iteration": [0, 10, 20, 30], "loss_dense_box": [1.0] * 4}
    curve |= {f"audit/{name}": [0.02 + GAP.get(name, 0)] * 4 for name in NAMES[:5]}
    curve |= {"audit/worst gap": [0.1, worst, 0.2, 0.2 + 0.1 * run.seed]}
    curve |= {"audit/B1 active, P(O) 0.5 to 1": [None, None, 0.2, 0.4]}
    return run.record(metrics={"AP": 1.0}, curve=curve)


@pytest.fixture(scope="module")
def trained():
    """A run of each row of the experiment, and of two seeds, at the first variant."""
    asked = Study.load(Project.at(ROOT), "desk").asked(["bounds"])
    return [run for run in asked if run.variant == "scores above .05" and run.seed < 2]


def test_only_trainings_by_the_likelihood_are_audited_and_once(trained):
    every = [record(run) for run in trained]
    plain = [one.model_copy(update={"curve": {"iteration": [0]}}) for one in every]
    assert audit.audited(plain) == []
    assert len(audit.audited(every + every)) == len({one.training_id for one in every})


def test_a_table_has_gaps_in_thousandths_of_the_last_quarter(trained):
    exact = [record(run) for run in trained if run.row == "exact"]
    line = audit.table(exact).loc["exact"]
    assert line["exact"] == "20.00" and line["max - exact"] == "2.00"
    assert line["exact@K - exact"] == "1.00"
    assert line["B1 active, P(O) 0.5 to 1"] == "0.40"
    assert line["worst gap / log 2"] == f"{0.3 / np.log(2):.2f}"


@pytest.mark.parametrize("worst, verdict", [(0.69, "holds"), (0.70, "does not hold")])
def test_the_bound_of_log_2_is_judged_at_the_worst_location(trained, worst, verdict):
    [said] = audit.words([record(run, worst) for run in trained if run.row == "max"])
    assert f"trained by max: the larger bound was at most {worst:.3f}" in said
    assert f"**{verdict}**" in said


def test_a_picture_has_a_column_an_objective(trained):
    rows = ("exact", "max", "both")
    found = audit.draw([record(run) for run in trained if run.row in rows])
    assert [each.get_title() for each in found.axes[:3]] == [f"trained by {row}" for row in rows]
    shares = [line.get_ydata()[-1] for line in found.axes[-1].lines]
    assert len(found.axes) == 9 and shares == [pytest.approx(0.4)]
    assert "the larger bound was at most 0.500 nats" in found.alt
    assert audit.draw([]).axes == [] and audit.draw([]).content()
    assert audit.table([]).empty and audit.words([]) == []


def test_a_record_with_an_audit_fits(trained, tmp_path):
    path = records.write(record(trained[0]), tmp_path)
    assert records.read(path).curve["audit/B1 active, P(O) 0.5 to 1"][0] is None
