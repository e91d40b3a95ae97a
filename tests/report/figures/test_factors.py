from types import SimpleNamespace

import numpy as np
import pytest
import torch

from p2s.measure.scenes import observed
from p2s.model.zoo import build
from p2s.report.figures import factors as figures
from p2s.spec import Spec
from p2s.study.views import Observation

CLASSES = ("a", "b", "c")
BACKBONE = {"depth": 18, "width": 8, "norm": "BN", "frozen_stages": 0, "fpn_channels": 16}
TEST = {"proposals": 6, "proposal_nms": 0.7, "nms": 1.0, "score_threshold": 0.0, "detections": 99}
TEST |= {"short_edge": 64, "long_edge": 64}


def titles(figure):
    return [panel.get_title() for panel in figure.axes]


def words(figure):
    return [text.get_text() for panel in figure.axes for text in panel.texts]


@pytest.fixture(scope="module")
def seen():
    """What a small untrained detector, made to be unsure of everything, says of a grey image."""
    torch.manual_seed(0)
    parts = {"backbone": BACKBONE, "second_stage": {"channels": 16}, "num_classes": 3, "test": TEST}
    spec = Spec.named("CenterNet2").changed(parts)
    model = build(spec)
    with torch.no_grad():
        head = model.proposal_generator.head
        head.score.bias.fill_(0.5)
        head.ltrb.bias.fill_(1.0)  # boxes of two cells a side
        for predictor in model.roi_heads.box_predictor:
            predictor.cls_score.bias.copy_(torch.tensor([2.0, 0.0, -1.0, 1.0]))
    return Observation(**observed(model, _data(), 0, spec.test))


def _data():
    boxes = {"boxes": np.zeros((0, 4), np.float32), "classes": np.zeros(0, np.int64)}
    size = {"image_id": 4, "height": 128, "width": 128}  # tested at half of it
    image = np.random.default_rng(0).integers(255, size=(128, 128, 3)).astype(np.uint8)
    return SimpleNamespace(images=[{"id": 4}], sample=lambda _: {"image": image, **boxes, **size})


def test_the_scores_of_the_detections_are_the_products_that_figure_1_draws(seen):
    assert len(seen.detections) == 6 * 3 and seen.cell == 16
    factors = {(row[4], tuple(p)) for row, p in zip(seen.proposals, seen.p_class, strict=True)}
    for *_, score, label, p_object, p_class in seen.detections:
        own = [p for there, p in factors if there == p_object and p[int(label)] == p_class]
        assert own and figures.joint(np.array(own[0]), p_object)[int(label)] == pytest.approx(
            score, abs=2e-4
        )


def test_the_joint_probabilities_are_equation_1():
    p_class, p_object = np.array([0.5, 0.2, 0.3]), 0.8
    assert figures.joint(p_class, p_object) == pytest.approx([0.4, 0.16, 0.3 * 0.8 + 0.2])
    assert figures.joint(p_class, p_object).sum() == pytest.approx(1)


def test_figure_1_prints_the_models_factors_and_their_product(seen):
    figure = figures.factors(_data().sample(0)["image"], seen, CLASSES)
    rows = figures.apart(seen)
    numbers = [each for each in words(figure) if "→" in each]
    expected = []
    for row in rows:
        p_class, p_object = np.array(seen.p_class[row]), seen.proposals[row][4]
        for k in (-p_class).argsort(kind="stable")[: figures.OUTCOMES]:
            product = p_class[k] * p_object + (k == 3) * (1 - p_object)
            expected.append(f"{p_class[k]:.2f} → {product:.2f}")
    assert numbers == expected and rows[0] == 0
    assert sum("P(O) = " in each for each in titles(figure)) == len(rows)


def test_figure_1_is_a_pure_function_of_what_was_seen(seen):
    image = _data().sample(0)["image"]
    first, second = (figures.factors(image, seen, CLASSES).content() for _ in range(2))
    assert first == second and first.startswith(b"\x89PNG")
    empty = seen.model_copy(update={"proposals": [], "p_class": [], "detections": []})
    assert figures.factors(image, empty, CLASSES).content() != first


def test_numbered_proposals_overlap_no_likelier_one_by_more_than_half():
    boxes = [[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 5], [20, 0, 30, 10]]
    fake = SimpleNamespace(proposals=[[*box, 0.9] for box in boxes])
    assert figures.apart(fake) == [0, 2, 3]
