"""Tables and reliability diagrams of invented records."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from p2s.measure.calibration_errors import BINS, Judged, reliability
from p2s.report.figures.calibration import reliability as diagrams
from p2s.report.intervals import DASH, estimate
from p2s.report.results import Results
from p2s.report.tables.calibration import (
    PROBABILITIES,
    errors,
    readable,
    references,
    table,
    tide,
    words,
)

ROWS = {"one": ("centernet", "none"), "two": ("centernet", "cascade"), "old": ("rpn", "faster")}


def record(row, seed):
    first, second = ROWS[row]
    rng = np.random.default_rng([seed, len(second)])
    prob = rng.random(500)
    hit = rng.random(500) < prob**2
    zero = np.zeros(500)
    bins = reliability(Judged(prob, hit, 0.8 * hit, zero, prob, zero))
    numbers = {"d_ece": 10.0 + seed, "la_ece": 20.0 + seed, "held_out_isotonic": 1.0, "bins": bins}
    names = ["score"] if second == "none" else PROBABILITIES
    findings = {name: {"all": numbers, "above_.05": numbers} for name in names}
    spec = {"first": first, "second": second}
    calibration = findings | {"tide": {"delta_ap": {"cls": 1.0 + seed, "loc": 4.0}}}
    findings, training = {"calibration": calibration}, f"{row} {seed}"
    return SimpleNamespace(spec=spec, seed=seed, findings=findings, training_id=training)


def run(row, seed):
    """A run whose record has the key of its row and seed."""
    where = {"row": row, "variant": "", "scale": "desk", "seed": seed}
    return SimpleNamespace(**where, evaluation_id=f"{row} {seed}")


@pytest.fixture(scope="module")
def found():
    return {f"{row} {seed}": record(row, seed) for row in ROWS for seed in range(3)}


@pytest.fixture(scope="module")
def results(found):
    """Of those records; nothing here reads a frame of metrics or an experiment."""
    runs = tuple(run(row, seed) for seed in range(3) for row in ROWS)
    return Results(experiment=None, scale="desk", frame=None, runs=runs, records=found)


def of(results, *keys):
    """Results of these records alone, and of their runs in this order."""
    runs = {run.evaluation_id: run for run in results.runs}
    return replace(results, runs=tuple(runs[key] for key in keys))


def test_a_cell_is_the_mean_over_seeds_with_its_interval(results):
    frame = table(results, errors("la_ece"))
    cell = frame[(frame["row"] == "two") & (frame["probability"] == "P(C|O)")].iloc[0]
    assert tuple(cell[["mean", "low", "high", "seeds"]]) == pytest.approx(estimate([20, 21, 22]))


def test_a_missing_record_or_probability_is_a_dash_and_keeps_its_place(results, found):
    known = {key: record for key, record in found.items() if not key.startswith("old")}
    grid = readable(table(replace(results, records=known), errors()))
    assert list(grid.columns) == [*PROBABILITIES.values()]
    assert grid.index.tolist() == [*ROWS]
    assert set(grid.loc["old"]) == {DASH}
    assert grid.loc["one", "P(O)"] == DASH != grid.loc["one", "score"]


def test_recalibration_is_that_of_the_probability_asked_for(results):
    grid = readable(table(results, references("p_class")))
    assert grid.loc["two", "isotonic"] == estimate([1.0] * 3).text()
    assert grid.loc["two", "as claimed"] == grid.loc["one", "isotonic"] == DASH


def test_a_lower_error_is_judged_seed_by_seed_and_sample_by_sample(results, found):
    worse = {key: record("two", seed=one.seed + 5) for key, one in found.items() if "old" in key}
    for one in worse.values():
        less = one.findings["calibration"]["score"]["all"] | {"d_ece": 0.0}
        one.findings["calibration"]["score"]["all"] = less
    pairs = [("two", "old"), ("two", "one"), ("two", "nobody")]
    [said, undecided] = words(replace(results, records=found | worse), pairs)
    ours = "two has a lower D-ECE than old: of all by −11.0 ± 2.5 (3) %: **does not hold**"
    assert said.startswith(f"{ours}, above .05 by +5.0 ± 0.0 (3) %: **holds**. ")
    assert "above .05 by +0.0 ± 0.0 (3) %: **does not hold**" in undecided


def test_what_comes_true_beyond_the_claims_is_a_count(results, found):
    bins = {"count": [3, 1, 0], "claimed": [0.2, 0.6, None], "share": [1 / 3, 0.0, None]}
    one = {"bins": bins, "d_ece": 1.0}
    record = SimpleNamespace(findings={"calibration": {"score": {"all": one, "above_.05": one}}})
    same = replace(results, records=dict.fromkeys(found, record))
    [said] = words(same, [("one", "two")])
    assert "above .05: one −5.0 ± 0.0 (3) %, two" in said  # 1 of 4 right, 1.2 of 4 claimed


def test_tide_has_the_mean_cost_of_each_kind_of_error(results):
    assert tide(results).loc["two"].to_dict() == {"cls": "2.0", "loc": "4.0"}
    assert tide(replace(results, records={})).empty


def test_a_training_that_stands_in_two_rows_is_drawn_once(results):
    twice = of(results, "one 0", "one 0", "one 1")
    assert len(twice.chosen) == 3
    [panel], [once] = diagrams(twice).axes, diagrams(of(results, "one 0", "one 1")).axes
    assert panel.lines[0].get_ydata() == pytest.approx(once.lines[0].get_ydata(), nan_ok=True)


def test_diagrams_have_a_row_a_first_stage_and_a_column_a_probability(results):
    figure = diagrams(results)
    titles = [panel.get_title() for panel in figure.axes]
    assert len(figure.axes) == 2 * len(PROBABILITIES)
    assert [title for title in titles if title] == [*PROBABILITIES.values()]
    of_score = figure.axes[len(PROBABILITIES) - 1]
    assert len(of_score.lines) == 2 * 2 + 1  # two second stages, and the diagonal
    assert diagrams(results).content() == figure.content()


def test_a_drawn_line_is_the_mean_share_of_each_bin(results):
    same = of(results, *(f"one {seed}" for seed in range(3)))
    [panel] = diagrams(same).axes
    bins = [one.findings["calibration"]["score"]["all"]["bins"] for one in same.chosen]
    wanted = np.mean([one["share"] for one in bins], 0)
    assert panel.lines[0].get_ydata() == pytest.approx(wanted) and len(wanted) == BINS
    [band, bars] = panel.collections[-1], panel.collections[0]
    outline = bars.get_paths()[0].vertices
    assert band is not bars and outline[:, 1].max() == pytest.approx(
        max(np.sum([one["count"] for one in bins], 0)) / np.sum([one["count"] for one in bins])
    )


def test_one_seed_and_no_record_can_be_drawn(results):
    assert diagrams(of(results, "two 0")).content() and diagrams(of(results)).content()
