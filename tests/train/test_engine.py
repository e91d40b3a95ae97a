"""Training: the schedule, resuming bit for bit, and folders of other or damaged trainings."""

import contextlib
import json
import math
import os
import signal
import threading
import time

import pytest
import torch
from filelock import FileLock
from torch import nn

from p2s.files import write_atomic
from p2s.spec import Recipe
from p2s.train import descent, engine, folder
from p2s.train.engine import load, train
from p2s.train.watch import Watch
from tests.support import tiny_training
from tests.support.tiny_training import DATA, SPEC, Tiny, batches


@pytest.fixture(autouse=True)
def stubs(monkeypatch):
    tiny_training.install(monkeypatch)


def stop_at(monkeypatch, iteration, stop):
    def batch(data, recipe, seed, at, part):
        if at == iteration:
            stop()
        return batches(data, recipe, seed, at)

    monkeypatch.setattr(engine, "train_batch", batch)


def files(folder):
    curve = json.loads((folder / "curve.json").read_text())
    return (folder / "model.safetensors").read_bytes(), curve


def test_a_cycle_is_a_training_that_starts_from_the_last_weights(tmp_path, monkeypatch):
    both = train(Tiny(), SPEC.changed({"recipe": {"cycles": 2}}), DATA, tmp_path / "both", seed=3)
    first = train(Tiny(), SPEC, DATA, tmp_path / "first", seed=3)
    gradients, length = engine.gradients, SPEC.recipe.iterations
    later = SPEC.changed({"recipe": {"flip": False}})  # another identity

    def of_second_cycle(model, _batch, seed, iteration):
        at = iteration + length
        return gradients(model, batches(DATA, later.recipe, seed, at), seed, at)

    monkeypatch.setattr(engine, "gradients", of_second_cycle)
    second = train(first, later, DATA, tmp_path / "second", seed=3)
    for name, value in both.state_dict().items():
        assert torch.equal(second.state_dict()[name], value), name
    assert len(json.loads((tmp_path / "both" / "curve.json").read_text())["iteration"]) == 24


@pytest.mark.parametrize("changes", [{"rate": 20.0}, {"warmup": 12}, {"rate": 1.1, "batch": 16}])
def test_an_absurd_recipe_is_refused_in_words(tmp_path, changes):
    with pytest.raises(ValueError, match="rate"):
        train(Tiny(), SPEC.changed({"recipe": changes}), DATA, tmp_path, seed=0)


def test_random_weights_are_not_frozen_but_pretrained_ones_are(tmp_path):
    frozen = SPEC.changed({"backbone": {"frozen_stages": 2}})
    with pytest.raises(ValueError, match="backbone.frozen_stages 2 .*set backbone.weights"):
        train(Tiny(), frozen, DATA, tmp_path, seed=3)
    train(Tiny(), frozen.changed({"backbone": {"weights": "r.pth"}}), DATA, tmp_path, seed=3)


@pytest.mark.parametrize("iteration", [1, 5, 11])
def test_a_crash_and_a_resume_equal_an_uninterrupted_training(tmp_path, monkeypatch, iteration):
    train(Tiny(), SPEC, DATA, tmp_path / "whole", seed=3)

    def crash():
        raise RuntimeError("power cut")

    stop_at(monkeypatch, iteration, crash)
    with pytest.raises(RuntimeError, match="power cut"):
        train(Tiny(), SPEC, DATA, tmp_path / "cut", seed=3, loop=engine.Loop(save_every=0))
    monkeypatch.setattr(engine, "train_batch", batches)
    train(Tiny(), SPEC, DATA, tmp_path / "cut", seed=3)
    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    assert not (tmp_path / "cut" / "state.pt").exists()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_that_cannot_be_decoded_ends_the_run_saved_and_mended_it_goes_on(
    tmp_path, monkeypatch, workers
):
    train(Tiny(), SPEC, DATA, tmp_path / "whole", seed=3)

    def broken():
        raise ValueError("5.jpg: not a readable image: broken data stream")

    stop_at(monkeypatch, 5, broken)
    loop = engine.Loop(workers=workers)
    with pytest.raises(ValueError, match="^5.jpg: .*; mend it, and the same command goes on$"):
        train(Tiny(), SPEC, DATA, tmp_path / "cut", seed=3, loop=loop)
    assert torch.load(tmp_path / "cut" / "state.pt", weights_only=True)["iteration"] == 5
    monkeypatch.setattr(engine, "train_batch", batches)
    train(Tiny(), SPEC, DATA, tmp_path / "cut", seed=3)
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


