"""The fast model on a GPU: a real one where there is one, else a pretended one."""

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d
from torch import nn

from p2s.bench.nets import lively, picture
from p2s.deploy import fast, means
from p2s.deploy.matching import unmatched
from p2s.model.device import place
from p2s.spec import Spec
from tests.support.pretend_gpu import GPU, PretendGpu
from tests.support.tiny import TINY

SIZE = (96, 128)
SOME = ("CenterNet2", "CenterNet*", "CascadeRCNN-RPN", "GA RPN", "Cascade RPN", "GFL", "FCOS-RT")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@pytest.fixture
def pretended():
    with PretendGpu():
        yield


def plain(name="CenterNet2"):
    return lively(Spec.named(name).changed(TINY).changed({"backbone": {"norm": "FrozenBN"}}))


def found(model):
    with torch.no_grad():
        return model(picture(SIZE))[0]["instances"].to("cpu")


def kernels(model):
    """Weights whose layout can be told: larger than 1x1, of several channels."""
    weights = [each.weight for each in model.modules() if isinstance(each, nn.Conv2d)]
    return [weight for weight in weights if weight.shape[1] > 1 and weight.shape[2] > 1]


@pytest.mark.parametrize("name", SOME)
def test_the_eager_fast_model_finds_the_same_there(name, pretended):
    model = plain(name)
    wanted = found(model)
    quick = found(fast.optimize(place(model, GPU), compile=False))
    assert len(wanted) >= 5 and unmatched(quick, wanted) == (0, 0)


def test_it_is_folded_and_channels_last_with_linear_layers_for_regions(pretended):
    quick = fast.optimize(place(plain(), GPU), compile=False)
    assert not any(isinstance(each, FrozenBatchNorm2d) for each in quick.modules())
    assert kernels(quick)
    for weight in kernels(quick):
        assert weight.is_cuda and weight.is_contiguous(memory_format=torch.channels_last)
    assert all(isinstance(head.fc1, nn.Linear) for head in quick.roi_heads.box_head)


def test_bf16_is_of_weights_and_leaves_as_fp32(pretended):
    model = place(plain(), GPU)
    quick = fast.optimize(model, "bf16", compile=False)
    assert {weight.dtype for weight in kernels(quick)} == {torch.bfloat16}
    detections = found(quick)
    assert len(detections) and detections.scores.dtype == torch.float32
    assert detections.pred_boxes.tensor.dtype == torch.float32


@pytest.mark.parametrize(("precision", "rounds"), [("tf32", True), ("fp32", False)])
def test_tf32_is_a_precision_there(precision, rounds, pretended):
    fast.optimize(place(plain("CenterNet*"), GPU), precision, compile=False)
    assert torch.backends.cuda.matmul.allow_tf32 is torch.backends.cudnn.allow_tf32 is rounds
    fast.optimize(place(plain("CenterNet*"), GPU), compile=False)


@pytest.mark.parametrize("precision", ["int8", "fp64"])
def test_what_a_gpu_cannot_is_told(precision, pretended):
    with pytest.raises(ValueError, match=f"'{precision}' on a GPU; valid: auto, fp32, tf32, bf16$"):
        fast.optimize(place(plain("CenterNet*"), GPU), precision, calibration=picture(SIZE))


def test_parts_are_compiled_by_triton_with_no_packing(pretended, monkeypatch):
    asked = []
    monkeypatch.setattr(means, "find_spec", lambda name: name)
    monkeypatch.setattr(means.shutil, "which", lambda name: name if name == "gcc" else None)
    monkeypatch.setattr(torch, "compile", lambda part, options: asked.append(options) or part)
    monkeypatch.setattr(means.inductor, "freezing", False)
    quick = fast.optimize(place(plain(), GPU))
    assert asked == [{"freezing": False}] * 5  # backbone, head, three stages
    assert not means.inductor.freezing and len(found(quick))


def test_without_triton_a_line_says_so(pretended, monkeypatch, capsys):
    monkeypatch.setattr(means, "find_spec", lambda name: None)
    quick = fast.optimize(place(plain("CenterNet*"), GPU))
    assert "no Triton with a C compiler (gcc or clang) here" in capsys.readouterr().err
    assert type(quick.backbone).__name__ == "FPN"


def test_a_device_that_is_not_here_is_told():
    with pytest.raises(ValueError, match="device 'cuda:7' is not here; valid: auto, cpu"):
        fast.optimize(plain("CenterNet*"), device="cuda:7")


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("name", SOME)
def test_a_gpu_finds_what_the_cpu_does(name, compile):
    model = plain(name)
    wanted = found(model)
    quick = fast.optimize(model, compile=compile, device="cuda")
    assert next(quick.parameters()).is_cuda and not next(model.parameters()).is_cuda
    assert unmatched(found(quick), wanted)[1] == 0


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_coarser_precisions_are_near_on_a_gpu(precision, compile):
    model = plain()
    quick = fast.optimize(model, precision, compile, device="cuda")
    with torch.no_grad():
        image = model.preprocess_image(picture(SIZE)).tensor
        for name, wanted in model.backbone(image).items():
            near = quick.backbone(image.cuda())[name].cpu()
            assert near.dtype == torch.float32
            assert (near - wanted).norm() < 0.02 * wanted.norm()
    assert len(found(quick))
