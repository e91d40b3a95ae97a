"""Every detector the paper names builds, trains, and detects."""

import pytest
import torch

from p2s.model.zoo import build
from p2s.spec import NAMED, Spec
from tests.support.tiny import TINY, scene, tiny

FIELDS = {"pred_boxes", "scores", "pred_classes", "p_object", "p_class", "level"}


@pytest.mark.parametrize("name", NAMED)
def test_every_named_detector_trains_also_without_truths_and_detects(name):
    model = tiny(name)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    for batch in ([scene(0), scene(1)], [scene(2), scene(3, boxes=())]):
        losses = model(batch)
        assert all(loss.isfinite() for loss in losses.values()), losses
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
    with torch.no_grad():
        found = model.eval()([scene(4)])[0]["instances"]
    assert set(found.get_fields()) >= FIELDS
    assert found.image_size == (192, 96)
    assert len(found) > 0


@pytest.mark.parametrize("name", NAMED)
@torch.no_grad()
def test_a_batch_is_detected_like_its_images_alone(name):
    model = tiny(name).eval()
    together = model([scene(0), scene(1)])
    for one, alone in zip(together, [model([scene(0)])[0], model([scene(1)])[0]], strict=True):
        one, alone = one["instances"], alone["instances"]
        torch.testing.assert_close(one.scores, alone.scores, rtol=0, atol=1e-4)
        gap = one.pred_boxes.tensor[:, None] - alone.pred_boxes.tensor  # equal scores may swap
        nearest = gap.abs().amax(2).amin(0), gap.abs().amax(2).amin(1)
        assert torch.cat(nearest).max() < 1e-2


def test_a_seed_decides_every_weight():
    first, second = tiny("CenterNet2").state_dict(), tiny("CenterNet2").state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_imagenet_weights_replace_the_trunks(tmp_path):
    trunk = tiny("CenterNet2").backbone.bottom_up.state_dict()
    torch.save(trunk, tmp_path / "trunk.pth")
    spec = Spec.named("CenterNet2").changed(TINY)
    other = build(spec.changed({"backbone": {"weights": tmp_path / "trunk.pth"}}))
    loaded = other.backbone.bottom_up.state_dict()
    assert all(torch.equal(loaded[name], trunk[name]) for name in trunk)


def test_the_levels_of_a_spec_reach_every_stage_finest_first():
    for name, first, second in (
        ("FasterRCNN-RPN", "23456", "2345"),
        ("CenterNet2", *["34567"] * 2),
    ):
        model = tiny(name)
        assert list(model.proposal_generator.in_features) == [f"p{k}" for k in first]
        assert list(model.roi_heads.box_in_features) == [f"p{k}" for k in second]


def test_every_gradient_reaches_a_weight():
    model = tiny("CenterNet2")
    sum(model([scene(0), scene(1)]).values()).backward()
    assert [name for name, each in model.named_parameters() if each.grad is None] == []


def test_maps_are_channels_last_as_the_weights_are():
    model = tiny("CenterNet2")
    features = model.backbone(model.preprocess_image([scene(0)]).tensor)
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in features.values())


@pytest.mark.parametrize("name", ["CenterNet*", "CenterNet2", "FasterRCNN-RPN"])
@torch.no_grad()
def test_new_test_settings_change_detections_and_no_weight(name):
    model = tiny(name).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    old = Spec.named(name).changed(TINY).test
    model.set_test(old.model_copy(update={"detections": 3}))
    assert len(model([scene(0)])[0]["instances"]) == 3
    model.set_test(old)
    assert len(model([scene(0)])[0]["instances"]) > 3
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