@pytest.mark.parametrize("edges", [(16,), (32, 64)])
def test_normalisation_over_one_cell_is_refused_with_what_to_do(tmp_path, edges):
    alone = {"recipe": {"batch": 1, "short_edge": edges}}
    with pytest.raises(ValueError, match="set recipe.batch=2 or more, a larger size, or"):
        train(Tiny(), SPEC.changed(alone), DATA, tmp_path, seed=3)
    for mended in ({"recipe": {"batch": 2}}, {"backbone": {"norm": "GN"}}):
        folder = tmp_path / next(iter(mended))
        train(Tiny(), SPEC.changed(alone).changed(mended), DATA, folder, seed=3)


@pytest.mark.parametrize("workers", [1, 4])
def test_threads_that_make_batches_ahead_change_no_bit(tmp_path, workers):
    train(Tiny(), SPEC, DATA, tmp_path / "none", seed=3)
    train(Tiny(), SPEC, DATA, tmp_path / "some", seed=3, loop=engine.Loop(workers=workers))
    assert files(tmp_path / "some") == files(tmp_path / "none")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_ends_after_the_step_saved_and_resumes_to_the_same(
    tmp_path, monkeypatch, number
):
    train(Tiny(), SPEC, DATA, tmp_path / "whole", seed=3)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    stop_at(monkeypatch, 4, lambda: os.kill(os.getpid(), number))
    with pytest.raises(KeyboardInterrupt):
        train(Tiny(), SPEC, DATA, tmp_path / "cut", seed=3)
    state = torch.load(tmp_path / "cut" / "state.pt", weights_only=True)
    assert state["iteration"] == 5
    assert handlers == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    train(Tiny(), SPEC, DATA, tmp_path / "cut", seed=3)
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_a_second_stop_signal_stops_at_once(tmp_path, monkeypatch):
    stop_at(monkeypatch, 4, lambda: [os.kill(os.getpid(), signal.SIGINT) for _ in range(2)])
    with pytest.raises(KeyboardInterrupt):
        train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    assert not (tmp_path / "state.pt").exists()


def test_a_training_in_a_thread_leaves_signals_alone(tmp_path):
    thread = threading.Thread(target=train, args=(Tiny(), SPEC, DATA, tmp_path), kwargs={"seed": 3})
    thread.start()
    thread.join()
    assert engine.finished(tmp_path, engine.training_id(SPEC, DATA.fingerprint, 3))


def test_whoever_waits_for_another_training_in_the_folder_is_told(tmp_path, capsys):
    held = threading.Event()

    def hold():
        with FileLock(tmp_path / ".lock"):
            held.set()
            time.sleep(0.2)

    threading.Thread(target=hold).start()
    held.wait()
    train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    [told] = capsys.readouterr().err.splitlines()
    assert told == f"{tmp_path}: another process trains into it; waiting for its end"


def test_equal_seeds_give_equal_files_and_other_seeds_do_not(tmp_path):
    for name, seed in {"a": 3, "b": 3, "c": 4}.items():
        train(Tiny(), SPEC, DATA, tmp_path / name, seed=seed)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert files(tmp_path / "a")[0] != files(tmp_path / "c")[0]


def test_a_finished_training_is_loaded_and_not_repeated(tmp_path, monkeypatch):
    trained = train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    monkeypatch.setattr(engine, "train_batch", None)
    again = train(Tiny(), SPEC, DATA, tmp_path, seed=3).state_dict()
    loaded, spec, classes = load(tmp_path)
    assert (spec, classes, loaded.training) == (SPEC, ["cat", "dog"], False)
    for name, value in trained.state_dict().items():
        assert torch.equal(value, again[name]) and torch.equal(value, loaded.state_dict()[name])


@pytest.mark.parametrize("name", ["state.pt", "model.safetensors"])
def test_a_folder_of_another_training_is_refused_and_kept(tmp_path, monkeypatch, name):
    stop_at(
        monkeypatch, 6 if name == "state.pt" else 99, lambda: os.kill(os.getpid(), signal.SIGINT)
    )
    with contextlib.suppress(KeyboardInterrupt):
        train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    before = (tmp_path / name).read_bytes()
    with pytest.raises(ValueError, match="another training: seed is 3 there and 4 here; nothing"):
        train(Tiny(), SPEC, DATA, tmp_path, seed=4)
    assert (tmp_path / name).read_bytes() == before


class Told:
    """AP at each quarter, from a list; the model's weights of that moment are kept beside."""

    def __init__(self, *values):
        self.values, self.seen = [*values], []

    def __call__(self, model):
        self.seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return self.values[len(self.seen) - 1]


