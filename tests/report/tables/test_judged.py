"""Effects of the gated scale: verdicts by the new rule, with what they rest on."""

from dataclasses import replace

import numpy as np
import pytest

from p2s.report.intervals import Estimate
from p2s.report.tables import ablation, gate, judged
from p2s.spec import Spec
from p2s.spec.names import NAMED
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT, fakes

STUDY = Study.load(Project.at(ROOT), "gated")
STEPS = 0.5  # AP that each row of the factors has more than the one above it


@pytest.fixture(scope="module")
def results():
    """The factors, each row .5 above the last, on 20 replicates an image set."""
    empty = fakes.empty("factors", "gated")
    height = {row: 30 + STEPS * k for k, row in enumerate(empty.rows)}

    def fill(frame):
        noise = 0.01 * np.sin(frame["seed"] + 7 * frame["row"].map(height))
        frame.loc[frame["metric"] == "AP", "value"] = frame["row"].map(height) + noise
        return frame

    def record(run):
        values = height[run.row] + 0.01 * np.random.default_rng(run.seed).standard_normal(20)
        return run.record(metrics={}, replicates={"AP": values.tolist()})

    return fakes.with_lines(fakes.holding(empty, map(record, empty.runs)), fill)


def effects(results, monkeypatch, missed=()):
    monkeypatch.setattr(gate, "missed", lambda _: dict(missed))
    frame = judged.effects(results, STUDY)
    return frame[frame["variant"] == results.runs[0].variant].set_index("contrast")


def test_a_difference_has_both_intervals_and_a_verdict_on_its_size(results, monkeypatch):
    frame = effects(results, monkeypatch)
    product = frame.loc["CenterNet2: product"]
    assert product["mean"] == pytest.approx(STEPS, abs=0.05)
    # The replicates of a seed are drawn on the same images: their difference does not vary.
    assert product["image_low"] == pytest.approx(STEPS) == pytest.approx(product["image_high"])
    assert product["verdict"] == "same sign, other size"  # the paper's is .8
    assert frame.loc["Faster, P3-P7: levels P3-P7", "verdict"] == "–"  # nothing is claimed
    shown = ablation.readable(frame.reset_index())
    cell = shown.loc["CenterNet2: product"].iloc[0]
    assert cell.endswith("(3), images +0.5 to +0.5: same sign, other size")


def test_a_training_that_was_made_twice_pairs_no_images(results):
    [product] = [one for one in results.contrasts if ablation.named(one) == "CenterNet2: product"]
    every, runs = judged.replicates(results.main, product), results.main.runs
    first, other = (next(run for run in runs if run.row == row) for row in product.rows)
    assert len(every) == 3 and first.training_id == other.training_id and first.seed == 0
    again = {other.evaluation_id: results.records[other.evaluation_id]}
    again[other.evaluation_id] = again[other.evaluation_id].model_copy(update={"weights": "other"})
    twice = replace(results.main, records=results.records | again)
    assert (judged.replicates(twice, product) == every[1:]).all()


def test_a_verdict_rests_on_the_gate_of_its_precursors(results, monkeypatch):
    frame = effects(results, monkeypatch, {"CenterNet*": ("learnt, CenterNet*: 5.0",)})
    assert frame.loc["CenterNet2: product", "verdict"] == "not comparable (learnt, CenterNet*: 5.0)"
    assert "not comparable" not in frame.loc["Cascade, P3-P7: levels P3-P7", "verdict"]
    everything = effects(results, monkeypatch, {"": ("geometry",)})
    claimed = everything[everything["expects"] != "–"]
    assert set(claimed["verdict"]) == {"not comparable (geometry)"}


def test_a_level_without_objects_bears_on_contrasts_across_pyramids_alone(results, monkeypatch):
    frame = effects(results, monkeypatch, {gate.ACROSS: ("an idle level",)})
    said = frame["verdict"].str.contains("an idle level")
    assert said["Cascade, P3-P7: levels P3-P7"]
    assert not said["CenterNet2: product"] and not said["CenterNet2: all steps on equal levels"]


def test_a_row_that_has_not_learnt_gives_no_verdict(results, monkeypatch):
    low = fakes.with_lines(results, lambda frame: frame.assign(value=frame["value"] - 28))
    verdicts = effects(low, monkeypatch)["verdict"]
    assert "Cascade, CenterNet has not learnt" in verdicts["CenterNet2: product"]


def test_without_the_gates_records_nothing_is_comparable():
    asked = gate.missed(gate.points(fakes.empty("gate", "gated")))
    assert asked == {"": ("the gate has not been asked",)}


def test_other_scales_keep_the_rule_that_they_were_made_with(results):
    old = replace(results, scale="desk")
    assert judged.effects(old, STUDY).equals(ablation.effects(old))


@pytest.mark.parametrize(
    ("expects", "mean", "desk", "gated"),
    [
        ("gain", 2.0, "holds", "seen"),
        ("gain", -2.0, "does not hold", "opposite sign"),
        ("gain", 0.1, "undecided", "no difference seen"),
        ("none", 2.0, "does not hold", "same sign, other size"),
        (None, 2.0, "–", "–"),
    ],
)
def test_at_a_scale_with_a_gate_nothing_does_not_hold(expects, mean, desk, gated):
    effect = Estimate(mean, mean - 0.5, mean + 0.5, 3)
    said = [judged.in_words(effect, expects, scale) for scale in ("desk", "gated", "highway")]
    assert said == [desk, gated, gated]


@pytest.mark.parametrize("name", NAMED)
def test_every_detector_has_a_precursor_in_the_gate(name):
    rows = [row.name for row in STUDY.experiments["gate"].rows]
    assert judged.precursor(Spec.named(name)) in rows
