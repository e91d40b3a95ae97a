"""What is measured on a GPU, by a pretended one: clocks wait for it, its memory is asked for."""

import pytest
import torch

from p2s.bench import inference, step, timing, training, ways
from p2s.spec import Spec
from tests.support.pretend_gpu import GPU, PretendGpu

SIZE = (64, 96)


@pytest.fixture
def waited(monkeypatch):
    """The devices that were waited for, on a pretended GPU."""
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    monkeypatch.setattr(training, "pinned", lambda batch: batch)
    monkeypatch.setattr(timing, "CEILING", (8, 10, 10))
    monkeypatch.setattr(torch, "compile", lambda part, options: part)
    with PretendGpu():
        yield waited


def test_a_clock_is_read_when_the_device_is_done(waited):
    timing.now()
    assert waited == []
    timing.turns({"a": lambda: waited.append("a")}, rounds=1, warmup=0, device=GPU)
    assert waited == [GPU, "a", GPU]


def test_memory_is_the_most_that_tensors_take_there(monkeypatch):
    held = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: held.clear())
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: max(held))
    held, peak = [9e9], []
    with timing.peak_memory(peak, GPU):
        held += [1e6, 3e6, 2e6]
    assert peak == [3.0]


def test_every_way_is_of_the_same_network_there_and_has_its_rate(tiny, waited):
    every = ways.means("CascadeRCNN-CenterNet", SIZE, GPU)
    assert {way.precision for way in every.values()} == {"fp32", "bf16"}
    assert {way.runtime for way in every.values()} == {"authors", "ours", "torchvision"}
    chosen = {  # what is compiled takes long, and so do torchvision's, which have one size
        name: way
        for name, way in every.items()
        if way.means != "compiled" and way.runtime != "torchvision"
    }
    rows = inference.inference_times(chosen, SIZE, rounds=1, device=GPU)["rows"]
    assert [row["way"] for row in rows] == list(chosen)
    for row in rows:
        assert row["rate"] == pytest.approx(1 / row["total"])
        assert row["valid"] and not row.get("unmatched_inside"), row  # nothing is rounded here
    assert len([row for row in rows if row["precision"] == "bf16"]) == 2
    assert len([row for row in rows if "first" in row]) == len(rows) - 1  # all but Autocast
    assert set(waited) == {GPU} and len(waited) > 2 * len(rows)


def test_others_are_optimised_there(tiny, waited):
    asked = ways.detectors(["CenterNet2"], GPU) | ways.with_classes(["CenterNet*"], [5], GPU)
    asked |= ways.with_proposals(["CenterNet2"], [7], GPU)
    assert len(asked) == 3
    models = [way.make() for way in asked.values()]
    assert all(next(model.parameters()).is_cuda for model in models)


def test_all_ways_train_there_in_both_precisions(tiny, waited):
    found = training.training_steps(
        "CascadeRCNN-CenterNet", Spec.named("CascadeRCNN-CenterNet"), steps=1, device=GPU
    )
    rows = {row["way"]: row for row in found["rows"]}
    names = ["stock", "ours", "authors"]
    assert list(rows) == names + [f"{name}, bf16" for name in names]
    assert [row["runtime"] for row in rows.values()] == ["detectron2", "ours", "authors"] * 2
    for row in rows.values():
        assert row["rate"] == pytest.approx(2 / row["total"])
        assert all(0 < loss < 100 for loss in row["loss"])
    assert found["loss_difference"] < 1e-3


def test_the_parts_of_a_step_are_measured_there(tiny, waited, monkeypatch):
    monkeypatch.setattr(step, "CHANGES", {"recipe": {"batch": 1}})
    rows = step.step_shares(rounds=1, device=GPU)["rows"]
    assert len(rows) == 3 and set(waited) == {GPU}
