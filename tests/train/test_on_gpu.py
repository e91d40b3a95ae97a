"""Trainings on a GPU: as on the CPU, resumed, in bf16, by nccl; on the CPU what is not its own."""

import json
from functools import partial

import pytest
import torch

from p2s.data import glyphs
from p2s.model.device import place
from p2s.model.zoo import build
from p2s.spec import NAMED, Glyphs, Spec
from p2s.train import engine
from p2s.train.processes import together
from tests.support.tiny import TINY

STEPS = 20
SIZE = {"short_edge": [96], "long_edge": 96}
RECIPE = {"recipe": {"iterations": STEPS, "batch": 4, "warmup": 5, "rate": 0.002, **SIZE}}
ALL_REGIONS = {"second_stage": {"regions": 256}}  # draws are a device's own
needs_gpu = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
]
on_gpu = pytest.param("cuda", marks=needs_gpu)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    few = Glyphs(train=8, val=2, size=96, classes=3)
    return glyphs.load(few, tmp_path_factory.mktemp("scenes"))[0]


def trained(name, data, output, device, precision="fp32"):
    """The model that 20 steps leave, and its curve."""
    spec = Spec.named(name).changed(TINY).changed(RECIPE).changed(ALL_REGIONS)
    torch.manual_seed(0)
    model = place(build(spec), torch.device(device), precision)
    engine.train(model, spec, data, output, seed=0)
    return model, json.loads((output / "curve.json").read_text())


def assert_near(one, other, tolerance):
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert other[name] == pytest.approx(values, rel=tolerance, abs=tolerance), name


@pytest.mark.parametrize("device", [on_gpu])
@pytest.mark.parametrize("name", NAMED)
def test_losses_are_those_of_the_cpu(name, device, data, tmp_path):
    _, ours = trained(name, data, tmp_path / "cpu", "cpu")
    _, there = trained(name, data, tmp_path / "gpu", device)
    assert_near(ours, there, 1e-3)


@pytest.mark.parametrize(
    "device, tolerance", [("cpu", 0), pytest.param("cuda", 1e-3, marks=needs_gpu)]
)
def test_a_training_that_was_cut_goes_on(device, tolerance, data, tmp_path, monkeypatch):
    _, whole = trained("CenterNet2", data, tmp_path / "whole", device)
    batch = engine.train_batch

    def cut(data, recipe, seed, iteration, part):
        if iteration == 9:
            raise ValueError("power cut")
        return batch(data, recipe, seed, iteration, part)

    monkeypatch.setattr(engine, "train_batch", cut)
    with pytest.raises(ValueError, match="power cut"):
        trained("CenterNet2", data, tmp_path / "cut", device)
    monkeypatch.setattr(engine, "train_batch", batch)
    model, curve = trained("CenterNet2", data, tmp_path / "cut", device)
    assert_near(whole, curve, tolerance)
    assert next(model.parameters()).device.type == device


@pytest.mark.parametrize("device", ["cpu", on_gpu])
def test_a_training_in_bf16_learns_and_says_where_it_was(device, data, tmp_path):
    _, exact = trained("CenterNet*", data, tmp_path / "fp32", device)
    model, rounded = trained("CenterNet*", data, tmp_path / "bf16", device, "bf16")
    assert rounded != exact and all(torch.isfinite(weight).all() for weight in model.parameters())
    assert_near(exact, rounded, 0.2)
    told = json.loads((tmp_path / "bf16" / "training.json").read_text())["where"]
    assert told["precision"] == "bf16" and told["device"].startswith(device)


@pytest.mark.parametrize("device", [on_gpu])
def test_workers_change_no_bit_of_what_is_pinned(device, data, tmp_path):
    batches = [
        [image["image"] for made in engine.prefetched(partial(pinned, data), range(4), workers)
         for image in made]
        for workers in (0, 3)
    ]  # fmt: skip
    assert all(image.is_pinned() for image in batches[1])
    assert all(map(torch.equal, *batches))


def pinned(data, iteration):
    recipe = Spec.named("CenterNet*").changed(RECIPE).recipe
    return engine.pinned(engine.train_batch(data, recipe, 0, iteration, slice(None)))


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="no two GPUs here")
def test_two_gpus_train_as_one_does(data, tmp_path):
    _, one = trained("CenterNet2", data, tmp_path / "one", "cuda")
    together(partial(trained, "CenterNet2", data, tmp_path / "two", "cuda"), 2)
    assert_near(one, json.loads((tmp_path / "two" / "curve.json").read_text()), 1e-3)
