"""Averages: a closed form, what a stop may not change, and which weights are used."""

import json

import pytest
import torch
from torch import nn

from p2s.spec import Recipe, Spec
from p2s.spec.identity import training_id
from p2s.train import engine
from p2s.train.average import Last, average_of
from p2s.train.engine import Loop, load, train
from p2s.train.watch import Watch
from tests.support import tiny_training
from tests.support.tiny_training import DATA, SPEC, Tiny, batches

EMA = SPEC.changed({"recipe": {"average": {"kind": "ema", "decay": 0.7}}})


@pytest.fixture(autouse=True)
def stubs(monkeypatch):
    tiny_training.install(monkeypatch)


def test_an_average_is_its_closed_form():
    """Each mean is d of the one before and 1 - d of the weights; d grows to .8."""
    model = nn.Linear(1, 1, bias=False)
    average = average_of(model, Recipe(average={"kind": "ema", "decay": 0.8}))
    wanted = first = model.weight.item()
    for done in range(1, 60):
        model.weight.data.fill_(first + done)
        average.update(done)
        decay = min(0.8, (1 + done) / (10 + done))
        wanted = decay * wanted + (1 - decay) * (first + done)
    assert average.model.weight.item() == pytest.approx(wanted, rel=1e-5)
    assert average.model.weight.item() == pytest.approx(first + 59 - 0.8 / 0.2, rel=1e-3)


def test_statistics_are_averaged_and_counters_are_the_models_own():
    model = nn.BatchNorm1d(1, momentum=1.0)
    average = average_of(model, Recipe(average={"kind": "ema", "decay": 0.5}))
    for done in (100, 101):
        model(torch.tensor([[1.0], [3.0]]))  # the mean becomes 2
        average.update(done)
    assert average.model.running_mean.item() == pytest.approx(0.5 * 1 + 0.5 * 2)
    assert average.model.num_batches_tracked == 2
    assert model.running_mean.item() == 2


def test_the_default_is_the_model_itself_and_no_word_of_a_record():
    model = nn.Linear(1, 1)
    assert average_of(model, Recipe()).model is model
    assert "average" not in Recipe().model_dump() and Last(model).state() == {}
    of = {name: training_id(spec, "f", 3) for name, spec in {"none": SPEC, "ema": EMA}.items()}
    assert of["none"] != of["ema"]
    assert training_id(EMA.changed({"recipe": {"average": "last"}}), "f", 3) == of["none"]
    assert Spec.model_validate_json(EMA.model_dump_json()) == EMA
    assert EMA.model_dump(mode="json")["recipe"]["average_decay"] == 0.7


@pytest.mark.parametrize("fields", [{"average_decay": 0.7}, {"average": "ema", "average_decay": 2}])
def test_a_decay_that_does_nothing_or_is_none_is_refused(fields):
    with pytest.raises(ValueError, match="average"):
        Recipe(**fields)


def weights_of(folder):
    return load(folder)[0].state_dict()


def equal(ours, theirs):
    return all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_the_averaged_weights_are_evaluated_returned_and_saved(tmp_path):
    seen = []

    def ap(model):
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return 5.0 - len(seen)

    loop = Loop(watch=Watch(ap, every=6))
    trained = train(Tiny(), EMA, DATA, tmp_path / "ema", seed=3, loop=loop)
    train(Tiny(), SPEC, DATA, tmp_path / "last", seed=3)
    saved = weights_of(tmp_path / "ema")
    assert equal(seen[-1], saved) and equal(trained.state_dict(), saved)
    assert equal(seen[0], weights_of(tmp_path / "ema" / "best"))
    assert not equal(saved, weights_of(tmp_path / "last"))
    curves = [json.loads((tmp_path / name / "curve.json").read_text()) for name in ("ema", "last")]
    assert curves[0]["fit"] == curves[1]["fit"]  # the steps are the same


@pytest.mark.parametrize("iteration", [1, 7, 11])
def test_a_crash_and_a_resume_equal_an_uninterrupted_training(tmp_path, monkeypatch, iteration):
    train(Tiny(), EMA, DATA, tmp_path / "whole", seed=3)

    def crash(data, recipe, seed, at, part):
        if at == iteration:
            raise RuntimeError("power cut")
        return batches(data, recipe, seed, at)

    monkeypatch.setattr(engine, "train_batch", crash)
    with pytest.raises(RuntimeError, match="power cut"):
        train(Tiny(), EMA, DATA, tmp_path / "cut", seed=3, loop=Loop(save_every=0))
    monkeypatch.setattr(engine, "train_batch", batches)
    train(Tiny(), EMA, DATA, tmp_path / "cut", seed=3)
    name = "model.safetensors"
    assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_state_of_before_averages_is_resumed(tmp_path, monkeypatch):
    train(Tiny(), SPEC, DATA, tmp_path / "whole", seed=3)

    def crash(data, recipe, seed, at, part):
        if at == 6:
            raise RuntimeError("power cut")
        return batches(data, recipe, seed, at)

    monkeypatch.setattr(engine, "train_batch", crash)
    with pytest.raises(RuntimeError, match="power cut"):
        train(Tiny(), SPEC, DATA, tmp_path / "cut", seed=3, loop=Loop(save_every=0))
    path = tmp_path / "cut" / "state.pt"
    state = torch.load(path, weights_only=True)
    del state["average"]
    torch.save(state, path)
    monkeypatch.setattr(engine, "train_batch", batches)
    train(Tiny(), SPEC, DATA, tmp_path / "cut", seed=3)
    assert equal(weights_of(tmp_path / "cut"), weights_of(tmp_path / "whole"))
