"""ResNeXt against torchvision's, and the maps, blocks and frozen stages of every trunk."""

import pytest
import torch
import torchvision
from detectron2.layers import FrozenBatchNorm2d
from torch import nn

from p2s.model.backbone_naming import DLA, RES2NET, renamed
from p2s.model.backbones import make_backbone
from p2s.model.deformable import DeformConv
from p2s.model.imagenet import load_imagenet
from p2s.spec import Backbone

TRUNKS = [("resnet", 50), ("resnext", 50), ("res2net", 50), ("dla", 34), ("dla", 18)]


def narrow(trunk, depth, **changes):
    fields = {"width": 16, "fpn_channels": 16, "norm": "BN", "frozen_stages": 0, **changes}
    return make_backbone(Backbone(trunk=trunk, depth=depth, **fields), (2, 6))


def test_a_resnext_with_torchvisions_weights_gives_its_maps(tmp_path):
    torch.manual_seed(0)
    peer = torchvision.models.resnext50_32x4d(weights=None).eval()
    for norm in [each for each in peer.modules() if isinstance(each, nn.BatchNorm2d)]:
        norm.running_mean.normal_(std=0.1)
        norm.running_var.uniform_(0.5, 2)
    torch.save(peer.state_dict(), tmp_path / "x.pth")
    trunk = {"kind": "resnext", "groups": 32, "group_width": 4}
    ours = make_backbone(Backbone(trunk=trunk, depth=50), (2, 6)).eval()
    load_imagenet(ours, tmp_path / "x.pth", Backbone())
    with torch.no_grad():
        x = torch.randn(1, 3, 64, 96)
        found, x = ours.bottom_up(x), peer.maxpool(peer.relu(peer.bn1(peer.conv1(x))))
        for name, layer in zip(
            found, (peer.layer1, peer.layer2, peer.layer3, peer.layer4), strict=True
        ):
            x = layer(x)
            torch.testing.assert_close(found[name], x, atol=1e-4, rtol=1e-4)


def others(state, rules):
    """Weights of a trunk as others' files have them."""
    return {renamed(name, rules): value for name, value in state.items()}


@pytest.mark.parametrize(
    ("trunk", "depth", "rules", "has"),
    [
        ("dla", 34, DLA, "level3.tree1.tree1.bn1.weight"),
        ("res2net", 50, RES2NET, "res2.0.convs.0.weight"),
    ],
)
def test_other_trunks_are_read_by_others_names(tmp_path, trunk, depth, rules, has):
    peer = narrow(trunk, depth).bottom_up
    for weight in peer.parameters():
        nn.init.uniform_(weight, 0.1, 0.2)
    state = others(peer.state_dict(), rules)
    idle = {"level3.project.0.weight": torch.zeros(1), "fc.weight": torch.zeros(1)}
    torch.save(state | (idle if trunk == "dla" else {}), tmp_path / "t.pth")
    ours = narrow(trunk, depth, deformable_stages=0 if trunk == "dla" else 1)
    load_imagenet(ours, tmp_path / "t.pth", Backbone(trunk=trunk, depth=depth))
    found = ours.bottom_up.state_dict()
    assert has in state
    assert all(torch.equal(found[name], value) for name, value in peer.state_dict().items())
    assert all(not found[name].any() for name in found.keys() - peer.state_dict().keys())


@pytest.mark.parametrize(("trunk", "depth"), TRUNKS)
def test_stages_have_the_promised_strides_and_channels(trunk, depth):
    made = narrow(trunk, depth).bottom_up
    shapes, maps = made.output_shape(), made(torch.randn(2, 3, 64, 128))
    assert [*maps] == [*shapes] == ["res2", "res3", "res4", "res5"]
    wide = 1 if trunk == "dla" else 4
    for stage, (name, found) in enumerate(maps.items()):
        stride, channels = 4 * 2**stage, 16 * wide * 2**stage
        assert (shapes[name].stride, shapes[name].channels) == (stride, channels)
        assert found.shape == (2, channels, 64 // stride, 128 // stride)


@pytest.mark.parametrize("trunk", ["resnet", "resnext", "res2net"])
def test_the_last_stages_are_deformable_and_no_others(trunk):
    made = narrow(trunk, 50, deformable_stages=2).bottom_up
    found = {
        name.split(".")[0] for name, each in made.named_modules() if isinstance(each, DeformConv)
    }
    assert found == {"res4", "res5"}


@pytest.mark.parametrize(("trunk", "depth"), TRUNKS)
@pytest.mark.parametrize("frozen", [0, 2, 5])
def test_so_many_stages_never_change(trunk, depth, frozen):
    made = narrow(trunk, depth, frozen_stages=frozen).bottom_up
    learns = {name for name, weight in made.named_parameters() if weight.requires_grad}
    stages = {name.split(".")[0].replace("level", "res") for name in learns}
    every = ["res2", "res3", "res4", "res5"]
    assert stages >= set(every[max(frozen - 1, 0) :])
    assert stages.isdisjoint({"stem", "base_layer", "res0", "res1"}) == (frozen > 0)
    assert stages.isdisjoint(every[: max(frozen - 1, 0)])
    still = [each for each in made.modules() if isinstance(each, FrozenBatchNorm2d)]
    assert bool(still) == (frozen > 0)
