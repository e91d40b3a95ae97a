"""Files as others write them, of their own nets with random weights: ours detect what theirs do."""

import pytest
import torch

from p2s.model.naming import to_theirs
from p2s.model.released import read_released
from p2s.spec.released import RELEASED, released
from tests.support.released import THEIRS, ZOO, small, theirs, write

# Maps of long rows of fusions differ by 1e-5 of their values, and boxes of 400 pixels with them.
ROUNDING = {name: 5e-3 for name in THEIRS if "BiFPN" in name or "R2" in name}
ANCHORS = {f"proposal_generator.anchor_generator.cell_anchors.{k}": torch.zeros(3, 4) for k in "01"}


def noise(seed, height=160, width=224):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(256, (3, height // 8, width // 8), generator=generator)
    image = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2).float()
    return {"image": image, "height": 2 * height, "width": 2 * width}


def blue_first(inputs):
    return [of_image | {"image": of_image["image"].flip(0)} for of_image in inputs]


@torch.no_grad()
def assert_same_detections(ours, their, pixels=1e-3):
    """Boxes within so many pixels, scores within 1e-4, one to one; some take RGB, others BGR."""
    inputs = [noise(0), noise(1, 128, 256)]
    theirs = their(blue_first(inputs) if ours.pixels.order == "BGR" else inputs)
    for one, other in zip(ours(inputs), theirs, strict=True):
        one, other = one["instances"], other["instances"]
        assert one.image_size == other.image_size and len(one) == len(other) >= 50
        assert other.pred_boxes.tensor.diff(dim=0).abs().max() > 10  # they differ from each other
        gap = (one.pred_boxes.tensor[:, None] - other.pred_boxes.tensor).abs().amax(2)
        gap = torch.maximum(gap, (one.scores[:, None] - other.scores).abs())
        gap[one.pred_classes[:, None] != other.pred_classes] = torch.inf
        partner = gap.argmin(1)
        assert sorted(partner) == list(range(len(other))) and gap.amin(1).max() < pixels
        torch.testing.assert_close(one.scores, other.scores[partner], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [*THEIRS, *ZOO])
def test_detections_are_those_of_the_net_that_the_file_is_of(name, tmp_path):
    peer = theirs(name, tmp_path)
    path = tmp_path / ("model.pkl" if name in ZOO else "model.pth")
    found = read_released(write(peer.state_dict(), path), name)
    assert_same_detections(found.model, peer, ROUNDING.get(name, 1e-3))
    pixels = found.spec.backbone.pixels
    if found.spec.backbone.title == "ResNet-50":
        assert (pixels.order, pixels.std) == ("BGR", (1, 1, 1))
        assert found.spec.backbone.stride_in == "1x1"
    assert list(peer.pixel_mean.flatten()) == pytest.approx(pixels.mean)


def test_other_pixels_and_strides_would_detect_something_else(tmp_path):
    path = write(theirs("RetinaNet", tmp_path).state_dict(), tmp_path / "r.safetensors")
    ours = read_released(path, "RetinaNet").model([noise(0)])[0]["instances"]
    for changes in ({"pixels": {"order": "RGB"}}, {"stride_in": "3x3"}):
        other = read_released(path, "RetinaNet", [{"backbone": changes}]).model([noise(0)])
        assert (ours.scores - other[0]["instances"].scores).abs().max() > 1e-3


@pytest.mark.parametrize("suffix", ["pth", "pkl", "safetensors"])
@pytest.mark.parametrize(
    "name", [name for name in RELEASED if "num_classes" not in str(RELEASED[name])]
)
def test_a_detector_and_its_sizes_are_told_from_the_keys(name, suffix, tmp_path):
    state = small(name, norm="BN" if suffix == "pkl" else "FrozenBN")
    found = read_released(write(state, tmp_path / f"m.{suffix}"))
    backbone = found.spec.backbone
    assert (found.name, found.spec.num_classes, found.spec.first_stage.layers) == (name, 4, 1)
    channels = released(name).backbone.fpn_channels
    assert (backbone.depth, backbone.width, backbone.fpn_channels) == (18, 8, channels)
    assert found.spec.levels == released(name).levels
    assert backbone.norm == ("BN" if suffix == "pkl" else "FrozenBN")
    again = to_theirs(found.model.state_dict(), found.spec)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[key], state[key]) for key in state)


@pytest.mark.parametrize("boxes", ["agnostic", "by_class"])
def test_boxes_by_class_are_told_from_their_number(boxes, tmp_path):
    state = small("FasterRCNN-RPN", {"second_stage": {"boxes": boxes}})
    found = read_released(write(state, tmp_path / "m.pth"))
    assert found.spec.second_stage.boxes == boxes


