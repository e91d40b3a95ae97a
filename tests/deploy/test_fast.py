"""The fast inference model answers as the plain one does; no test needs a compiler."""

import pytest
import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from torch import nn

from p2s.bench.nets import lively, picture
from p2s.deploy import fast, means
from p2s.deploy.matching import unmatched
from p2s.spec import NAMED, Spec

SMALL = {
    "backbone": {"depth": 18, "width": 16, "fpn_channels": 32},
    "second_stage": {"channels": 32},
}
ONE_LAYER = ("GA RPN", "Cascade RPN")


def plain(name, **backbone):
    deep = {} if name in ONE_LAYER else {"first_stage": {"layers": 2}}
    return lively(Spec.named(name).changed(SMALL).changed(deep | {"backbone": backbone}))


@pytest.mark.parametrize("norm", ["FrozenBN", "BN", "GN"])
@pytest.mark.parametrize("name", [name for name in NAMED if name != "CenterNet2"])
@torch.no_grad()
def test_the_eager_fast_model_finds_the_same(name, norm):
    model = plain(name, norm=norm, frozen_stages=0)
    quick = fast.optimize(model, compile=False)
    wanted, found = (each(picture((96, 128)))[0]["instances"] for each in (model, quick))
    assert len(wanted) >= 10 and unmatched(found, wanted) == (0, 0)
    assert set(found.get_fields()) == set(wanted.get_fields())


@torch.no_grad()
def test_the_given_model_is_left_alone():
    model = plain("CenterNet2")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fast.optimize(model, "bf16", compile=False)
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@torch.no_grad()
def test_folding_leaves_no_batch_normalisation_and_the_same_maps():
    backbone = plain("CenterNet2").backbone.double()
    for norm in [each for each in backbone.modules() if isinstance(each, FrozenBatchNorm2d)]:
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
    image = torch.randn(1, 3, 64, 96).double()
    wanted = backbone(image)
    found = fast.fold(backbone)(image)
    assert not any(isinstance(each, FrozenBatchNorm2d | Conv2d) for each in backbone.modules())
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_the_first_layer_of_a_region_head_is_a_convolution_with_the_same_answer():
    model = plain("CenterNet2")
    pooled = torch.randn(5, 32, 7, 7)
    wanted = [head(pooled) for head in model.roi_heads.box_head]
    means.as_convolutions(model)
    for head, expected in zip(model.roi_heads.box_head, wanted, strict=True):
        assert sum(isinstance(layer, nn.Conv2d) for layer in head) == 1
        assert head.fcs == []  # or the old weights would stay in memory
        torch.testing.assert_close(head(pooled), expected, rtol=1e-4, atol=1e-5)
    assert model.roi_heads.box_head[0](pooled[:0]).shape == (0, 32)


@torch.no_grad()
def test_bf16_is_near_and_answers_in_fp32():
    model = plain("CenterNet2")
    quick = fast.optimize(model, "bf16", compile=False)
    image = quick.preprocess_image(picture((96, 128))).tensor
    for name, wanted in model.backbone(image).items():
        found = quick.backbone(image)[name]
        assert found.dtype == torch.float32
        assert (found - wanted).norm() < 0.02 * wanted.norm()
    assert len(quick(picture((96, 128)))[0]["instances"]) > 0


def test_without_a_compiler_a_line_says_so_and_the_model_is_fast_all_the_same(monkeypatch, capsys):
    monkeypatch.setattr(means.shutil, "which", lambda name: None)
    quick = fast.optimize(plain("CenterNet2"))
    told = "no C++ compiler (g++ or clang++) here: the fast model runs without torch.compile"
    assert capsys.readouterr().err.splitlines() == [told]
    assert type(quick.backbone).__name__ == "FPN"


@pytest.mark.parametrize(
    ("precision", "told"),
    [
        ("fp64", "precision 'fp64' on a CPU; valid: auto, fp32, bf16, int8"),
        ("tf32", "precision 'tf32' on a CPU; valid: auto, fp32, bf16, int8"),
        ("int8", "needs calibration images"),
    ],
)
def test_what_cannot_be_is_told(precision, told):
    with pytest.raises(ValueError, match=told):
        fast.optimize(plain("CenterNet2"), precision, compile=False)
