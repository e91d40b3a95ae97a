"""EfficientNet-Lite0: timm's own net as the oracle, files in its order, statistics that stay."""

import importlib.util

import pytest
import torch
from torch import nn

from p2s.deploy.fast import fold
from p2s.deploy.onnx_export import OnnxDetector, export
from p2s.model.backbones import make_backbone
from p2s.model.imagenet import load_imagenet
from p2s.model.trunks.lite0 import still
from p2s.spec import Backbone, Spec
from p2s.spec.released import LITE0
from p2s.spec.sanity import refuse_absurd, refuse_fixed_statistics
from p2s.train.folder import load
from tests.support.commands import p2s
from tests.support.released import lite0_as_published
from tests.support.tiny import CLASSES, lively_folder, scene

timm = pytest.importorskip("timm")
SCRATCH = {"norm": "BN", "frozen_stages": 0}
SMALL = {"depth": 50, "width": 64, "trunk": "lite0"}


def lite0(**changes):
    return Backbone(**{"trunk": "lite0", "fpn_channels": 16, **LITE0, **changes})


@pytest.fixture(scope="module")
def peer():
    """timm's whole net with statistics that are not the identity."""
    torch.manual_seed(0)
    net = timm.create_model("tf_efficientnet_lite0").eval()
    for norm in [each for each in net.modules() if isinstance(each, nn.BatchNorm2d)]:
        norm.running_mean.normal_(std=0.1)
        norm.running_var.uniform_(0.5, 2)
    return net


@pytest.fixture(scope="module")
def state(peer):
    """Its weights as the published file has them."""
    return lite0_as_published(peer)


@pytest.mark.parametrize("norm", ["FrozenBN", "BN"])
@torch.no_grad()
def test_a_file_in_its_order_gives_timms_maps(peer, state, tmp_path, norm):
    torch.save(state, tmp_path / "l.pth")
    ours = make_backbone(lite0(norm=norm), (2, 6)).eval()
    load_imagenet(ours, tmp_path / "l.pth", lite0(norm=norm))
    images = torch.randn(2, 3, 64, 96)
    found = ours.bottom_up(images)
    kept = ["blocks.1", "blocks.2", "blocks.4", "blocks.6"]
    x, theirs = peer.bn1(peer.conv_stem(images)), {}
    for name, layer in peer.blocks.named_children():
        theirs[f"blocks.{name}"] = x = layer(x)
    for (name, values), key in zip(found.items(), kept, strict=True):
        assert values.std() > 0.01, name
        torch.testing.assert_close(values, theirs[key], atol=1e-4, rtol=1e-5)


def swapped(state):
    """The file with two layers in each other's place."""
    names = [*state]
    names[0], names[1] = names[1], names[0]
    return {name: state[name] for name in names}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (swapped, "2 of another shape .first: net.conv_stem.weight is .32,., not .32, 3, 3, 3."),
        (lambda state: dict([*state.items()][6:]), "of another shape|missing"),
        (lambda state: state | {"_more.weight": torch.zeros(1)}, "unknown .first: _more.weight"),
        (
            lambda state: state | {"_conv_stem.weight": torch.zeros(32, 3, 5, 5)},
            "net.conv_stem.weight is .32, 3, 5, 5., not .32, 3, 3, 3.",
        ),
    ],
)
def test_a_file_of_other_layers_is_refused(state, tmp_path, change, told):
    torch.save(change(state), tmp_path / "l.pth")
    with pytest.raises(ValueError, match=f"l.pth does not fit this EfficientNet-Lite0: .*({told})"):
        load_imagenet(make_backbone(lite0(), (3, 7)), tmp_path / "l.pth", lite0())


def test_a_file_is_refused_where_images_come_otherwise(state, tmp_path):
    torch.save(state, tmp_path / "l.pth")
    plain = Backbone(trunk="lite0")
    told = "l.pth is an EfficientNet-Lite0; valid: .*RGB.*127.*128"
    with pytest.raises(ValueError, match=told):
        load_imagenet(make_backbone(plain, (3, 7)), tmp_path / "l.pth", plain)


@torch.no_grad()
def test_freezing_keeps_outputs_and_activations(peer):
    net = timm.create_model("tf_efficientnet_lite0").eval()
    net.load_state_dict(peer.state_dict())
    images = torch.randn(1, 3, 64, 64)
    before, frozen = net(images), still(net)
    assert not [each for each in frozen.modules() if isinstance(each, nn.BatchNorm2d)]
    torch.testing.assert_close(frozen(images), before, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(frozen.train()(images), before, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("norm", ["FrozenBN", "BN"])
@torch.no_grad()
def test_a_fast_trunk_has_no_normalisation_and_the_same_maps(state, tmp_path, norm):
    torch.save(state, tmp_path / "l.pth")
    maps = make_backbone(lite0(norm=norm), (3, 7)).eval()
    load_imagenet(maps, tmp_path / "l.pth", lite0(norm=norm))
    image = torch.randn(1, 3, 64, 96)
    wanted = maps(image)
    found = fold(maps)(image)
    assert not [name for name, _ in maps.named_buffers()]
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], atol=1e-4, rtol=1e-4)