def test_keys_tell_no_sigmoid_from_a_softmax_but_the_federated_loss(tmp_path):
    state = small("CenterNet2-LVIS", {"num_classes": 1203})
    valid = "valid --as: CenterNet2, CenterNet2-LVIS, CenterNet2-LVIS-Fed$"
    with pytest.raises(ValueError, match=f"m.pth: keys are of centernet and cascade; {valid}"):
        read_released(write(state, tmp_path / "m.pth"))
    for stage in range(3):
        state[f"roi_heads.box_predictor.{stage}.freq_weight"] = torch.ones(1203)
    found = read_released(write(state, tmp_path / "m.pth"))
    assert found.name == "CenterNet2-LVIS-Fed" and len(found.dropped["frequencies of classes"]) == 3


def test_what_is_not_needed_is_named_with_its_reason(tmp_path):
    beside = {"roi_heads.mask_head.deconv.weight": torch.zeros(2), **ANCHORS}
    mean = {"pixel_mean": torch.tensor([103.53, 116.28, 123.675])[:, None, None]}
    state = small("CascadeRCNN-RPN") | beside | mean
    counters = {"backbone.bottom_up.stem.conv1.norm.num_batches_tracked": torch.tensor(3)}
    found = read_released(write(state, tmp_path / "m.pth"))
    assert found.dropped == {
        "state of the training": ["optimizer", "scheduler", "iteration"],
        "pixels, which the Spec has": ["pixel_mean"],
        "anchors, which follow from the Spec": sorted(ANCHORS),
        "head of masks": ["roi_heads.mask_head.deconv.weight"],
    }
    with pytest.raises(ValueError, match="num_batches_tracked"):  # of every other norm as well
        read_released(write(state | counters, tmp_path / "m.pth"))


def changed(change):
    state = small("RetinaNet")
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s.pop("head.bbox_pred.bias"), r"1 missing \(first: head.bbox_pred.bias\)"),
        (lambda s: s.pop("head.cls_score.weight"), "head.cls_score.weight is missing"),
        (lambda s: s.update(x=torch.zeros(2)), r"1 unknown \(first: x\)"),
        (
            lambda s: s.update(pixel_std=torch.tensor([57.0, 57, 58])),
            r"pixel_std is .*valid: --set",
        ),
        (
            lambda s: s.update({"head.bbox_pred.bias": torch.zeros(4)}),
            "of another shape .first: head",
        ),
        (
            lambda s: s.pop("backbone.bottom_up.res4.1.conv1.weight"),
            r"a trunk of \[2, 2, 1, 2\] blocks; valid: ResNets",
        ),
    ],
)
def test_whatever_does_not_fit_is_told_in_a_line(change, told, tmp_path):
    path = write(changed(change), tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=f"m.safetensors.*{told}") as error:
        read_released(path)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("backbone.body.conv1.weight", "torchvision's: it rounds anchors"),
        ("conv1.weight", "a trunk alone: a file for backbone.weights"),
        ("conv1_w", "a trunk alone: a file for backbone.weights"),
        ("x", r"keys are such as \['x'\]; valid --as: CenterNet2, FasterRCNN-CenterNet, .*Retina"),
    ],
)
def test_what_no_net_of_ours_is_of_is_told_in_a_line(key, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        read_released(write({key: torch.zeros(2)}, tmp_path / "m.safetensors"))


def test_another_name_than_the_keys_tell_is_refused_with_the_valid_ones(tmp_path):
    path = write(small("RetinaNet"), tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="keys are of retinanet and none; valid --as: RetinaNet$"):
        read_released(path, "CenterNet2")
    with pytest.raises(ValueError, match="unknown released detector 'Retina'; valid: CenterNet2, "):
        read_released(path, "Retina")


def test_statistics_of_other_pixels_may_be_set(tmp_path):
    std = [57.0, 57, 58]
    state = small("RetinaNet") | {"pixel_std": torch.tensor(std)}
    path = write(state, tmp_path / "m.safetensors")
    found = read_released(path, settings=[{"backbone": {"pixels": {"std": std}}}])
    assert found.model.pixel_std.flatten().tolist() == std


def test_towers_that_are_normalised_in_other_groups_are_refused(tmp_path):
    path = write(small("CenterNet*", fpn_channels=64), tmp_path / "m.safetensors")
    with pytest.raises(
        ValueError, match="64 channels are normalised in 32 groups, in ours .* in 8"
    ):
        read_released(path)


def test_what_is_unknown_beside_the_weights_is_refused(tmp_path):
    torch.save({"model": small("RetinaNet"), "more": 1}, tmp_path / "m.pth")
    with pytest.raises(
        ValueError, match="m.pth: unknown beside the weights: more; valid: __author"
    ):
        read_released(tmp_path / "m.pth")


def test_every_name_has_a_spec_of_its_own():
    specs = [released(name) for name in RELEASED]
    assert all(spec not in specs[:k] for k, spec in enumerate(specs))
    assert [*THEIRS, *ZOO] == [*RELEASED]
