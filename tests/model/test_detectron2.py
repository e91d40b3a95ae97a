"""Named detectors against detectron2's own models: its model zoo's settings, our weights."""

import math
from dataclasses import replace
from pathlib import Path

import detectron2
import pytest
import torch
from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import GeneralizedRCNN, build_proposal_generator, build_roi_heads
from detectron2.modeling.anchor_generator import build_anchor_generator
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.meta_arch.fcos import FCOS, FCOSHead
from detectron2.modeling.meta_arch.retinanet import RetinaNet, RetinaNetHead
from detectron2.modeling.proposal_generator.rpn import StandardRPNHead
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

from p2s.model.first.coding import SMOOTH
from p2s.model.zoo import build
from p2s.spec import Pixels, Spec

CLASSES = 5
TRUNK = {"depth": 18, "width": 16, "norm": "BN", "frozen_stages": 0}
WIDTH = {"RetinaNet": 16, "FCOS-RT": 256}  # 256: 32 groups of 8 channels, as ours
RPNS = [f"{kind}RCNN-RPN{levels}" for kind in ("Faster", "Cascade") for levels in ("", " (P3-P7)")]
PIXELS = {"pixel_mean": Pixels().mean, "pixel_std": Pixels().std}
SIZES = [(160, 224), (150, 190)]
EDGES = [
    [0, 0, 20, 30],
    [-9, 60, 40, 90],
    [150, 120, 190, 150],
    [100, -5, 150, 170],
    [60, 3, 62, 5],
]
dense = pytest.mark.parametrize("name", WIDTH)
two_stage = pytest.mark.parametrize("name", RPNS)
batches = pytest.mark.parametrize(
    "kinds", [("crowded", "empty"), ("border", "crowded"), ("empty", "empty")]
)


def truths(kind, size):
    """Truths of an image, the smallest first: FCOS rounds areas, then takes the first."""
    generator = torch.Generator().manual_seed(len(kind))
    corner = torch.rand(40, 2, generator=generator) * torch.tensor([170.0, 130])
    boxes = torch.cat((corner, corner + 4 + 90 * torch.rand(40, 2, generator=generator) ** 2), 1)
    boxes = {"crowded": boxes, "border": torch.tensor(EDGES).float(), "empty": boxes[:0]}[kind]
    boxes = Boxes(boxes[Boxes(boxes).area().argsort()])
    return Instances(size, gt_boxes=boxes, gt_classes=torch.arange(len(boxes)) % CLASSES)


def batch(*kinds):
    """Two images of noise in coarse squares, to be answered in the pixels of larger ones."""
    generator = torch.Generator().manual_seed(0)
    inputs = []
    for kind, (height, width) in zip(kinds, SIZES, strict=True):
        noise = torch.randint(256, (3, height // 8 + 1, width // 8 + 1), generator=generator)
        pixels = noise.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, :height, :width]
        size = {"height": height * 2, "width": width * 2}
        inputs.append({"image": pixels, "instances": truths(kind, (height, width)), **size})
    return inputs


def adopt(theirs, ours):
    """Give a module the weights of one with the same layers in the same order."""
    values = ours.state_dict().values()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), values, strict=True)))


def ours_of(name, changes=()):
    """A named detector whose untrained heads differ from place to place."""
    torch.manual_seed(0)
    trunk = {**TRUNK, "fpn_channels": WIDTH.get(name, 16)}
    spec = Spec.named(name).changed({"num_classes": CLASSES, "backbone": trunk})
    model = build(spec.changed(dict(changes)))
    stage = model.proposal_generator
    with torch.no_grad():
        if name in WIDTH:
            stage.head.score.bias.zero_()
            stage.head.ltrb.bias.fill_(2.0 if name == "FCOS-RT" else 0.0)
            layers = [(stage.head.score, 20), (stage.head.ltrb, 2)]
        else:
            predictors, rpn = model.roi_heads.box_predictor, stage.rpn_head
            layers = [(rpn.objectness_logits, 20), (rpn.anchor_deltas, 20)]
            layers += [(each.cls_score, 2) for each in predictors]
            layers += [(each.bbox_pred, 20) for each in predictors]
        for layer, gain in layers:
            layer.weight.mul_(gain)
    return model


