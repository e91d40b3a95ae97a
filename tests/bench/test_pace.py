"""The pace of a Spec: a step of the whole batch, whatever part of it is measured."""

import json

import pytest
import torch

from p2s.bench import pace as measured
from p2s.bench.pace import pace
from p2s.study.project import Place

CPU = torch.device("cpu")


@pytest.fixture
def taken(monkeypatch):
    """Batches of the steps that are measured; each takes a second an image."""
    batches, gradients = [], measured.gradients

    def noted(model, batch, *where):
        batches.append(batch)
        return gradients(model, batch, *where)

    monkeypatch.setattr(measured, "gradients", noted)

    def seconds(work, _device):
        work()
        return float(len(batches[-1]))

    monkeypatch.setattr(measured, "_seconds", seconds)
    return batches


@pytest.mark.parametrize("pixels, count", [(10**9, 4), (1, 1)])
def test_a_step_is_that_of_the_whole_batch(spec, taken, monkeypatch, tmp_path, pixels, count):
    monkeypatch.setattr(measured, "PIXELS", pixels)
    spec = spec.changed({"recipe": {"batch": 4}})
    measured._step(spec, Place(), tmp_path / "kept")
    assert [len(batch) for batch in taken] == [count]
    assert json.loads((tmp_path / "kept").read_text()) == pytest.approx(4.0)


def test_the_first_time_is_left_out_and_long_work_is_done_but_twice(monkeypatch):
    clock = iter([0.0, 100.0, 100.0, 103.0, 103.0, 107.0])
    monkeypatch.setattr(measured, "now", lambda device: next(clock))
    assert measured._seconds(lambda: None, CPU) == 3.0
    monkeypatch.setattr(measured, "ENOUGH_S", 105.0)
    clock = iter([0.0, 100.0, 100.0, 103.0, 103.0, 107.0])
    assert measured._seconds(lambda: None, CPU) == pytest.approx(3.5)


@pytest.mark.parametrize("spec", ["CenterNet2"], indirect=True)
def test_two_processes_measure_together_and_say_so(spec, monkeypatch):
    spec = spec.changed({"backbone": {"weights": "not/there.pth"}, "recipe": {"batch": 2}})
    found = pace(Place("cpu", processes=2), spec)
    assert 0 < found.step < 60 and 0 < found.image < 60
    assert found.where == "a step measured on cpu, 1 threads, 2 processes"


def test_a_device_that_is_not_here_is_told_before_anything_starts(spec):
    with pytest.raises(ValueError, match="device 'cuda:77' is not here; valid: auto, cpu"):
        pace(Place("cuda:77", processes=8), spec)
