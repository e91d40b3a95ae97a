"""Trunks and pyramids against torchvision's ResNets, and the maps they promise."""

import pickle
from functools import reduce

import numpy as np
import pytest
import torch
import torchvision
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import get_cfg
from detectron2.layers import FrozenBatchNorm2d, ShapeSpec
from detectron2.modeling import build_resnet_backbone
from safetensors.torch import save_file
from torch import nn

from p2s.model.backbones import make_backbone
from p2s.model.imagenet import load_imagenet
from p2s.spec import Backbone
from p2s.spec.released import MSRA


def narrow(**changes):
    fields = {"depth": 18, "width": 16, "fpn_channels": 16, "norm": "BN", "frozen_stages": 0}
    return Backbone(**{**fields, **changes})


def torchvision_resnet(depth):
    """A random ResNet whose batch statistics are not the identity."""
    torch.manual_seed(depth)
    model = torchvision.models.get_model(f"resnet{depth}", weights=None).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    return model


def torchvision_maps(model, images):
    x = model.maxpool(model.relu(model.bn1(model.conv1(images))))
    maps = [x := layer(x) for layer in (model.layer1, model.layer2, model.layer3, model.layer4)]
    return dict(zip(("res2", "res3", "res4", "res5"), maps, strict=True))


def relabelled(state):
    """The names that detectron2's conversion script gives to torchvision's weights."""
    renamed = {}
    for name, value in state.items():
        name = name if "layer" in name else f"stem.{name}"
        for stage in (1, 2, 3, 4):
            name = name.replace(f"layer{stage}", f"res{stage + 1}")
        for conv in (1, 2, 3):
            name = name.replace(f"bn{conv}", f"conv{conv}.norm")
        name = name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")
        renamed[name] = value.numpy()
    return {"model": renamed, "__author__": "torchvision", "matching_heuristics": True}


