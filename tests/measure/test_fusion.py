"""Laws of a map over the powers; the model's own detections and brute force are the oracles."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from p2s.data import glyphs
from p2s.data.loader import test_inputs as inputs_of
from p2s.maths.likelihood import FUSIONS
from p2s.measure import fusion
from p2s.measure.coco import coco_numbers
from p2s.model.zoo import build
from p2s.spec import Glyphs, Spec

CLASSES, SIDE = 3, 160
CENTERNET2 = Spec.named("CenterNet2")
EVERY = CENTERNET2.test.model_copy(update={"score_threshold": 0.0})
PAIRS = [(a, b) for a in fusion.CLASS_POWERS for b in fusion.OBJECT_POWERS]
SMALL = {
    "num_classes": CLASSES,
    "backbone": {"depth": 18, "width": 16, "norm": "BN", "fpn_channels": 16},
    "first_stage": {"layers": 1},
    "second_stage": {"channels": 16},
    "test": {"short_edge": 96, "long_edge": 96, "proposals": 20, "detections": 15},
}


def truths(images=6):
    rng = np.random.default_rng(0)
    corner, size = rng.uniform(0, 100, (images, 4, 2)), rng.uniform(15, 60, (images, 4, 2))
    boxes = np.concatenate([corner, size], 2)
    labels = rng.integers(0, CLASSES, (images, 4))
    annotations = [
        [
            {"bbox": box.tolist(), "category_id": int(label), "iscrowd": 0}
            for box, label in zip(*of_image, strict=True)
        ]
        for of_image in zip(boxes, labels, strict=True)
    ]
    return SimpleNamespace(
        images=[{"id": 10 + i, "width": SIDE, "height": SIDE} for i in range(images)],
        annotations=annotations,
        classes=["a", "b", "c"],
        category_ids=list(range(CLASSES)),
    )


def observed(data, regions=25, stages=3):
    """Regions about the truths: P(O) and P(C|O) know a little of what is right."""
    torch.manual_seed(1)
    seen = []
    for of_image in data.annotations:
        at = torch.randint(len(of_image), (regions,))
        boxes = torch.tensor([annotation["bbox"] for annotation in of_image])[at]
        label = torch.tensor([annotation["category_id"] for annotation in of_image])[at]
        boxes[:, 2:] += boxes[:, :2]
        boxes += 6 * torch.randn(regions, 4)
        boxes = torch.cat([boxes[:, :2], torch.maximum(boxes[:, 2:], boxes[:, :2] + 4)], 1)
        logits = torch.randn(stages, regions, CLASSES + 1)
        logits[:, torch.arange(regions), label] += 1.5
        p_object = torch.randn(regions).sigmoid()
        size = (SIDE, SIDE)
        proposals = boxes.clamp(0, SIDE), p_object, logits.softmax(-1)
        seen.append(fusion.ClassifiedProposals(*proposals, size, size))
    return seen


def same(ours, other):
    """Whether two images' detections are the same boxes and classes in the same order."""
    boxes = torch.equal(ours.pred_boxes.tensor, other.pred_boxes.tensor)
    return boxes and torch.equal(ours.pred_classes, other.pred_classes)


@pytest.fixture(scope="module")
def data():
    return truths()


@pytest.fixture(scope="module")
def seen(data):
    return observed(data)


@pytest.fixture
def measured(monkeypatch):
    """What is measured of given observations."""

    def measure(data, seen, spec=CENTERNET2):
        monkeypatch.setattr(fusion, "observe", lambda *_: seen)
        return fusion.fusion_numbers(None, data, spec)

    return measure


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    drawn = Glyphs(train=1, val=2, size=64, classes=CLASSES)  # their input is larger: 96 px
    return glyphs.load(drawn, tmp_path_factory.mktemp("data"))[1]


@pytest.mark.parametrize("name", ["CascadeRCNN-CenterNet", "FasterRCNN-RPN (P3-P7)"])
@pytest.mark.parametrize("fusion_name", FUSIONS)
def test_named_powers_give_the_models_own_detections(scenes, name, fusion_name):
    torch.manual_seed(0)
    spec = Spec.named(name).changed(SMALL)
    model = build(spec).eval()
    threshold = {"class": 0.26, "product": 1e-3, "released": 0.1}[fusion_name]
    test = spec.test.model_copy(update={"fusion": fusion_name, "score_threshold": threshold})
    for index, of_image in enumerate(fusion.observe(model, scenes, test)):
        with torch.inference_mode():
            [[theirs], _] = model.detect([inputs_of(scenes, index, test)])
        ours = fusion.detections(of_image, FUSIONS[fusion_name], test)
        assert same(ours, theirs) and len(theirs) > 0
        assert torch.equal(ours.scores, theirs.scores) and ours.image_size == (64, 64)


