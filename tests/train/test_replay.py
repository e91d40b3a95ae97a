"""Steps whose numbers are not finite: told in full, kept in a file, and replayed from it."""

import pytest
import torch

from p2s.model.device import place
from p2s.model.zoo import build
from p2s.spec import Spec
from p2s.train import engine, replay
from p2s.train.engine import NonFiniteLoss, train
from tests.support import tiny_training
from tests.support.tiny import TINY, scene, tiny
from tests.support.tiny_training import DATA, SPEC, Tiny, batches


@pytest.fixture(autouse=True)
def stubs(monkeypatch):
    tiny_training.install(monkeypatch)


def test_a_file_that_holds_no_step_cannot_be_replayed(tmp_path):
    torch.save({"spec": "{}", "seed": 3}, tmp_path / "state.pt")
    with pytest.raises(ValueError, match="state.pt: .*: images, truths, model, .* missing"):
        replay.replay(tmp_path / "state.pt")
    with pytest.raises(ValueError, match="photo.jpg: unknown format; valid: .pkl, .pt, .pth"):
        replay.replay(tmp_path / "photo.jpg")


def spoil(batch, value):
    for one in batch:
        one["image"][0, 4, 4] = value
    return batch


@pytest.mark.parametrize("first", [10, 2**63 - 2, -(2**63)])
def test_a_loss_that_is_not_finite_tells_all_keeps_the_state_and_replays(
    tmp_path, monkeypatch, first
):
    def batch(data, recipe, seed, at, part):
        made = spoil(batches(data, recipe, seed, at), torch.inf if at == 7 else 0)
        return [one | {"image_id": first + k} for k, one in enumerate(made)]

    monkeypatch.setattr(engine, "train_batch", batch)
    with pytest.raises(NonFiniteLoss) as told:
        train(Tiny(), SPEC, DATA, tmp_path, seed=3, loop=engine.Loop(save_every=0))
    images = f"images {first}, {first + 1}"
    for words in ("iteration 7", "fit", "p3, p4", images, "rate 0.0125", "p2s replay"):
        assert words in str(told.value)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["iteration"] == 7
    again = replay.replay(tmp_path / "nonfinite-7.pt")
    assert again["broken"] == ["fit"] and "p3, p4" in again["origin"]
    assert (again["iteration"], again["image_ids"]) == (7, [first, first + 1])


def test_a_gradient_that_is_not_finite_never_reaches_the_weights(tmp_path):
    model = Tiny()
    model.head.weight.register_hook(lambda grad: grad * torch.nan)
    before = model.conv.weight.clone()
    with pytest.raises(NonFiniteLoss, match="gradient of head.weight.*all levels are finite"):
        train(model, SPEC, DATA, tmp_path, seed=3)
    assert torch.equal(model.conv.weight, before)


def test_the_origin_is_a_head_when_all_features_are_finite():
    model, batch = Tiny(), batches(DATA, SPEC.recipe, 3, 2)
    model.head.weight.data[0, 0] = torch.inf
    assert replay.gradients(model, batch, 3, 2)[1] == ["fit", "size"]
    assert replay.origin(model, batch) == "logits of p5 are not finite"


def test_a_head_that_refuses_its_own_numbers_is_told_the_same_way(tmp_path, monkeypatch):
    def refuse(self, batch):
        raise FloatingPointError("predicted boxes contain Inf/NaN")

    monkeypatch.setattr(Tiny, "forward", refuse)
    with pytest.raises(NonFiniteLoss, match="iteration 0: .*boxes contain Inf"):
        train(Tiny(), SPEC, DATA, tmp_path, seed=3)


def test_a_replay_gives_the_losses_of_the_step(tmp_path):
    model, batch = Tiny(), batches(DATA, SPEC.recipe, 3, 2)
    path = tmp_path / "step.pt"
    replay.keep_step(path, model, SPEC, batch, seed=3, iteration=2, rate=0.1)
    losses, broken = replay.gradients(model, batch, 3, 2)
    assert replay.replay(path)["losses"] == losses and broken == []


def test_a_replay_has_the_precision_of_the_step_where_it_has_its_device(tmp_path, monkeypatch):
    spec = Spec.named("CenterNet*").changed(TINY)
    monkeypatch.setattr(replay, "build", build)
    given = {"seed": 3, "iteration": 2, "rate": 0.1}
    told = {}
    for precision in ("fp32", "bf16"):
        model = place(tiny("CenterNet*"), torch.device("cpu"), precision)
        replay.keep_step(tmp_path / "step.pt", model, spec, [scene(0)], **given)
        told[precision] = replay.replay(tmp_path / "step.pt")
        assert told[precision]["losses"] == replay.gradients(model, [scene(0)], 3, 2)[0]
        assert (told[precision]["device"], told[precision]["precision"]) == ("cpu", precision)
    assert told["fp32"]["losses"] != told["bf16"]["losses"]
    kept = torch.load(tmp_path / "step.pt", weights_only=True)
    torch.save(kept | {"device": "cuda", "precision": "tf32"}, tmp_path / "step.pt")
    elsewhere = replay.replay(tmp_path / "step.pt")  # without a GPU
    assert elsewhere["losses"] == told["fp32"]["losses"] or elsewhere["device"] == "cuda"
