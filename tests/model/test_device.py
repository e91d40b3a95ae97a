"""Devices: every detector on a GPU (a real one where there is one, else a pretended one), bf16."""

import copy

import pytest
import torch

from p2s.model.device import (
    PRECISIONS,
    claim_gpu,
    described,
    device_of,
    place,
    precision_of,
    require,
)
from p2s.spec import NAMED, Spec
from p2s.train.engine import optimizer
from p2s.train.replay import gradients
from tests.support.pretend_gpu import PretendGpu
from tests.support.tiny import TINY, scene, tiny

CPU = torch.device("cpu")
EMPTY = scene(8, boxes=())
BATCHES = ([scene(0), scene(1)], [scene(2), EMPTY])
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


def steps(model, spec):
    """Losses of two training steps, one with an image without objects."""
    step, told = optimizer(model, spec.recipe), []
    for iteration, batch in enumerate(BATCHES):
        losses, broken = gradients(model, batch, 0, iteration)
        assert not broken
        step.step()
        told.append(losses)
    return told


def detected(model):
    """Boxes and scores of an image, on the CPU, the likeliest first."""
    with torch.no_grad():
        [found], _ = model.eval().detect([scene(7)])
    return found.pred_boxes.tensor.cpu(), found.scores.cpu()


def assert_equal_on(device, name, tolerance):
    spec, ours = Spec.named(name).changed(TINY), tiny(name)
    there = place(copy.deepcopy(ours), device)
    told = zip(steps(ours, spec), steps(there, spec), strict=True)
    for on_cpu, on_device in told:
        assert on_device == pytest.approx(on_cpu, rel=tolerance, abs=tolerance)
    for on_cpu, on_device in zip(detected(ours), detected(there), strict=True):
        torch.testing.assert_close(on_device, on_cpu, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("name", NAMED)
def test_no_tensor_stays_behind_when_a_detector_moves(name):
    with PretendGpu():
        assert_equal_on(torch.device("cuda"), name, 1e-4)


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("name", NAMED)
def test_a_gpu_trains_and_detects_as_the_cpu_does(name):
    assert_equal_on(torch.device("cuda"), name, 1e-3)


@pytest.mark.parametrize("name", NAMED)
def test_bf16_rounds_convolutions_but_neither_weights_nor_what_leaves(name):
    spec, exact = Spec.named(name).changed(TINY), tiny(name)
    rounded = place(copy.deepcopy(exact), CPU, "bf16")
    told = steps(rounded, spec)
    assert told != steps(exact, spec)
    assert all(weight.dtype == torch.float32 for weight in rounded.parameters())
    boxes, scores = detected(rounded)
    assert boxes.dtype == scores.dtype == torch.float32


def test_bf16_goes_along_into_a_copy():
    model = place(tiny("GFL"), CPU, "bf16")
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    boxes, scores = detected(copied)
    assert len(boxes) and scores.max() > 0


def test_the_mean_of_a_distribution_is_kept_out_of_bf16():
    model = place(tiny("GFL"), CPU, "bf16").eval()
    with torch.no_grad():
        features = model.backbone(model.preprocess_image([scene(1)]).tensor)
        _, box, bins = model.proposal_generator.head(list(features.values()))
        lengths = torch.arange(17.0)
    torch.testing.assert_close(box, bins.unflatten(-1, (4, 17)).softmax(-1) @ lengths)


def test_a_device_that_is_not_here_is_told_with_those_that_are():
    with pytest.raises(ValueError, match="device 'cuda:7' is not here; valid: auto, cpu"):
        device_of("cuda:7")
    assert device_of("cpu") == CPU and described(CPU).startswith("cpu, ")
    assert device_of("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_each_process_on_gpus_has_one_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    for name, processes in (("cuda", 2), ("auto", 2), ("cuda:1", 1), ("cpu", 3)):
        require(name, "fp32", processes)
    for name in ("cuda", "auto"):
        with pytest.raises(ValueError, match=f"processes 3 on device {name}: .* processes 1 to 2"):
            require(name, "bf16", 3)
    with pytest.raises(ValueError, match="device cuda:1 for 2 processes: valid: cuda, a GPU each"):
        require("cuda:1", "tf32", 2)
    with pytest.raises(ValueError, match="'tf32' is of GPUs"):
        require("cpu", "tf32", 1)


def test_processes_share_gpus_evenly(tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    locks = [claim_gpu.__wrapped__(tmp_path) for _ in range(5)]  # each as in a process of its own
    assert taken == [0, 1, 0, 1, 0]
    locks[3].release()
    claim_gpu.__wrapped__(tmp_path)
    assert taken[5] == 1


def test_a_placed_model_knows_its_precision():
    assert precision_of(tiny("CenterNet*")) == "fp32"
    assert precision_of(copy.deepcopy(place(tiny("CenterNet*"), CPU, "bf16"))) == "bf16"


def test_an_unknown_precision_is_told_with_the_known_ones():
    with pytest.raises(ValueError, match=f"precision 'fp8'; valid: {', '.join(PRECISIONS)}"):
        place(tiny("CenterNet*"), CPU, "fp8")
    with pytest.raises(ValueError, match="'tf32' is of GPUs; valid on a CPU: fp32, bf16"):
        place(tiny("CenterNet*"), CPU, "tf32")


def test_the_pretended_gpu_tells_what_a_real_one_would():
    with PretendGpu():
        there = torch.ones(3).to("cuda")
        with pytest.raises(RuntimeError, match="on the GPU and on the CPU"):
            there + torch.ones(3)
        with pytest.raises(TypeError, match="copy it to the CPU first"):
            there.numpy()
        assert (there + 1).cpu().numpy().tolist() == [2, 2, 2]
        assert torch.arange(3, device=there.device).device == there.device


@pytest.mark.parametrize("precision", ["tf32", "fp32"])
def test_torch_can_say_afterwards_whether_products_are_rounded(precision):
    with PretendGpu():
        place(tiny("CenterNet*"), torch.device("cuda"), precision)
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    assert [each.allow_tf32 for each in backends] == [precision == "tf32"] * 2