def weights_of(folder):
    return load(folder)[0].state_dict()


@pytest.mark.parametrize(
    "values, best", [((1, 5, 2, 4), 2), ((7, 5, 2, 4), 1), ((math.nan, 0.5, 0.5, 0), 3)]
)
def test_the_best_weights_by_ap_are_a_model_beside_the_last_ones(tmp_path, values, best):
    train(Tiny(), SPEC, DATA, tmp_path / "plain", seed=3)
    told = Told(*values)
    train(Tiny(), SPEC, DATA, tmp_path / "out", seed=3, loop=engine.Loop(watch=Watch(told)))
    kept = weights_of(tmp_path / "out" / "best")
    assert all(torch.equal(value, kept[name]) for name, value in told.seen[best - 1].items())
    assert files(tmp_path / "out")[0] == files(tmp_path / "plain")[0]
    told = json.loads((tmp_path / "out" / "best" / "training.json").read_text())
    assert (told["iteration"], told["AP"]) == (best * 12 // 4, values[best - 1])
    assert load(tmp_path / "out" / "best")[1:] == load(tmp_path / "out")[1:]


@pytest.mark.parametrize("values", [(1, 2, 3, 4), (1, 5, 2, 5), (0, 0, 0, 0), [math.nan] * 4])
def test_where_the_last_weights_are_the_best_there_is_no_other_model(tmp_path, values):
    train(Tiny(), SPEC, DATA, tmp_path, seed=3, loop=engine.Loop(watch=Watch(Told(*values))))
    assert not (tmp_path / "best").exists() and (tmp_path / "model.safetensors").exists()


def test_a_full_disk_loses_neither_state_nor_best_and_the_same_training_goes_on(
    tmp_path, monkeypatch
):
    whole, values = Told(1, 5, 2, 4), (1, 5, 2, 4)
    train(Tiny(), SPEC, DATA, tmp_path / "whole", seed=3, loop=engine.Loop(watch=Watch(whole)))

    def full(*_):
        raise OSError(28, "No space left on device")

    class Full(Told):
        def __call__(self, model):
            if len(self.seen) == 1:  # the second best does not fit
                monkeypatch.setattr(folder, "write_atomic", full)
            return super().__call__(model)

    cut = engine.Loop(save_every=0, watch=Watch(Full(*values)))
    with pytest.raises(OSError, match="No space left"):
        train(Tiny(), SPEC, DATA, tmp_path / "cut", seed=3, loop=cut)
    monkeypatch.setattr(folder, "write_atomic", write_atomic)
    state = torch.load(tmp_path / "cut" / "state.pt", weights_only=True)
    kept = json.loads((tmp_path / "cut" / "best" / "training.json").read_text())
    assert state["iteration"] == 5 and kept["AP"] == 1
    again = engine.Loop(watch=Watch(Told(*values[1:])))
    train(Tiny(), SPEC, DATA, tmp_path / "cut", seed=3, loop=again)
    for place in ("", "best"):
        of_whole, of_cut = (weights_of(tmp_path / name / place) for name in ("whole", "cut"))
        assert all(torch.equal(value, of_cut[name]) for name, value in of_whole.items())


@pytest.mark.parametrize("save_every, saves", [(0, 12), (1e9, 0)])
def test_a_state_is_saved_as_often_as_asked(tmp_path, monkeypatch, save_every, saves):
    saved, save_state = [], folder.save_state
    monkeypatch.setattr(folder, "save_state", lambda *given: saved.append(save_state(*given)))
    train(Tiny(), SPEC, DATA, tmp_path, seed=3, loop=engine.Loop(save_every=save_every))
    assert len(saved) == saves


def test_a_change_of_test_settings_is_the_same_training(tmp_path, monkeypatch):
    train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    monkeypatch.setattr(engine, "train_batch", None)
    train(Tiny(), SPEC.changed({"test": {"fusion": "class"}}), DATA, tmp_path, seed=3)


def test_adamw_divides_a_gradient_by_its_size_and_gradient_descent_does_not():
    moved = {}
    for name in ("sgd", "adamw"):
        model = nn.Linear(2, 1, bias=False)
        step = descent.optimizer(model, Recipe(optimizer=name, batch=16, weight_decay=0.0))
        before = model.weight.detach().clone()
        model.weight.grad = torch.tensor([[1.0, 0.01]])
        step.step()
        moved[name] = (before - model.weight).flatten().tolist()
    assert moved["adamw"] == pytest.approx([0.02, 0.02], rel=1e-3)
    assert moved["sgd"] == pytest.approx([0.02, 0.0002], rel=1e-3)
