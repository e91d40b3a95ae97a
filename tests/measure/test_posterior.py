"""Absolute calibration: who answers for an object, what is sampled, and what a measure says."""

import numpy as np
import pytest
import torch
from detectron2.modeling.sampling import subsample_labels
from detectron2.structures import Boxes, Instances

from p2s.data import glyphs
from p2s.measure import answers, posterior
from p2s.model.zoo import build
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
    found = posterior.posterior_numbers(model, val, spec)
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
        posterior.posterior_numbers(model, [], spec)


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
