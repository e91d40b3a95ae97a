"""Tables and reliability diagrams of invented records."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from p2s.measure.calibration_errors import BINS, Judged, reliability
from p2s.report.figures.calibration import reliability as diagrams
from p2s.report.intervals import DASH, estimate
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


@pytest.fixture(scope="module")
def found():
    return {f"{row} {seed}": record(row, seed) for row in ROWS for seed in range(3)}


@pytest.fixture(scope="module")
def lines():
    return pd.DataFrame(
        {"row": row, "variant": "", "scale": "desk", "seed": seed, "record": f"{row} {seed}"}
        for seed in range(3)
        for row in ROWS
    )


def test_a_cell_is_the_mean_over_seeds_with_its_interval(lines, found):
    frame = table(lines, found, errors("la_ece"))
    cell = frame[(frame["row"] == "two") & (frame["probability"] == "P(C|O)")].iloc[0]
    assert tuple(cell[["mean", "low", "high", "seeds"]]) == pytest.approx(estimate([20, 21, 22]))


def test_a_missing_record_or_probability_is_a_dash_and_keeps_its_place(lines, found):
    lines = lines.assign(record=lines["record"].where(lines["row"] != "old", None))
    grid = readable(table(lines, found, errors()))
    assert list(grid.columns) == [*PROBABILITIES.values()]
    assert grid.index.tolist() == [*ROWS]
    assert set(grid.loc["old"]) == {DASH}
    assert grid.loc["one", "P(O)"] == DASH != grid.loc["one", "score"]


def test_recalibration_is_that_of_the_probability_asked_for(lines, found):
    grid = readable(table(lines, found, references("p_class")))
    assert grid.loc["two", "isotonic"] == estimate([1.0] * 3).text()
    assert grid.loc["two", "as claimed"] == grid.loc["one", "isotonic"] == DASH


def test_a_lower_error_is_judged_seed_by_seed_and_sample_by_sample(lines, found):
    worse = {key: record("two", seed=one.seed + 5) for key, one in found.items() if "old" in key}
    for one in worse.values():
        less = one.findings["calibration"]["score"]["all"] | {"d_ece": 0.0}
        one.findings["calibration"]["score"]["all"] = less
    pairs = [("two", "old"), ("two", "one"), ("two", "nobody")]
    [said, undecided] = words(lines, found | worse, pairs)
    ours = "two has a lower D-ECE than old: of all by −11.0 ± 2.5 (3) %: **does not hold**"
    assert said.startswith(f"{ours}, above .05 by +5.0 ± 0.0 (3) %: **holds**. ")
    assert "above .05 by +0.0 ± 0.0 (3) %: **does not hold**" in undecided


def test_what_comes_true_beyond_the_claims_is_a_count(lines, found):
    bins = {"count": [3, 1, 0], "claimed": [0.2, 0.6, None], "share": [1 / 3, 0.0, None]}
    one = {"bins": bins, "d_ece": 1.0}
    record = SimpleNamespace(findings={"calibration": {"score": {"all": one, "above_.05": one}}})
    [said] = words(lines, dict.fromkeys(found, record), [("one", "two")])
    assert "above .05: one −5.0 ± 0.0 (3) %, two" in said  # 1 of 4 right, 1.2 of 4 claimed


def test_tide_has_the_mean_cost_of_each_kind_of_error(lines, found):
    assert tide(lines, found).loc["two"].to_dict() == {"cls": "2.0", "loc": "4.0"}
    assert tide(lines, {}).empty


def test_a_training_that_stands_in_two_rows_is_drawn_once(found):
    twice = [found["one 0"], found["one 0"], found["one 1"]]
    [panel], [once] = diagrams(twice).axes, diagrams(twice[1:]).axes
    assert panel.lines[0].get_ydata() == pytest.approx(once.lines[0].get_ydata(), nan_ok=True)


def test_diagrams_have_a_row_a_first_stage_and_a_column_a_probability(found):
    figure = diagrams([*found.values()])
    titles = [panel.get_title() for panel in figure.axes]
    assert len(figure.axes) == 2 * len(PROBABILITIES)
    assert [title for title in titles if title] == [*PROBABILITIES.values()]
    of_score = figure.axes[len(PROBABILITIES) - 1]
    assert len(of_score.lines) == 2 * 2 + 1  # two second stages, and the diagonal
    assert diagrams([*found.values()]).content() == figure.content()


def test_a_drawn_line_is_the_mean_share_of_each_bin(found):
    same = [found[f"one {seed}"] for seed in range(3)]
    [panel] = diagrams(same).axes
    bins = [one.findings["calibration"]["score"]["all"]["bins"] for one in same]
    wanted = np.mean([one["share"] for one in bins], 0)
    assert panel.lines[0].get_ydata() == pytest.approx(wanted) and len(wanted) == BINS
    heights = [bar.get_height() for bar in panel.patches]
    assert sum(heights) == pytest.approx(1)


def test_one_seed_and_no_record_can_be_drawn(found):
    assert diagrams([found["two 0"]]).content() and diagrams([]).content()
