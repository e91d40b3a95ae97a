"""How often a step of training waits for a device, by what a pretended one is asked."""

import math
import warnings

import pytest
import torch
from torch.nn.utils import clip_grad_value_

from p2s.maths.finite import noted, refuse_nonfinite
from p2s.model.deformable import DeformConv
from p2s.model.device import place
from p2s.model.zoo import build
from p2s.spec import NAMED, Spec
from p2s.train.engine import optimizer
from p2s.train.replay import gradients
from tests.support.pretend_gpu import GPU, PretendGpu
from tests.support.tiny import TINY, scene
from tests.support.waits import Waits

BATCH = [scene(0), scene(1)]
SHAPES = {"none": 16, "faster": 33, "cascade": 51}  # by the second stage, of two images
ADAPTIVE = {"GA RPN": 41, "Cascade RPN": 36}  # one image at a time
SENT = 21
LIKELIHOOD = Spec.named("FasterRCNN-CenterNet").changed({"second_stage": {"objective": "max"}})


def on_gpu(spec):
    torch.manual_seed(0)
    return place(build(spec.changed(TINY)), GPU).train()


def waits(spec):
    """Of one step, with the change of the weights."""
    with PretendGpu():
        model = on_gpu(spec)
        step = optimizer(model, spec.recipe)
        with Waits() as waits:
            losses, broken = gradients(model, BATCH, 0, 0)
            clip_grad_value_(model.parameters(), spec.recipe.clip)
            step.step()
    assert losses and not broken
    return waits.count


def deformable(spec):
    """How many gradients torchvision's deformable convolutions make, which lose the pretence."""
    with torch.device("meta"):
        layers = build(spec.changed(TINY)).modules()
    return sum(isinstance(layer, DeformConv) for layer in layers)


@pytest.mark.parametrize("name", NAMED)
def test_a_step_asks_a_device_once(name):
    spec = Spec.named(name)
    count = waits(spec)
    assert count["read"] == 1
    assert 0 < count["shape"] <= ADAPTIVE.get(name, SHAPES[spec.second])
    assert 0 < count["sent"] <= SENT + deformable(spec)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("name", NAMED)
def test_a_gpu_is_waited_for_no_more_often_than_a_pretended_one(name):
    spec = Spec.named(name)
    model = on_gpu(spec)
    gradients(model, BATCH, 0, 0)  # what is made once
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        gradients(model, BATCH, 0, 1)
        torch.cuda.set_sync_debug_mode("default")
    waits = [line for line in told if "synchronizing" in str(line.message)]
    assert 0 < len(waits) <= 1 + ADAPTIVE.get(name, SHAPES[spec.second]) + SENT


def test_what_a_likelihood_audits_is_one_more_question():
    assert waits(LIKELIHOOD)["read"] == 2


def spoiled(model, parts, value):
    """A model of which a weight is not finite."""
    with torch.no_grad():
        model.get_parameter(parts)[0] = value
    return model


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("CenterNet2", "proposal_generator.head.score.bias"),
        ("CenterNet2", "roi_heads.box_head.1.fc2.bias"),
        ("CenterNet2", "roi_heads.box_predictor.0.bbox_pred.bias"),
        ("CascadeRCNN-RPN", "proposal_generator.rpn_head.anchor_deltas.bias"),
        ("GA RPN", "proposal_generator.rpn_head.location.bias"),
        ("likelihood", "proposal_generator.head.ltrb.bias"),
    ],
)
def test_a_device_tells_what_is_not_finite_as_the_cpu_does(name, weight, value):
    spec = LIKELIHOOD if name == "likelihood" else Spec.named(name)
    torch.manual_seed(0)
    on_cpu = spoiled(build(spec.changed(TINY)).train(), weight, value)
    wanted = gradients(on_cpu, BATCH, 0, 0)
    with PretendGpu():
        assert gradients(place(on_cpu, GPU), BATCH, 0, 0) == wanted
    assert wanted[0] == {} and wanted[1][0].startswith("non-finite ")


def test_an_error_is_told_as_that_of_the_check_before_it():
    told = pytest.raises(FloatingPointError, match="^non-finite rows, 1 of 2$")
    with PretendGpu(), told, noted():
        finite = torch.tensor([True, False]).to("cuda")
        refuse_nonfinite(finite, lambda bad: f"rows, {int(bad.sum())} of {len(bad)}")
        raise AssertionError("overlaps are negative")
    with PretendGpu(), pytest.raises(AssertionError, match="overlaps"), noted():
        refuse_nonfinite(torch.tensor([True]).to("cuda"), str)
        raise AssertionError("overlaps are negative")
