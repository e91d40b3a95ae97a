"""Devices: every detector on a GPU (a real one where there is one, else a pretended one), bf16."""

import copy

import pytest
import torch
from detectron2.layers import batched_nms
from detectron2.structures import Boxes

from p2s.model.device import (
    PRECISIONS,
    claim_gpu,
    described,
    device_of,
    place,
    precision_of,
    require,
)
from p2s.model.second.pooler import FastROIPooler
from p2s.spec import NAMED, Spec
from p2s.train.engine import optimizer
from p2s.train.replay import gradients
from tests.support.pretend_gpu import PretendGpu
from tests.support.tiny import MADE_OF_OTHERS, TINY, scene, tiny

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


@pytest.mark.parametrize("name", [name for name in NAMED if name not in MADE_OF_OTHERS])
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


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=[pytest.mark.cuda, needs_gpu])]
)
def test_the_gradient_of_a_level_of_one_cell_is_exact_beside_bf16(device):
    torch.manual_seed(0)
    neck, features = tiny("CenterNet*").backbone, torch.randn(2, 16, 2, 2)  # P6 and P7: one cell
    top = neck.top_block
    wanted = gradient(top, features, within=False)
    model = place(tiny("CenterNet*"), torch.device(device), "bf16")
    model.backbone.top_block.load_state_dict(top.state_dict())
    found = gradient(model.backbone.top_block, features.to(device), within=True)
    torch.testing.assert_close(found.cpu(), wanted)


def gradient(top, features, within):
    with torch.autocast(features.device.type, torch.bfloat16, within):  # as the backbone is
        sum(level.float().square().sum() for level in top(features)).backward()
    return top.p7.weight.grad


@pytest.mark.cuda
@needs_gpu
def test_pooling_and_suppression_are_those_of_the_cpu():
    maps = [torch.randn(1, 8, 32 // 2**level, 32 // 2**level) for level in range(3)]
    corners = torch.rand(200, 2) * 200
    boxes = torch.cat([corners, corners + torch.rand(200, 2) * 200 + 1], 1)
    pooler = FastROIPooler(7, [1 / 8, 1 / 16, 1 / 32])
    pooled = pooler(maps, [Boxes(boxes)])
    there = pooler([each.cuda() for each in maps], [Boxes(boxes.cuda())])
    torch.testing.assert_close(there.cpu(), pooled, rtol=1e-4, atol=1e-4)
    scores, classes = torch.rand(200), torch.arange(200) % 3
    kept = batched_nms(boxes, scores, classes, 0.5)
    assert kept.tolist() == batched_nms(boxes.cuda(), scores.cuda(), classes.cuda(), 0.5).tolist()


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
