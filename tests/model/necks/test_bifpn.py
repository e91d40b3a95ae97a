"""BiFPN by brute force: every map written out as a sum of those that the paper's figure shows."""

import pytest
import torch
from torch.nn.functional import interpolate, max_pool2d, silu

from p2s.model.backbones import make_backbone
from p2s.model.necks.bifpn import EPSILON, FORMS, Fusion, Layer
from p2s.spec import Backbone

LEVELS = [torch.randn(1, 8, 16 // 2**k, 24 // 2**k, generator=torch.Generator()) for k in range(3)]


def fused(fusion, *maps):
    weights = fusion.weights.clamp(min=0)
    total = weights.sum() + EPSILON
    mixed = sum(w / total * x for w, x in zip(weights, maps, strict=True))
    return fusion.conv(silu(mixed))


@torch.no_grad()
def test_a_layer_goes_down_and_up_and_keeps_what_was():
    torch.manual_seed(0)
    layer = Layer([8, 8, 8], 8, FORMS["efficientdet"])
    for fusion in (*layer.down, *layer.up):
        fusion.weights.uniform_(0, 2)
    p3, p4, p5 = LEVELS
    middle = fused(layer.down[1], p4, interpolate(p5, scale_factor=2.0))
    out3 = fused(layer.down[0], p3, interpolate(middle, scale_factor=2.0))
    out4 = fused(layer.up[0], p4, middle, max_pool2d(out3, 2))
    out5 = fused(layer.up[1], p5, max_pool2d(out4, 2))
    for found, wanted in zip(layer(LEVELS), (out3, out4, out5), strict=True):
        torch.testing.assert_close(found, wanted)


@torch.no_grad()
def test_a_fusion_of_equal_maps_is_that_map_and_no_weight_is_negative():
    fusion = Fusion(3, 8)
    fusion.weights.copy_(torch.tensor([0.3, 2.0, -5.0]))
    same, other = LEVELS[0], torch.full_like(LEVELS[0], 1e6)
    found, wanted = fusion([same, same, other]), fusion.conv(silu(same))
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("form", ["efficientdet", "fcos"])
@pytest.mark.parametrize("levels", [(3, 5), (3, 7)])
def test_levels_have_the_promised_names_strides_and_channels(levels, form):
    neck = {"kind": "bifpn", "layers": 2, "form": form}
    backbone = Backbone(trunk="dla", depth=18, width=8, norm="GN", fpn_channels=16, neck=neck)
    made = make_backbone(backbone, levels)
    maps, shapes = made(torch.randn(1, 3, 128, 256)), made.output_shape()
    assert [*maps] == [*shapes] == [f"p{k}" for k in range(levels[0], levels[1] + 1)]
    for name, found in maps.items():
        stride = shapes[name].stride
        assert stride == 2 ** int(name[1:])
        assert found.shape == (1, 16, 128 // stride, 256 // stride)
