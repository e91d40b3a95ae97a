"""Absolute calibration: who answers for an object, what is sampled, and what the tables say."""

import numpy as np
import pandas as pd
import pytest
import torch
from detectron2.modeling.sampling import subsample_labels
from detectron2.structures import Boxes, Instances

from p2s.data import glyphs
from p2s.maths import optimum
from p2s.measure import answers, posterior
from p2s.model.zoo import build
from p2s.report.figures import posterior as posterior_figures
from p2s.report.intervals import DASH
from p2s.report.tables import optima
from p2s.report.tables import posterior as posterior_tables
from p2s.spec import Glyphs, Spec
from tests.support.tiny import TINY

CHANCES = ((0.25, 0.8), (0.75, 0.3), (1.0, 1.0))
DATA = Glyphs(train=2, val=6, size=96, classes=2, chances=CHANCES, fragments=0)
TESTED = {**TINY["test"], "short_edge": 96, "long_edge": 96}
FIRSTS = [
    "FasterRCNN-RPN (P3-P7)",
    "FasterRCNN-CenterNet",
    "FasterRCNN-ATSS",
    "FasterRCNN-RetinaNet",
]


def tiny(name, **data):
    torch.manual_seed(0)
    spec = Spec.named(name).changed({**TINY, "num_classes": 2, "test": TESTED})
    spec = spec.changed({"data": DATA.model_dump() | data})
    return build(spec).eval(), spec


def truths(*boxes):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    classes = torch.zeros(len(boxes), dtype=torch.long)
    return Instances((96, 96), gt_boxes=Boxes(boxes), gt_classes=classes)


def answering(name, *boxes):
    """What the locations that answer for boxes say, and for which."""
    model, _ = tiny(name)
    image = {"image": torch.zeros(3, 96, 96), "height": 96, "width": 96}
    with torch.no_grad():
        _, features, _ = model.first_stage([image])
        return answers.answers(model.proposal_generator, features, [truths(*boxes)])[0]


@pytest.mark.parametrize("name", FIRSTS)
def test_who_answers_for_an_object_does_not_depend_on_the_objects_order(name):
    boxes = (8.0, 8, 40, 48), (30.0, 20, 90, 80)
    one, other = answering(name, *boxes), answering(name, *boxes[::-1])
    for g in range(2):
        mine, same = one.rows[one.owner == g], other.rows[other.owner == 1 - g]
        assert len(mine) and torch.equal(mine, same)


def test_the_cell_of_its_centre_answers_for_an_object_of_centernet():
    found = answering("FasterRCNN-CenterNet", (8.0, 8, 40, 48))
    points = found.points[found.rows]
    assert [28.0, 28.0] in points.tolist()
    assert (points - torch.tensor([28.0, 28.0])).abs().max() <= 8  # and good neighbours
    assert found.owner.tolist() == [0] * len(points)


@pytest.mark.parametrize("name", FIRSTS)
def test_nobody_answers_for_no_object_and_every_location_is_there(name):
    found = answering(name)
    assert len(found.owner) == len(found.rows) == 0
    cells = 12**2 + 6**2 + 3**2 + 2**2 + 1
    anchors = {"FasterRCNN-RPN (P3-P7)": 3, "FasterRCNN-RetinaNet": 9}.get(name, 1)
    assert len(found.boxes) == len(found.logit) == len(found.points) == anchors * cells


@pytest.mark.parametrize("positives", [0, 3, 40])
def test_the_share_of_negatives_is_that_of_detectron2s_sampler(positives):
    class Sampler:
        batch_size_per_image, positive_fraction = 32, 0.5

    label = torch.cat([torch.ones(positives), torch.zeros(200)]).long()
    label = torch.cat([label, -torch.ones(10).long()])
    drawn = np.zeros(len(label))
    for _ in range(2000):
        for rows in subsample_labels(label, 32, 0.5, 0):
            drawn[rows] += 1 / 2000
    expected = drawn[label == 0].mean() / (drawn[label == 1].mean() if positives else 1)
    of_positives, of_negatives = answers.sampled_shares(Sampler, label)
    assert of_negatives / of_positives == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", [*FIRSTS, "FasterRCNN-GFL"])
def test_a_measure_counts_the_scenes_objects_and_is_of_probabilities(name, tmp_path):
    model, spec = tiny(name)
    _, val = glyphs.load(spec.data, tmp_path)
    found = posterior.measure(model, val, spec)
    items = [item for i in range(6) for item in glyphs.scene(spec.data, "val", i)[1]]
    for number, one in enumerate(found["characters"]):
        mine = [item for item in items if item["character"] == number]
        assert (one["q"], one["r"], one["objects"]) == (*CHANCES[number], len(mine))
        assert one["annotated"] == sum(item["annotated"] for item in mine)
        assert 0.8 * len(mine) <= one["before"]["found"] <= len(mine)
        assert 0 < one["before"]["product"] < one["before"]["p_object"] < 1
        undone = one["before"]["undone"]
        same = pytest.approx(one["before"]["p_object"], abs=1e-4)
        assert undone < one["before"]["p_object"] if "RPN" in name else undone == same
    assert 0 < found["negatives"] <= 1 and found["regions"] > 0
    assert found["ious"] == sorted(found["ious"]) and len(found["centerness"]) == 20


