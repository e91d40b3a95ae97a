"""What was learnt of a known truth: the tables, words and pictures of invented findings."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from p2s.maths import optimum
from p2s.report.figures import posterior as posterior_figures
from p2s.report.intervals import DASH
from p2s.report.results import Results
from p2s.report.tables import optima
from p2s.report.tables import posterior as posterior_tables
from p2s.spec import Spec

CHANCES = ((0.25, 0.8), (0.75, 0.3), (1.0, 1.0))  # q and r of the characters


def finding(said):
    """A posterior finding in which every number of every character is `said(q, r)`.

    The control's 1 - P(bg|O) is its P(A|O), as it is always labelled A.
    """
    characters = []
    for q, r in CHANCES:
        numbers = dict(zip(optimum.NUMBERS, said(q, r), strict=True))
        numbers |= {"p_foreground": numbers["p_class"], "p_any": numbers["product"]}
        places = {when: numbers | {"found": 3} for when in ("before", "after")}
        places["before"] |= {"undone": optimum.undone(numbers["p_object"], 0.2)}
        characters.append({"q": q, "r": r, "objects": 4} | places)
    few = {"negatives": 0.2, "regions": 0.5, "ious": [0.6, 0.8], "centerness": [0.5, 0.7]}
    return {"characters": characters, **few}


class Record:
    """A record of a detector that says so of every character."""

    def __init__(self, name, said, **changes):
        self.spec = Spec.named(name).changed(changes)
        self.findings = {"posterior": finding(said)}


def results(*records, places=None):
    """Results of these records, of a row each unless `places` has their rows and seeds."""
    places = places or [(f"row {k}", 0) for k in range(len(records))]
    of_all = {"variant": "", "scale": "s"}
    runs = tuple(
        SimpleNamespace(row=row, seed=seed, **of_all, spec=record.spec, evaluation_id=str(k))
        for k, (record, (row, seed)) in enumerate(zip(records, places, strict=True))
    )
    found = {run.evaluation_id: record for run, record in zip(runs, records, strict=True)}
    return Results(experiment=None, scale="s", frame=None, runs=runs, records=found)


def frame_of(*records, places=None):
    return posterior_tables.learnt(results(*records, places=places))


def test_what_equals_the_truth_or_the_optimum_has_no_distance_from_it():
    exact = Record("FasterRCNN-CenterNet", lambda q, r: (q, r, q * r))
    rpn = Record(
        "FasterRCNN-RPN",
        lambda q, r: (optimum.sampling(q, 0.2), optimum.sampling(q, 0.5) * r, np.nan),
    )
    errors = posterior_tables.errors(frame_of(exact, rpn))
    gap = errors.set_index(["row", "from", "when", "number"])["mean"]
    for name in optimum.NUMBERS:
        assert gap["row 0", "truth", "before", name] == pytest.approx(0)
    assert gap["row 1", "optimum", "before", "p_object"] == pytest.approx(0)
    assert gap["row 1", "optimum", "after", "p_class"] == pytest.approx(0)
    assert gap["row 1", "truth", "before", "p_object"] > 10


def test_an_rpn_with_its_odds_undone_is_a_row_of_its_own():
    rpn = Record("FasterRCNN-RPN", lambda q, r: (optimum.sampling(q, 0.2), r, q * r))
    frame = frame_of(rpn)
    undone = frame[frame["row"] == "row 0, odds undone"]
    assert set(undone["number"]) == {"p_object"} and set(undone["when"]) == {"before", "relative"}
    assert undone["learnt"].tolist() == pytest.approx(undone["truth"].tolist())
    said = posterior_tables.words(frame)
    assert said[1].startswith("row 0, odds undone: P(O) is 0.0 ± – (1) % from the truth")
    assert len(posterior_tables.words(frame, "product")) == 1
    grid = posterior_tables.readable(posterior_tables.errors(frame))
    assert grid.loc["row 0, odds undone", ("after NMS", "truth", "P(A)")] == DASH


@pytest.mark.parametrize(
    "name, changes, p_object",
    [
        ("FasterRCNN-CenterNet", {}, optimum.focal(0.25)),
        ("FasterRCNN-CenterNet", {"first_stage": {"weighting": "none"}}, 0.25),
        ("FasterRCNN-RPN", {}, optimum.sampling(0.25, 0.2)),
        ("FasterRCNN-ATSS", {}, optimum.focal(0.25) * 0.6),
        ("FasterRCNN-GFL", {}, optimum.quality(0.25, [0.6, 0.8])),
        ("FasterRCNN-GFL", {"first_stage": {"weighting": "none"}}, 0.25 * 0.7),
        ("FasterRCNN-CenterNet", {"second_stage": {"objective": "B2"}}, 1.0),
    ],
)
def test_a_row_has_the_optimum_of_its_own_losses(name, changes, p_object):
    spec = Spec.named(name).changed(changes)
    best = optima.best(spec, finding(lambda q, r: (q, r, q * r)), 0.25, 0.8)
    assert best.p_object == pytest.approx(p_object)


@pytest.mark.parametrize("stage", ["first", "second", "both"])
def test_a_share_that_every_location_loses_is_not_lost_relative_to_the_control(stage):
    first, second = {"first": (0.4, 1.0), "second": (1.0, 0.4), "both": (0.5, 0.8)}[stage]
    all_ = first * second
    lost = Record("FasterRCNN-CenterNet", lambda q, r: (first * q, second * r, all_ * q * r))
    errors = posterior_tables.errors(frame_of(lost))
    gap = errors.set_index(["from", "when", "number"])["mean"]
    for name in optimum.NUMBERS:
        assert gap["truth", "relative", name] == pytest.approx(0)
    assert gap["truth", "before", "p_object"] == pytest.approx(100 * (1 - first) * 0.5)


LOSSES = [
    ("FasterRCNN-RPN", {}),
    ("FasterRCNN-CenterNet", {}),
    ("FasterRCNN-CenterNet", {"first_stage": {"weighting": "none"}}),
    ("FasterRCNN-ATSS", {}),
    ("FasterRCNN-GFL", {}),
    *(
        ("FasterRCNN-CenterNet", {"second_stage": {"objective": objective}})
        for objective in ("B1", "B2", "both", "exact", "max")
    ),
]


@pytest.mark.parametrize("name, changes", LOSSES)
def test_a_loss_at_its_optimum_where_locations_are_unsure_is_at_it_relative_too(name, changes):
    spec, sure = Spec.named(name).changed(changes), 0.6
    known = finding(lambda q, r: (q, r, q * r))  # for what optima depend on

    def said(q, r):
        if spec.second_stage.objective != "sampled":
            one = optimum.OBJECTIVES[spec.second_stage.objective](sure * q, r)
            return *one[:2], one.product
        there = optima.best(spec, known, sure * q, r)
        p_class = optima.best(spec, known, q, r).p_class  # regions are sure
        return there.p_object, p_class, there.p_object * p_class

    frame = frame_of(Record(name, said, **changes))
    frame = frame[~frame["row"].str.contains("undone")]
    gap = posterior_tables.errors(frame).set_index(["from", "when", "number"])["mean"]
    wanted = gap["optimum", "relative"].dropna()
    assert len(wanted) == (1 if spec.second_stage.objective in ("exact", "max") else 3)
    assert wanted.tolist() == pytest.approx([0] * len(wanted), abs=0.02)


def near_and_far(shift):
    """What two seeds learnt of rows that are .01 and `shift` from the true P(O)."""
    near, far = (
        Record("FasterRCNN-CenterNet", lambda q, r, s=s: (q + s * (q < 1), r, q * r))
        for s in (0.01, shift)
    )
    places = [("near", 0), ("near", 1), ("far", 0), ("far", 1)]
    return frame_of(near, near, far, far, places=places)


def test_the_answer_names_every_row_by_its_verdict():
    frame = near_and_far(0.2)
    said = posterior_tables.answer(frame, ["far", "near", "nobody"])
    assert said == "Within 5 % of the true P(O)? **not calibrated**: far. **calibrated**: near."


def test_words_judge_by_the_interval_and_leave_open_what_is_not_identified():
    said = [
        Record("FasterRCNN-CenterNet", lambda q, r, s=s: (q + s * (q < 1), r, q * r))
        for s in (0.01, 0.02)
    ]
    frame = frame_of(*said, places=[("one", 0), ("one", 1)])
    assert "1.5 ±" in posterior_tables.words(frame)[0]
    assert posterior_tables.words(frame[frame["seed"] == 0])[0].count("**undecided**") == 1
    open_ = Record(
        "FasterRCNN-CenterNet", lambda q, r: (1, q * r, q * r), second_stage={"objective": "max"}
    )
    frame = frame_of(open_)
    assert posterior_tables.words(frame)[0].endswith("which its loss does not identify")
    assert "0.0 ± – (1) from its loss's own" in posterior_tables.words(frame, "product")[0]


def test_a_first_stage_is_compared_with_a_reference_seed_by_seed():
    frame = near_and_far(0.05)
    [said] = posterior_tables.against(frame, "far", ["near", "nobody"])
    assert said == "near is nearer to the true P(O) than far: by +4.0 ± 0.0 (2) %: **holds**"


def test_a_p_object_is_higher_by_its_mean_over_characters_by_chance():
    frame = near_and_far(0.05)
    higher = posterior_tables.higher(frame, "far", "near")
    means = frame[(frame["when"] == "relative") & (frame["number"] == "p_object")]
    means = 100 * means[means["q"] < 1].groupby("row")["learnt"].mean()
    assert higher.mean == pytest.approx(means["far"] - means["near"]) != 0
    assert posterior_tables.higher(frame, "near", "far").mean == -higher.mean
    assert posterior_tables.higher(frame, "near", "nobody").seeds == 0
    assert posterior_tables.higher(frame.iloc[:0], "near", "far").seeds == 0


def test_every_table_and_picture_is_made_of_records_and_of_none():
    record = Record("FasterRCNN-RPN", lambda q, r: (q, r, q * r))
    for found in (results(record), replace(results(record), records={})):
        frame = posterior_tables.learnt(found)
        shares = posterior_tables.shares_found(found)
        assert shares.to_numpy().tolist() == ([["75.0"] * 3] if found.records else [])
        for name in optimum.NUMBERS:
            drawn = posterior_figures.against_truth(frame, name)
            titles = [panel.get_title() for panel in drawn.axes]
            assert ("row 0" in titles) == bool(found.records) and drawn.content()
    assert posterior_tables.optima((0.1, 0.5, 0.9)).shape == (4, 3)
