"""Memory: the estimate is from below, and what no machine has is refused before it is asked for."""

import time

import psutil
import pytest
import torch

from p2s.data.loader import augment
from p2s.model.zoo import build
from p2s.spec import NAMED, Glyphs, Spec, memory

SMALL = {"backbone": {"depth": 18, "width": 16, "norm": "BN", "fpn_channels": 32}}
VAST = [  # changes, the expected part of the line
    ({"backbone": {"width": 10**6}}, "backbone.width 1000000: needs .* GB of memory or more"),
    ({"backbone": {"width": 10**15}}, "backbone.width 1000000000000000: needs"),
    ({"backbone": {"fpn_channels": 10**6}}, "backbone.fpn_channels 1000000: needs"),
    ({"second_stage": {"channels": 10**7}}, "second_stage.channels 10000000: needs"),
    ({"num_classes": 10**9}, "num_classes 1000000000: needs"),
    ({"recipe": {"batch": 10**9}}, "recipe.batch 1000000000 of 800 pixels squared: needs"),
    ({"recipe": {"short_edge": [10**9], "long_edge": 10**9}}, "recipe.short_edge 1000000000"),
    ({"test": {"short_edge": 10**9, "long_edge": 10**9}}, "test.short_edge 1000000000: needs"),
    ({"data": Glyphs(size=10**9)}, "data.size 1000000000: needs"),
    ({"data": Glyphs(train=10**12)}, "data.train 1000000000000: needs"),
    (
        {"backbone": {"trunk": {"kind": "resnext", "groups": 10**6, "group_width": 10**6}}},
        "backbone.trunk.groups 1000000 of group_width 1000000: needs",
    ),
    (
        {"backbone": {"trunk": {"kind": "res2net", "scales": 10**6, "scale_width": 10**6}}},
        "backbone.trunk.scales 1000000 of scale_width 1000000: needs",
    ),
    ({"backbone": {"neck": {"kind": "bifpn", "layers": 10**9}}}, "neck.layers 1000000000: needs"),
    ({"data": Glyphs(objects=1e300)}, "data.objects 1e.300: needs"),
    ({"data": Glyphs(fragments=1e300)}, "data.fragments 1e.300: needs"),
    ({"data": Glyphs(classes=10**12)}, "data.classes 1000000000000: needs"),
]


@pytest.mark.parametrize("changes", [{}, SMALL, {"num_classes": 1203}])
@pytest.mark.parametrize("name", NAMED)
def test_the_estimate_is_from_below_and_not_far_off(name, changes):
    spec = Spec.named(name).changed(changes)
    with torch.device("meta"):
        count = sum(weight.numel() for weight in build(spec).parameters())
    assert 0.25 * count < sum(memory._weights(spec).values()) <= count


@pytest.mark.parametrize(("changes", "told"), VAST)
def test_what_no_machine_has_is_refused_at_once(changes, told):
    begun = time.monotonic()
    with pytest.raises(ValueError, match=told):
        memory.require_training(Spec.named("CenterNet2").changed(changes), 1)
    assert time.monotonic() - begun < 1


def test_a_model_is_not_built_where_its_weights_have_no_place(monkeypatch):
    monkeypatch.setattr(memory, "_here", lambda: 2**20)
    with pytest.raises(ValueError, match="this machine has 0.000977 .valid: less"):
        build(Spec.named("CenterNet2"))


def test_several_processes_share_a_batch():
    spec = Spec.named("CenterNet2").changed({"recipe": {"batch": 10**5}})
    with pytest.raises(ValueError, match="recipe.batch"):
        memory.require_training(spec, 1)
    memory.require_training(spec, 10**4)


def test_no_picture_is_enlarged_beyond_the_memory():
    sample = {"image": torch.zeros(8, 8, 3, dtype=torch.uint8).numpy(), "boxes": None}
    with pytest.raises(ValueError, match="short_edge 10000000, 10000000 x 10000000 pixels: needs"):
        augment(sample, 10**7, 10**7, flip=False)


@pytest.mark.parametrize("name", NAMED)
def test_the_papers_detectors_have_their_place(name):
    memory.require_training(Spec.named(name), 1)


@pytest.mark.parametrize("told, limit", [(str(2**20), 2**20), ("max", None), ("", None)])
def test_a_containers_limit_counts_where_there_is_one(tmp_path, monkeypatch, told, limit):
    (tmp_path / "memory.max").write_text(f"{told}\n")
    given = (f"{tmp_path}/memory.max", f"{tmp_path}/none")
    monkeypatch.setattr(memory, "CONTAINER", given)
    assert memory._here.__wrapped__() == (limit or psutil.virtual_memory().total)