@pytest.mark.parametrize("threshold", [0.01, 0.05, 0.4])
@pytest.mark.parametrize("limit", [5, 100])
def test_a_threshold_only_cuts_the_detections_by_the_same_ratio_short(seen, threshold, limit):
    every = EVERY.model_copy(update={"detections": limit})
    test = every.model_copy(update={"score_threshold": threshold})
    for a, b in PAIRS:
        by_ratio = [fusion.detections(of_image, (1, b / a), every) for of_image in seen]
        cut = fusion.above(by_ratio, threshold, a)
        brute = [fusion.detections(of_image, (a, b), test) for of_image in seen]
        assert all(map(same, cut, brute)), (a, b)


def test_with_all_scores_only_the_ratio_of_the_powers_matters(data, seen):
    for a, b in PAIRS:
        detected = [
            [fusion.detections(of_image, powers, EVERY) for of_image in seen]
            for powers in ((a, b), (1, b / a))
        ]
        ours, other = (coco_numbers(data, by_powers)["per_class"] for by_powers in detected)
        assert ours == pytest.approx(other, abs=1e-9), (a, b)


def test_every_cell_of_the_map_is_that_of_brute_force(data, seen, measured):
    finding = measured(data, seen)
    test = EVERY.model_copy(update={"score_threshold": fusion.THRESHOLD})
    for a, b in [(0.25, 2.0), (0.5, 0.25), (1.0, 0.0), (1.0, 1.0), (2.0, 0.75)]:
        brute = [fusion.detections(of_image, (a, b), test) for of_image in seen]
        cell = finding["class_powers"].index(a), finding["object_powers"].index(b)
        value, kept = (finding[part][cell[0]][cell[1]] for part in ("map", "kept"))
        assert value == round(coco_numbers(data, brute)["AP"], 2) > 0
        assert kept == round(np.mean([len(boxes) for boxes in brute]), 1)


def test_a_threshold_never_raises_ap_and_costs_more_the_larger_the_powers(data, seen, measured):
    finding = measured(data, seen)
    curve = dict(zip(finding["ratios"], finding["curves"]["0.7"], strict=True))
    table = {
        (a, b): finding["map"][i][j]
        for i, a in enumerate(finding["class_powers"])
        for j, b in enumerate(finding["object_powers"])
    }
    assert all(table[a, b] <= curve[b / a] for a, b in PAIRS)
    assert all(table[2 * a, 2 * b] <= table[a, b] for a, b in PAIRS if (2 * a, 2 * b) in table)
    assert table[2.0, 2.0] < curve[1.0]


def test_the_mean_of_equal_stages_is_each_of_them(data, seen, measured):
    alike = [replace(of_image, p_class=of_image.p_class[:1].expand(3, -1, -1)) for of_image in seen]
    finding = measured(data, alike)
    for name, (a, b) in FUSIONS.items():
        whole = finding["curves"]["0.7"][finding["ratios"].index(b / a)]
        assert finding["stages"][name] == pytest.approx([whole] * 3, abs=0.011)


def test_certain_objects_make_every_power_of_p_object_alike(data, seen, measured):
    certain = [replace(of_image, p_object=torch.ones_like(of_image.p_object)) for of_image in seen]
    finding = measured(data, certain)
    assert len(set(finding["curves"]["0.5"])) == 1
    assert all(len(set(line)) == 1 for line in finding["map"] + finding["kept"])


def test_findings_are_small_json_with_a_curve_for_each_nms(data, seen, measured):
    spec = CENTERNET2.changed({"test": {"nms": 0.6}})
    finding = measured(data, seen, spec)
    text = json.dumps(finding, allow_nan=False)
    assert json.loads(text) == finding and len(text) < 20_000
    assert list(finding["curves"]) == ["0.5", "0.6", "0.7"]
    assert {0, 0.5, 1} <= set(finding["ratios"]) and finding["ratios"] == sorted(finding["ratios"])


def test_a_picture_keeps_the_likeliest_classes_of_its_regions(data, seen, measured):
    pictures = measured(data, seen)["pictures"]
    assert [picture["image_id"] for picture in pictures] == [10, 11, 12, 13]
    for of_image, picture in zip(seen, pictures, strict=False):
        every = of_image.p_class.mean(0)[:, :-1].flatten().sort(descending=True).values
        kept = [row[5] for row in picture["rows"]]
        assert kept == pytest.approx(every[: fusion.KEPT].tolist(), rel=5e-3)
        assert all(0 <= row[6] <= 1 and row[4] in range(CLASSES) for row in picture["rows"])


def test_images_without_regions_or_truths_have_numbers_or_none(data, seen, measured):
    nothing = [
        replace(full, boxes=full.boxes[:0], p_object=full.p_object[:0], p_class=full.p_class[:, :0])
        for full in seen
    ]
    finding = measured(data, nothing)
    assert {*finding["curves"]["0.7"]} == {0.0} and finding["pictures"][0]["rows"] == []
    bare = SimpleNamespace(**vars(data) | {"annotations": [[] for _ in data.images]})
    finding = measured(bare, seen)
    assert {*finding["curves"]["0.7"]} == {None} and json.dumps(finding, allow_nan=False)


def test_a_one_stage_detector_has_no_two_factors():
    with pytest.raises(ValueError, match="centernet with second none"):
        fusion.fusion_numbers(None, None, Spec.named("CenterNet*"))
