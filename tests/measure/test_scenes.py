from types import SimpleNamespace

import pytest
import torch

from p2s.measure import scenes


def found(count):
    boxes = SimpleNamespace(tensor=torch.full((count, 4), 1.23456))
    rising = torch.linspace(0, 1, count)
    of_detections = {"pred_boxes": boxes, "scores": rising, "pred_classes": torch.arange(count)}
    probabilities = {"p_object": rising, "p_class": rising}
    proposals = SimpleNamespace(proposal_boxes=boxes, objectness_logits=torch.zeros(count))
    return [SimpleNamespace(**of_detections, **probabilities)], [proposals]


@pytest.mark.parametrize("count", [0, 1, 150])
def test_a_scene_keeps_the_100_likeliest_rounded(monkeypatch, count):
    monkeypatch.setattr(scenes, "test_inputs", lambda *_: None)
    same = lambda *_: None  # noqa: E731
    model = SimpleNamespace(eval=same, set_test=same, detect=lambda _: found(count))
    kept = scenes.scene(model, SimpleNamespace(images=[{"id": 7}]), 0, None)
    scores = [row[4] for row in kept["detections"]]
    assert kept["image_id"] == 7 and len(scores) == len(kept["proposals"]) == min(count, 100)
    assert scores == sorted(scores, reverse=True)
    assert all(row[:5] == [1.2, 1.2, 1.2, 1.2, 0.5] for row in kept["proposals"])
