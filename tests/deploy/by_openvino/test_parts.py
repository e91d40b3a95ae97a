"""OpenVINO answers as torch does, for images of any size, in every precision, and from a file."""

import pytest
import torch

from p2s.bench.nets import lively, picture
from p2s.deploy import chip, fast
from p2s.deploy.by_openvino.export import OpenVinoDetector, export
from p2s.deploy.matching import unmatched
from p2s.deploy.onnx_export import OnnxDetector
from p2s.deploy.onnx_export import export as export_onnx
from p2s.spec import Spec

SMALL = {
    "backbone": {"depth": 18, "width": 16, "fpn_channels": 32},
    "first_stage": {"layers": 1},
    "second_stage": {"channels": 32},
}
SIZES = ((96, 128), (160, 96))  # a graph is made for the first


def plain(name, **changes):
    return lively(Spec.named(name).changed(SMALL).changed(changes))


def found(model, size):
    with torch.no_grad():
        [answer] = model(picture(size))
    return answer["instances"]


@pytest.mark.parametrize("name", ["CenterNet2", "GFL", "FasterRCNN-RPN", "RetinaNet"])
def test_the_same_is_found_in_images_of_any_size(name):
    model = plain(name)
    quick = fast.optimize(model, engine="openvino")
    for size in SIZES:
        wanted = found(model, size)
        assert len(wanted) >= 10 and unmatched(found(quick, size), wanted) == (0, 0)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_fewer_bits_are_near(precision):
    model = plain("CenterNet2")
    calibration = picture((96, 128)) if precision == "int8" else ()
    quick = fast.optimize(model, precision, calibration=calibration, engine="openvino")
    for size in SIZES:
        image = model.preprocess_image(picture(size)).tensor
        with torch.no_grad():
            wanted, near = model.backbone(image), quick.backbone(image)
        for name, values in wanted.items():
            assert near[name].dtype == torch.float32
            error = (near[name] - values).norm() / values.norm()
            assert error < 0.2 and (error > 0 or chip.is_slow(precision))
        assert len(found(quick, size)) == len(found(model, size))


def test_an_image_without_a_region_is_no_error():
    quick = fast.optimize(plain("CenterNet2", test={"score_threshold": 0.0}), engine="openvino")
    quick.proposal_generator.score_threshold = 2.0
    heads = quick.roi_heads.box_head
    assert heads[0](torch.zeros(0, 32, 7, 7)).shape == (0, 32)


def test_a_pair_of_files_finds_what_the_onnx_file_does(tmp_path):
    model = plain("CenterNet2")
    export_onnx(model, tmp_path / "model.onnx", (96, 128))
    export(model, tmp_path / "model.xml", (96, 128))
    assert (tmp_path / "model.bin").exists()
    wanted = found(OnnxDetector(tmp_path / "model.onnx", threads=1), (96, 128))
    there = OpenVinoDetector(tmp_path / "model.xml", threads=1)
    assert unmatched(found(there, (96, 128)), wanted) == (0, 0)
    with pytest.raises(ValueError, match=r"takes \(3, 96, 128\)"):
        found(there, (128, 96))


def test_another_file_is_told(tmp_path):
    (tmp_path / "other.xml").write_text("<net>")
    with pytest.raises(ValueError, match="other.xml is no file of OpenVINO"):
        OpenVinoDetector(tmp_path / "other.xml")


def test_what_the_engine_cannot_is_told():
    with pytest.raises(ValueError, match="engine 'tvm'; valid: torch, openvino"):
        fast.optimize(plain("CenterNet2"), engine="tvm")
    with pytest.raises(ValueError, match="needs calibration images"):
        fast.optimize(plain("CenterNet2"), "int8", engine="openvino")
