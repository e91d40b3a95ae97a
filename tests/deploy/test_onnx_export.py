"""onnxruntime finds in a file what the detector finds."""

import importlib
import sys

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from p2s.deploy.onnx_export import FIELDS, OnnxDetector, export
from p2s.model.first.heads import IntegralHead
from p2s.model.zoo import build
from p2s.spec import NAMED, Spec
from tests.support.tiny import MADE_OF_OTHERS

SMALL = {
    "num_classes": 4,
    "backbone": {"depth": 18, "width": 16, "norm": "BN", "fpn_channels": 16, "frozen_stages": 0},
    "first_stage": {"layers": 1},
    "second_stage": {"channels": 32},
    # more proposals than NMS leaves, so that there are rows that only fill up
    "test": {"pre_nms": 100, "proposals": 300, "score_threshold": 0.01, "detections": 60},
}
WITHOUT = ("GA RPN", "Cascade RPN")  # a form in ONNX
FEW_LAYERS = {"CenterNet2-R2-101-DCN-BiFPN": {"backbone": {"neck": {"layers": 1}}}}
HEIGHT, WIDTH = SIZE = (96, 120)  # a width that the trunk has to pad


def lively(spec):
    """A model whose untrained heads differ from place to place, so that NMS leaves much."""
    torch.manual_seed(0)
    model = build(spec).eval()
    stage, regions = model.proposal_generator, getattr(model, "roi_heads", None)
    scores = [stage.head.score if hasattr(stage, "head") else stage.rpn_head.objectness_logits]
    scores += [each.cls_score for each in regions.box_predictor] if regions else []
    with torch.no_grad():
        for layer in scores:
            layer.weight.mul_(20)
            layer.bias.zero_()
        for each in regions.box_predictor if regions else ():
            each.bbox_pred.weight.mul_(50)
        if regions:
            regions.box_pooler.canonical_box_size = 24  # pixels: regions of all levels
        if spec.first in ("centernet", "atss", "fcos"):
            stage.head.ltrb.bias.fill_(2)  # strides: smaller boxes overlap less
        elif isinstance(getattr(stage, "head", None), IntegralHead):
            stage.head.ltrb.bias.view(4, -1)[:, 2] = 9
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """From a Spec to its detector and the same as a file: rows of equal Specs share one."""
    folder, known = tmp_path_factory.mktemp("onnx"), {}

    def of(spec):
        if spec not in known:
            path = folder / f"{len(known)}.onnx"
            model = lively(spec)
            export(model, path, SIZE)
            known[spec] = model, OnnxDetector(path, threads=1)
        return known[spec]

    return of


def picture(seed=0, height=HEIGHT, width=WIDTH):
    """Noise in coarse squares."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(256, (3, height // 8, width // 8), generator=generator)
    pixels = noise.repeat_interleave(8, 1).repeat_interleave(8, 2).to(torch.uint8)
    return {"image": pixels, "height": 2 * height, "width": 3 * width}


@torch.no_grad()
def both(detectors, inputs):
    ours, theirs = (detector([inputs])[0]["instances"] for detector in detectors)
    assert ours.image_size == theirs.image_size
    return ours, theirs


def assert_equal(found, wanted):
    """Equal detections, one to one, in any order: equal scores may swap."""
    assert len(found) == len(wanted)
    gap = (found.pred_boxes.tensor[:, None] - wanted.pred_boxes.tensor).abs().amax(2)
    gap[found.pred_classes[:, None] != wanted.pred_classes] = torch.inf
    partner = gap.argmin(1)
    assert sorted(partner) == list(range(len(wanted)))
    assert gap.amin(1).max() < 1e-2  # pixels
    for field in set(FIELDS) - {"pred_boxes"}:
        values = getattr(found, field), getattr(wanted, field)[partner]
        torch.testing.assert_close(*values, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", [name for name in NAMED if name not in WITHOUT + MADE_OF_OTHERS])
def test_onnxruntime_detects_as_the_detector_does(exported, name):
    detectors = exported(Spec.named(name).changed(SMALL).changed(FEW_LAYERS.get(name, {})))
    for seed in range(2):
        ours, theirs = both(detectors, picture(seed))
        assert len(ours) >= 10
        assert_equal(theirs, ours)


@torch.no_grad()
def test_an_image_without_a_detection_gives_an_empty_answer(exported):
    # scored by class alone: a row that only fills up would not be told by its P(O) of 0
    nothing = {"test": {**SMALL["test"], "proposal_floor": 1.0, "fusion": "class"}}
    spec = Spec.named("FasterRCNN-CenterNet").changed({**SMALL, **nothing})
    ours, theirs = both(exported(spec), picture())
    assert len(ours) == len(theirs) == 0
    assert set(theirs.get_fields()) == set(FIELDS)


def test_an_image_that_is_no_picture_of_that_size_is_refused(exported):
    _, detector = exported(Spec.named("CenterNet2").changed(SMALL))
    with pytest.raises(ValueError, match=r"shape \(3, 120, 96\); .*onnx takes \(3, 96, 120\)"):
        detector([picture(height=WIDTH, width=HEIGHT)])
    broken = picture()["image"].float()
    broken[0, 40, 40] = torch.nan
    with pytest.raises(FloatingPointError, match="non-finite"):
        detector([{"image": broken}])


def test_what_cannot_be_exported_or_read_is_refused_in_a_line(tmp_path):
    with pytest.raises(ValueError, match="a Linear has no ONNX form"):
        export(torch.nn.Linear(1, 1), tmp_path / "x.onnx", SIZE)
    for name in WITHOUT:
        with pytest.raises(ValueError, match="has no ONNX form; valid: .* but GA RPN"):
            export(build(Spec.named(name).changed(SMALL)), tmp_path / "x.onnx", SIZE)
    by_class = Spec.named("FasterRCNN-RPN").changed({"second_stage": {"boxes": "by_class"}})
    with pytest.raises(ValueError, match="boxes by class have no ONNX form; valid: .* agnostic"):
        export(build(by_class.changed(SMALL)), tmp_path / "x.onnx", SIZE)
    for size in (96, (96,), (96, 0), (96.0, 120.0), "ab"):
        with pytest.raises(ValueError, match="valid: \\(height, width\\)"):
            export(build(Spec.named("CenterNet*").changed(SMALL)), tmp_path / "x.onnx", size)
    with pytest.raises(ValueError, match="none.onnx is no ONNX file"):
        OnnxDetector(tmp_path / "none.onnx")
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    other = helper.make_graph([], "other", [value], [value])
    onnx.save(helper.make_model(other, ir_version=10), tmp_path / "other.onnx")
    with pytest.raises(ValueError, match="other.onnx is no detector"):
        OnnxDetector(tmp_path / "other.onnx")


def test_without_onnxruntime_the_import_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "p2s.deploy.onnx_export")
    with pytest.raises(ImportError, match="pip install"):
        importlib.import_module("p2s.deploy.onnx_export")