def test_scenes_without_chances_are_refused():
    model, spec = tiny("FasterRCNN-CenterNet", chances=())
    with pytest.raises(ValueError, match="no chances; valid: glyphs with data.chances"):
        posterior.measure(model, [], spec)


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
    def __init__(self, name, said, **changes):
        self.spec = Spec.named(name).changed(changes).model_dump(mode="json")
        self.findings = {"posterior": finding(said)}


def frame_of(*records):
    rows = [{"row": f"row {i}", "scale": "s", "record": str(i)} for i in range(len(records))]
    lines = pd.DataFrame(rows).assign(seed=0, first=[r.spec["first"] for r in records])
    return lines, {str(i): one for i, one in enumerate(records)}


def test_what_equals_the_truth_or_the_optimum_has_no_distance_from_it():
    exact = Record("FasterRCNN-CenterNet", lambda q, r: (q, r, q * r))
    rpn = Record(
        "FasterRCNN-RPN",
        lambda q, r: (optimum.sampling(q, 0.2), optimum.sampling(q, 0.5) * r, np.nan),
    )
    errors = posterior_tables.errors(posterior_tables.learnt(*frame_of(exact, rpn)))
    gap = errors.set_index(["row", "from", "when", "number"])["mean"]
    for name in optimum.NUMBERS:
        assert gap["row 0", "truth", "before", name] == pytest.approx(0)
    assert gap["row 1", "optimum", "before", "p_object"] == pytest.approx(0)
    assert gap["row 1", "optimum", "after", "p_class"] == pytest.approx(0)
    assert gap["row 1", "truth", "before", "p_object"] > 10


def test_an_rpn_with_its_odds_undone_is_a_row_of_its_own():
    rpn = Record("FasterRCNN-RPN", lambda q, r: (optimum.sampling(q, 0.2), r, q * r))
    frame = posterior_tables.learnt(*frame_of(rpn))
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
    errors = posterior_tables.errors(posterior_tables.learnt(*frame_of(lost)))
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

    frame = posterior_tables.learnt(*frame_of(Record(name, said, **changes)))
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
    lines, found = frame_of(near, near, far, far)
    lines = lines.assign(row=["near", "near", "far", "far"], seed=[0, 1, 0, 1])
    return posterior_tables.learnt(lines, found)


def test_the_answer_names_every_row_by_its_verdict():
    frame = near_and_far(0.2)
    said = posterior_tables.answer(frame, ["far", "near", "nobody"])
    assert said == "Within 5 % of the true P(O)? **not calibrated**: far. **calibrated**: near."


def test_after_nms_an_object_has_its_likeliest_proposal_that_is_on_no_other_more():
    model, spec = tiny("FasterRCNN-CenterNet")
    with torch.no_grad():
        _, features, _ = model.first_stage([{"image": torch.zeros(3, 96, 96)}])
        objects = truths((0.0, 0, 40, 40), (50.0, 50, 90, 90), (0.0, 60, 20, 90))
        boxes = [(0.0, 0, 90, 90), (1.0, 0, 41, 40), (0.0, 0, 40, 39), (50.0, 50, 90, 92)]
        proposals = Instances((96, 96), proposal_boxes=Boxes(torch.tensor(boxes)))
        proposals.objectness_logits = torch.tensor([3.0, 2.0, 1.0, 0.0])
        owner, said = posterior._after(model, features, objects, proposals)
    assert owner.tolist() == [0, 1]
    torch.testing.assert_close(said[:, 0], torch.tensor([2.0, 0.0]).sigmoid())


def test_words_judge_by_the_interval_and_leave_open_what_is_not_identified():
    said = [
        Record("FasterRCNN-CenterNet", lambda q, r, s=s: (q + s * (q < 1), r, q * r))
        for s in (0.01, 0.02)
    ]
    lines, found = frame_of(*said)
    frame = posterior_tables.learnt(lines.assign(row="one", seed=[0, 1]), found)
    assert "1.5 ±" in posterior_tables.words(frame)[0]
    assert posterior_tables.words(frame[frame["seed"] == 0])[0].count("**undecided**") == 1
    open_ = Record(
        "FasterRCNN-CenterNet", lambda q, r: (1, q * r, q * r), second_stage={"objective": "max"}
    )
    frame = posterior_tables.learnt(*frame_of(open_))
    assert posterior_tables.words(frame)[0].endswith("which its loss does not identify")
    assert "0.0 ± – (1) from its loss's own" in posterior_tables.words(frame, "product")[0]


def test_a_first_stage_is_compared_with_a_reference_seed_by_seed():
    frame = near_and_far(0.05)
    [said] = posterior_tables.against(frame, "far", ["near", "nobody"])
    assert said == "near is nearer to the true P(O) than far: by +4.0 ± 0.0 (2) %: **holds**"


def test_every_table_and_picture_is_made_of_records_and_of_none():
    record = Record("FasterRCNN-RPN", lambda q, r: (q, r, q * r))
    for lines, found in (frame_of(record), (frame_of(record)[0], {})):
        frame = posterior_tables.learnt(lines, found)
        shares = posterior_tables.shares_found(lines, found)
        assert shares.to_numpy().tolist() == ([["75.0"] * 3] if found else [])
        for name in optimum.NUMBERS:
            drawn = posterior_figures.against_truth(frame, name)
            titles = [panel.get_title() for panel in drawn.axes]
            assert ("row 0" in titles) == bool(found) and drawn.content()
    assert posterior_tables.optima((0.1, 0.5, 0.9)).shape == (4, 3)