def zoo(name):
    """Settings of detectron2's model zoo."""
    cfg = get_cfg()
    folder = Path(detectron2.__file__).parent / "model_zoo/configs/COCO-Detection"
    cfg.merge_from_file(str(folder / f"{name}_R_50_FPN_1x.yaml"))
    cfg.MODEL.RETINANET.NUM_CLASSES = cfg.MODEL.ROI_HEADS.NUM_CLASSES = CLASSES
    return cfg


def retinanet(ours):
    cfg, shapes = zoo("retinanet"), list(ours.backbone.output_shape().values())
    settings = cfg.MODEL.RETINANET
    return RetinaNet(
        backbone=ours.backbone,
        head=RetinaNetHead(cfg, shapes),
        head_in_features=settings.IN_FEATURES,
        anchor_generator=build_anchor_generator(cfg, shapes),
        box2box_transform=Box2BoxTransform(weights=settings.BBOX_REG_WEIGHTS),
        anchor_matcher=Matcher(settings.IOU_THRESHOLDS, settings.IOU_LABELS, True),
        num_classes=CLASSES,
        smooth_l1_beta=SMOOTH,
        **PIXELS,
    )


def fcos(ours):
    shapes = [ShapeSpec(channels=256)] * 5
    head = FCOSHead(input_shape=shapes, num_classes=CLASSES, conv_dims=[256] * 4, norm="GN")
    floor = math.sqrt(0.05)  # of its scores, which are square roots
    settings = {"num_classes": CLASSES, "test_score_thresh": floor, **PIXELS}
    theirs = FCOS(backbone=ours.backbone, head=head, **settings)
    adopt(head.ctrness, ours.proposal_generator.head.centerness)
    return theirs


def rcnn(ours, name, is_agnostic=True):
    cfg = zoo("faster_rcnn")
    cfg.MODEL.RPN.POST_NMS_TOPK_TRAIN = 2000  # as for Misc/cascade_mask_rcnn_R_50_FPN_1x
    cfg.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG = is_agnostic
    if name.startswith("Cascade"):
        cfg.MODEL.ROI_HEADS.NAME = "CascadeROIHeads"
    if "P3-P7" in name:
        cfg.MODEL.RPN.IN_FEATURES = cfg.MODEL.ROI_HEADS.IN_FEATURES = [f"p{k}" for k in range(3, 8)]
    shapes = ours.backbone.output_shape()
    stages = build_proposal_generator(cfg, shapes), build_roi_heads(cfg, shapes)
    adopt(stages[0], ours.proposal_generator)
    adopt(stages[1], ours.roi_heads)
    parts = {"proposal_generator": stages[0], "roi_heads": stages[1]}
    return GeneralizedRCNN(backbone=ours.backbone, **parts, **PIXELS)


def pair(name):
    """One of our detectors and detectron2's, with the same weights and one backbone."""
    ours = ours_of(name)
    if name not in WIDTH:
        return ours, rcnn(ours, name)
    head, theirs = ours.proposal_generator.head, (retinanet if name == "RetinaNet" else fcos)(ours)
    adopt(theirs.head.cls_subnet, head.score_tower)
    adopt(theirs.head.bbox_subnet, head.box_tower)
    adopt(theirs.head.cls_score, head.score)
    adopt(theirs.head.bbox_pred, head.ltrb)
    return ours, theirs


def gradient(model, losses):
    """Of the losses' sum by all weights of the backbone, in one row."""
    weights = [each for each in model.backbone.parameters()]
    rows = torch.autograd.grad(sum(losses), weights, allow_unused=True, materialize_grads=True)
    return torch.cat([each.flatten() for each in rows])


def assert_same_training(ours, found, theirs, wanted):
    """Equal losses, in lists, and equal gradients."""
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-7)
    one, other = gradient(ours, found), gradient(theirs, wanted)
    assert (one - other).norm() < 1e-3 * other.norm()