def write(state, path):
    if path.suffix == ".pkl":
        path.write_bytes(pickle.dumps(relabelled(state)))
    elif path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize(
    ("depth", "suffix", "norm"),
    [
        (18, "pth", "BN"),
        (18, "pkl", "FrozenBN"),
        (18, "safetensors", "FrozenBN"),
        (50, "pth", "FrozenBN"),
        (50, "pkl", "BN"),
    ],
)
def test_a_trunk_with_torchvisions_weights_gives_its_maps(tmp_path, depth, suffix, norm):
    peer = torchvision_resnet(depth)
    fpn = make_backbone(Backbone(depth=depth, norm=norm), (2, 6)).eval()
    load_imagenet(fpn, write(peer.state_dict(), tmp_path / f"weights.{suffix}"), Backbone())
    with torch.no_grad():
        images = torch.randn(2, 3, 64, 96)
        ours, theirs = fpn.bottom_up(images), torchvision_maps(peer, images)
    for name, expected in theirs.items():
        torch.testing.assert_close(ours[name], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
@pytest.mark.parametrize("levels", [(2, 6), (3, 7)])
def test_maps_have_the_promised_names_strides_and_channels(depth, levels):
    fpn = make_backbone(narrow(depth=depth), levels).eval()
    shapes = fpn.output_shape()
    with torch.no_grad():
        maps = fpn(torch.randn(1, 3, 128, 256))
    assert list(maps) == list(shapes) == [f"p{i}" for i in range(levels[0], levels[1] + 1)]
    for name, shape in shapes.items():
        assert shape.stride == 2 ** int(name[1])
        assert maps[name].shape == (1, 16, 128 // shape.stride, 256 // shape.stride)


def test_p6_of_p2_to_p6_is_p5_subsampled():
    with torch.no_grad():
        maps = make_backbone(narrow(), (2, 6)).eval()(torch.randn(1, 3, 128, 256))
    assert torch.equal(maps["p6"], maps["p5"][..., ::2, ::2])


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_a_full_width_trunk_has_torchvisions_parameters(depth):
    with torch.device("meta"):
        ours = make_backbone(Backbone(depth=depth, norm="BN", frozen_stages=0), (3, 7)).bottom_up
        peer = torchvision.models.get_model(f"resnet{depth}", weights=None)
    shapes = [sorted(tuple(p.shape) for p in model.parameters()) for model in (ours, peer)]
    classifier = sorted(tuple(p.shape) for p in peer.fc.parameters())
    assert sorted(shapes[0] + classifier) == shapes[1]


@pytest.mark.parametrize(
    ("norm", "kind"),
    [("FrozenBN", FrozenBatchNorm2d), ("BN", nn.BatchNorm2d), ("GN", nn.GroupNorm)],
)
def test_every_convolution_of_the_trunk_has_the_chosen_norm(norm, kind):
    trunk = make_backbone(narrow(norm=norm), (3, 7)).bottom_up
    convolutions = [m for m in trunk.modules() if isinstance(m, nn.Conv2d)]
    assert all(isinstance(conv.norm, kind) for conv in convolutions)


@pytest.mark.parametrize("norm", ["BN", "GN"])
@pytest.mark.parametrize("frozen", [0, 1, 3, 5])
def test_frozen_stages_get_no_gradient_and_the_others_do(norm, frozen):
    trunk = make_backbone(narrow(norm=norm, frozen_stages=frozen), (3, 7)).bottom_up
    stages = [trunk.stem, *trunk.stages]
    trainable = [any(p.requires_grad for p in stage.parameters()) for stage in stages]
    assert trainable == [i >= frozen for i in range(5)]


def test_one_seed_gives_one_network():
    nets = []
    for _ in range(2):
        torch.manual_seed(3)
        nets.append(make_backbone(narrow(), (3, 7)).state_dict())
    assert all(torch.equal(value, nets[1][name]) for name, value in nets[0].items())


def test_a_narrow_trunk_in_channels_last_equals_the_usual_layout():
    fpn, images = make_backbone(narrow(), (3, 7)).eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        usual = fpn(images)["p3"]
        ours = fpn.to(memory_format=torch.channels_last)(images)["p3"]
    assert ours.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours, usual, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("backbone", "complaint"),
    [
        (Backbone(depth=34), "missing .first: res2.2.conv1"),
        (Backbone(depth=18, width=32), r"of another shape .first: stem.conv1.weight is \(64"),
        (Backbone(depth=18, norm="GN"), "unknown .first: res2.0.conv1.norm.running_mean"),
    ],
)
def test_a_file_that_does_not_fit_is_named_with_its_first_misfits(tmp_path, backbone, complaint):
    path = write(torchvision_resnet(18).state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(ValueError, match=f"resnet18.pth does not fit.*{complaint}"):
        load_imagenet(make_backbone(backbone, (3, 7)), path, Backbone())


def detectron2s_trunk():
    """Its own narrow ResNet-50 with its default settings, which are for MSRA's trunks."""
    cfg = get_cfg()
    cfg.MODEL.RESNETS.STEM_OUT_CHANNELS = cfg.MODEL.RESNETS.WIDTH_PER_GROUP = 8
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 32
    cfg.MODEL.RESNETS.OUT_FEATURES = [f"res{stage}" for stage in range(2, 6)]
    return build_resnet_backbone(cfg, ShapeSpec(channels=3)).eval()


CAFFES = (  # parts of detectron2's names, one after the other, and of Caffe's
    *(("stem.conv1.norm", "res_first_bn"), ("stem.conv1", "first"), ("shortcut", "branch1")),
    *(("conv1", "branch2a"), ("conv2", "branch2b"), ("conv3", "branch2c"), ("first", "conv1")),
    *((".", "_"), ("norm", "bn"), ("bn_weight", "bn_s"), ("bn_bias", "bn_b"), ("weight", "w")),
)


def caffe_file(trunk, path):
    """Random weights of a trunk as MSRA's files have them: without statistics, by Caffe's names."""
    content = {"conv1_b": np.zeros(8), "fc1000_w": np.zeros((9, 9)), "fc1000_b": np.zeros(9)}
    for name, value in trunk.state_dict().items():
        if "running" not in name:
            value = torch.randn(value.shape) * 0.2 + ("norm.weight" in name)
            name = reduce(lambda name, pair: name.replace(*pair), CAFFES, name)
            content[name] = value.numpy()
    path.write_bytes(pickle.dumps(content))
    return path


def test_an_msra_trunk_gives_detectron2s_maps(tmp_path):
    peer = detectron2s_trunk()
    path = caffe_file(peer, tmp_path / "R-50.pkl")
    DetectionCheckpointer(peer).load(str(path))
    backbone = Backbone(width=8, fpn_channels=16, **MSRA)
    fpn = make_backbone(backbone, (2, 6)).eval()
    load_imagenet(fpn, path, backbone)
    with torch.no_grad():
        images = torch.randn(2, 3, 64, 96)
        ours, theirs = fpn.bottom_up(images), peer(images)
    assert len(theirs) == 4 and theirs["res5"].std() > 0.1
    for name, expected in theirs.items():
        close = {"atol": 1e-5 * expected.abs().max().item(), "rtol": 0}
        torch.testing.assert_close(ours[name], expected, **close)


@pytest.mark.parametrize("changes", [{}, {"pixels": MSRA["pixels"]}, {"stride_in": "1x1"}])
def test_an_msra_trunk_is_refused_where_images_come_otherwise(tmp_path, changes):
    path, backbone = caffe_file(detectron2s_trunk(), tmp_path / "R-50.pkl"), Backbone(**changes)
    with pytest.raises(ValueError, match="R-50.pkl is an MSRA trunk; valid: .*BGR.*stride_in=1x1"):
        load_imagenet(make_backbone(narrow(depth=50), (3, 7)), path, backbone)


def test_an_unknown_format_is_refused(tmp_path):
    fpn = make_backbone(narrow(), (3, 7))
    with pytest.raises(ValueError, match="weights.onnx: unknown format; valid: .pkl"):
        load_imagenet(fpn, tmp_path / "weights.onnx", Backbone())


def test_a_checkpoint_of_other_things_than_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3, "state_dict": {"conv1.weight": torch.zeros(2)}}, tmp_path / "c.pth")
    with pytest.raises(ValueError, match="c.pth: not a readable weights file: .*dict"):
        load_imagenet(make_backbone(narrow(), (3, 7)), tmp_path / "c.pth", Backbone())


def test_a_failed_load_leaves_the_weights_alone(tmp_path):
    fpn = make_backbone(narrow(), (3, 7))
    before = {name: value.clone() for name, value in fpn.state_dict().items()}
    path = write(torchvision_resnet(18).state_dict(), tmp_path / "wide.pth")
    with pytest.raises(ValueError, match="wide.pth"):
        load_imagenet(fpn, path, Backbone())
    assert all(torch.equal(value, before[name]) for name, value in fpn.state_dict().items())