def test_stages_have_the_promised_strides_and_channels():
    made = make_backbone(lite0(**SCRATCH), (2, 6)).bottom_up
    shapes, maps = made.output_shape(), made(torch.randn(2, 3, 64, 128))
    assert [*maps] == [*shapes] == ["res2", "res3", "res4", "res5"]
    for (name, found), channels in zip(maps.items(), (24, 40, 112, 320), strict=True):
        stride = shapes[name].stride
        assert shapes[name].channels == channels and stride == 2 ** int(name[3])
        assert found.shape == (2, channels, 64 // stride, 128 // stride)


@pytest.mark.parametrize("norm", ["FrozenBN", "BN"])
@pytest.mark.parametrize("frozen", [0, 2, 5])
def test_so_many_stages_never_change(norm, frozen):
    made = make_backbone(lite0(norm=norm, frozen_stages=frozen), (2, 6)).bottom_up
    stages = [("net.conv_stem", "net.bn1", "net.blocks.0"), ("net.blocks.1",), ("net.blocks.2",)]
    stages += [("net.blocks.3", "net.blocks.4"), ("net.blocks.5", "net.blocks.6")]
    for number, names in enumerate(stages):
        parts = [made.get_submodule(name) for name in names]
        learns = [weight.requires_grad for part in parts for weight in part.parameters()]
        assert learns and learns == [number >= frozen] * len(learns), names
        moving = any(isinstance(m, nn.BatchNorm2d) for part in parts for m in part.modules())
        assert moving == (norm == "BN" and number >= frozen), names


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"depth": 18}, "backbone.depth 18 with trunk lite0; valid: 50 "),
        ({"width": 32}, "backbone.width 32 with trunk lite0; valid: 64 "),
        ({"norm": "GN"}, "backbone.norm GN with trunk lite0; valid: FrozenBN, BN "),
        ({"stride_in": "1x1"}, "stride_in 1x1 does nothing with trunk lite0; valid: resnet"),
        ({"deformable_stages": 1}, "deformable_stages 1 with a EfficientNet-Lite0; valid: 0, or"),
        ({"neck": "dla_up"}, "backbone.neck dla_up with trunk lite0; valid: trunk dla, or"),
    ],
)
def test_what_it_does_not_have_is_told_in_a_line(changes, told):
    with pytest.raises(ValueError, match=told):
        lite0(**changes)


def test_trainings_that_cannot_be_are_refused():
    spec = Spec.named("CenterNet2").changed({"backbone": {"trunk": "lite0", "frozen_stages": 0}})
    with pytest.raises(ValueError, match="FrozenBN of a EfficientNet-Lite0 .* backbone.norm to BN"):
        refuse_fixed_statistics(spec)
    scratch = spec.changed({"backbone": SCRATCH})
    refuse_absurd(scratch, 1)
    with pytest.raises(ValueError, match="BN of a EfficientNet-Lite0 in 2 processes.*FrozenBN"):
        refuse_absurd(scratch, 2)


def test_without_timm_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="trunk lite0 needs timm: pip install timm"):
        make_backbone(lite0(), (3, 7))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model's folder, of a detector that answers to what it sees."""
    made = tmp_path_factory.mktemp("lite0") / "model"
    changes = {"backbone": SMALL | SCRATCH, "first_stage": {"layers": 1}}
    return lively_folder(made, "CenterNet*", changes)


def test_a_folder_tells_what_it_holds(folder):
    done = p2s("info", folder)
    assert done.exit_code == 0, done.output
    assert "trunk lite0" in done.output and ", ".join(CLASSES) in done.output


def test_a_folder_is_loaded_and_trained_on(folder):
    model, _, classes = load(folder)
    assert list(classes) == CLASSES
    losses = model.train()([scene(0), scene(1)])
    sum(losses.values()).backward()
    stem = model.backbone.bottom_up.net.conv_stem.weight.grad
    assert stem.isfinite().all() and stem.any()


@torch.no_grad()
def test_onnxruntime_detects_as_the_detector_does(folder, tmp_path):
    model = load(folder)[0].eval()
    export(model, tmp_path / "m.onnx", (64, 96))
    inputs = {"image": scene(2)["image"][:, :64].to(torch.uint8), "height": 64, "width": 96}
    ours = model([inputs])[0]["instances"]
    theirs = OnnxDetector(tmp_path / "m.onnx", threads=1)([inputs])[0]["instances"]
    assert len(ours) == len(theirs) > 3
    found, wanted = (each.scores.sort(descending=True).values for each in (theirs, ours))
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=0)