@torch.no_grad()
def assert_same_detections(ours, theirs, power=1):
    """The same boxes, one to one; `power` makes their scores ours."""
    inputs = batch("empty", "empty")
    for one, other in zip(ours.eval()(inputs), theirs.eval()(inputs), strict=True):
        one, other = one["instances"], other["instances"]
        assert one.image_size == other.image_size and len(one) == len(other) >= 50
        gap = (one.pred_boxes.tensor[:, None] - other.pred_boxes.tensor).abs().amax(2)
        gap[one.pred_classes[:, None] != other.pred_classes] = torch.inf
        partner = gap.argmin(1)
        assert sorted(partner) == list(range(len(other))) and gap.amin(1).max() < 1e-2
        scores = other.scores[partner] ** power
        torch.testing.assert_close(one.scores, scores, rtol=1e-4, atol=1e-6)


@dense
@torch.no_grad()
def test_what_dense_heads_predict_is_what_detectron2s_predict(name):
    ours, theirs = pair(name)
    features = ours.backbone(ours.preprocess_image(batch("empty", "empty")).tensor)
    grid, found = ours.proposal_generator.predict(features)
    features = [features[level] for level in theirs.head_in_features]
    said = theirs.head(features)
    said = theirs._transpose_dense_predictions(said, [CLASSES, 4, 1][: len(said)])
    wanted = [torch.cat(each, 1) for each in said] + [None] * (3 - len(said))
    if name == "FCOS-RT":  # detectron2's clamps as it decodes
        wanted[1] = wanted[1].relu()
    torch.testing.assert_close(list(found), wanted, rtol=1e-4, atol=1e-5)
    anchors = Boxes.cat(theirs.anchor_generator(features))
    torch.testing.assert_close(grid.points, anchors.get_centers(), rtol=0, atol=1e-3)


@batches
@dense
def test_dense_detectors_train_as_detectron2s(name, kinds):
    ours, theirs = pair(name)
    with EventStorage() as storage:
        wanted = theirs(batch(*kinds))
    positives = max(storage.latest()["num_pos_anchors"][0] * 2, 1)
    assert (positives > 20) == (kinds != ("empty", "empty"))
    wanted = [loss * theirs.loss_normalizer / positives for loss in wanted.values()]
    positive, negative, *others = ours(batch(*kinds)).values()
    assert_same_training(ours, [positive + negative, *others], theirs, wanted)


@dense
def test_dense_detectors_find_what_detectron2s_find(name):
    ours, theirs = pair(name)
    stage = ours.proposal_generator  # detectron2's cut boxes at the image's border only after NMS
    stage.test_selection = replace(stage.test_selection, clip=False)
    assert_same_detections(ours, theirs, power=2 if name == "FCOS-RT" else 1)


def heard(model, inputs):
    """A model's losses by name, and what its heads said."""
    said, heads = [], (StandardRPNHead, FastRCNNOutputLayers)
    for each in model.modules():
        if isinstance(each, heads):
            each.register_forward_hook(lambda _, inputs, output: said.append(output))
    torch.manual_seed(0)  # of the samples
    with EventStorage():
        losses = model(inputs)
    return losses, said


def assert_same_two_stage_training(name, ours, theirs, kinds):
    (found, ours_said), (wanted, theirs_said) = (
        heard(model, batch(*kinds)) for model in (ours, theirs)
    )
    torch.testing.assert_close(ours_said, theirs_said, rtol=1e-4, atol=1e-5)
    if name.startswith("Faster"):
        found = {key.removesuffix("_stage0"): loss for key, loss in found.items()}
    assert set(found) == set(wanted)
    found = [found[key] for key in wanted]
    assert_same_training(ours, found, theirs, list(wanted.values()))


@batches
@two_stage
def test_two_stage_detectors_train_as_detectron2s(name, kinds):
    assert_same_two_stage_training(name, *pair(name), kinds)


@batches
def test_boxes_by_class_train_as_detectron2s(kinds):
    ours = ours_of("FasterRCNN-RPN", {"second_stage": {"boxes": "by_class"}})
    theirs = rcnn(ours, "FasterRCNN-RPN", is_agnostic=False)
    assert_same_two_stage_training("FasterRCNN-RPN", ours, theirs, kinds)


@pytest.mark.parametrize("canonical", [224, 24])  # pixels; 24: regions of all levels
@two_stage
def test_two_stage_detectors_find_what_detectron2s_find(name, canonical):
    ours, theirs = pair(name)
    for model in (ours, theirs):
        pooler = model.roi_heads.box_pooler
        assert pooler.canonical_box_size == 224
        pooler.canonical_box_size = canonical
    assert_same_detections(ours, theirs)
