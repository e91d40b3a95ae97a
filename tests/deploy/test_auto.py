"""The fastest engine is measured once on a machine; what a chip has no units for is told."""

import pytest
import torch

from p2s.bench.nets import lively, picture
from p2s.deploy import auto, chip, fast
from p2s.spec import Spec
from tests.support.tiny import TINY, tiny

CPU = torch.device("cpu")


@pytest.fixture
def units(monkeypatch):
    """Sets the capabilities of a pretended chip."""

    def have(*names):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(names, True))

    return have


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("P2S_CACHE", str(tmp_path))


def test_a_precision_without_units_is_told_and_one_with_them_is_not(units, capsys):
    units("avx2")
    fast.optimize(tiny("CenterNet*"), "bf16", compile=False)
    assert "no units for bf16: fp32 is likely faster" in capsys.readouterr().err
    units("avx512_bf16")
    fast.optimize(tiny("CenterNet*"), "bf16", compile=False)
    fast.optimize(tiny("CenterNet*"), compile=False)
    assert capsys.readouterr().err == ""


def test_choices_are_what_the_chip_has_units_for(units):
    units("avx2")
    assert {each.precision for each in auto.choices(CPU, calibrated=True)} == {"fp32"}
    units("avx512_bf16", "avx512_vnni")
    assert {each.precision for each in auto.choices(CPU, calibrated=False)} == {"fp32", "bf16"}
    every = [*auto.choices(CPU, calibrated=True)]
    assert {each.engine for each in every if each.precision == "int8"} == {"torch", "openvino"}


def test_the_fastest_is_measured_once(monkeypatch):
    speeds = {"torch fp32": 3.0, "openvino fp32, compiled": 1.0}
    asked = []

    def seconds(optimize, device, choice):
        asked.append(choice)
        return speeds.get(str(choice), 9.0)

    monkeypatch.setattr(auto, "_seconds", seconds)
    first, *_ = auto.by_speed(fast.optimize, CPU, calibrated=False)
    assert first == auto.Choice("openvino", "fp32", True) and len(asked) > 2
    assert auto.by_speed(fast.optimize, CPU, calibrated=False)[0] == first
    assert len(asked) == len(set(asked))  # not again


def test_a_choice_that_finds_something_else_is_passed_over(monkeypatch, capsys):
    wrong, right = auto.Choice("openvino", "bf16", True), auto.Choice("torch", "fp32", False)
    monkeypatch.setattr(auto, "by_speed", lambda *_: [wrong, right])
    spec = Spec.named("CenterNet2").changed(TINY)
    model, other, image = lively(spec), lively(spec, seed=1), picture((96, 96))

    def optimize(given, *how):
        return other if how[-1] == "openvino" else given

    assert auto.optimized(optimize, model, CPU, image) is model
    assert capsys.readouterr().err.endswith(": torch fp32\n")


def test_the_probe_is_timed_and_leaves_torchs_generator_alone(monkeypatch):
    monkeypatch.setattr(auto, "SIZE", (64, 64))
    monkeypatch.setattr(auto, "ROUNDS", 1)
    before = torch.get_rng_state()
    assert auto._seconds(fast.optimize, CPU, auto.Choice("torch", "fp32", False)) > 0
    assert torch.equal(before, torch.get_rng_state())


def test_units_are_told_in_words(units):
    units("amx_bf16", "avx512_bf16")
    assert chip.told() == "bf16: amx_bf16, avx512_bf16; int8: no units"
