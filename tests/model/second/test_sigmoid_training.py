"""Trainings with a federated loss: resumed, replayed and detecting."""

import contextlib

import pytest
import torch

from p2s.data import coco, glyphs
from p2s.data.loader import train_batch
from p2s.maths import federated
from p2s.measure import fusion
from p2s.model.zoo import build
from p2s.spec import Spec
from p2s.train import engine, replay


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """The Spec and data of a training of a few steps."""
    spec = Spec.named("CenterNet2").changed(
        {
            "num_classes": 6,
            "backbone": {"depth": 18, "width": 16, "fpn_channels": 16, "frozen_stages": 0},
            "first_stage": {"layers": 1, "proposals": 50},
            "second_stage": {"regions": 16, "channels": 16, "cls_loss": "federated"},
            "recipe": {"iterations": 4, "batch": 2, "warmup": 2, "short_edge": (64,)},
            "test": {"score_threshold": 0.0, "short_edge": 64, "proposal_nms": 1.0, "nms": 1.0},
            "data": {"kind": "glyphs", "train": 6, "val": 1, "size": 64, "classes": 6},
        }
    )
    spec = spec.changed({"second_stage": {"federated_classes": 3}, "backbone": {"norm": "BN"}})
    files = glyphs.prepare(spec.data, tmp_path_factory.mktemp("glyphs"))
    return spec, coco.read_coco(files.train, files.images), coco.read_coco(files.val, files.images)


def model_of(spec):
    torch.manual_seed(0)
    return build(spec)


def test_a_training_stopped_and_resumed_draws_the_same_sets(training, tmp_path, monkeypatch):
    spec, data, _ = training
    engine.train(model_of(spec), spec, data, tmp_path / "whole", seed=2)

    def batch(*where):
        if where[3] == 2:
            raise KeyboardInterrupt
        return train_batch(*where)

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(engine, "train_batch", batch)
        engine.train(
            model_of(spec), spec, data, tmp_path / "cut", seed=2, loop=engine.Loop(save_every=0)
        )
    assert (tmp_path / "cut" / "state.pt").exists()
    engine.train(model_of(spec), spec, data, tmp_path / "cut", seed=2)
    for name in ("model.safetensors", "curve.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    found, wanted = engine.load(tmp_path / "cut")[0].roi_heads, federated.frequencies(data)
    assert torch.equal(found.image_counts, wanted.image_counts) and found.images == wanted.images


def test_a_replayed_step_draws_the_same_sets(training, tmp_path):
    spec, data, _ = training
    model, batch = model_of(spec), train_batch(data, spec.recipe, 2, 0)
    model.roi_heads.set_frequencies(federated.frequencies(data))
    replay.keep_step(tmp_path / "step.pt", model, spec, batch, seed=2, iteration=1, rate=0.1)
    wanted, _ = replay.gradients(model, batch, 2, 1)
    assert replay.replay(tmp_path / "step.pt")["losses"] == wanted
    assert replay.gradients(model, batch, 2, 2)[0] != wanted


@torch.inference_mode()
def test_detections_follow_from_what_both_stages_say(training):
    spec, _, data = training
    model = model_of(spec).eval()
    [seen] = fusion.observe(model, data, spec.test)
    found = fusion.detections(seen, (1, 1), spec.test)
    [(detected,)] = model.detect([fusion.test_inputs(data, 0, spec.test)])[:1]
    assert len(found) > 20
    torch.testing.assert_close(found.scores, detected.scores)
    torch.testing.assert_close(detected.scores, detected.p_class * detected.p_object)
