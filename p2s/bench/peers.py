"""The authors' own detectors, `centernet2` on PyPI (extra `peers`), built to compare ours with.

They are run, never copied: same weights, same image, same output. What the paper does not state is
AUTHORS of p2s.spec.released; `like_theirs` makes those of their choices that no Spec names.
"""

from dataclasses import replace
from typing import Any

from detectron2.config import get_cfg
from detectron2.modeling import build_model
from detectron2.modeling.proposal_generator import PROPOSAL_GENERATOR_REGISTRY
from detectron2.structures import Instances
from torch import Tensor, nn

from p2s.maths.geometry import area, paired_iou
from p2s.maths.losses import giou_loss
from p2s.maths.selection import to_logit
from p2s.model.first.coding import Distances
from p2s.model.naming import to_theirs
from p2s.spec import Spec

try:
    from centernet.config import add_centernet_config
    from centernet.modeling.dense_heads.centernet import CenterNet
except ImportError as error:
    raise ImportError(f"{error}: the authors' package is missing; see detectron2.txt") from None

CERTAIN = 1e-4  # their focal loss takes no probability for nearer to 0 or 1 than this
NO_HEAT = 1e-4  # below, their heat is 0


@PROPOSAL_GENERATOR_REGISTRY.register()
class AuthorsCenterNet(CenterNet):
    """The authors' first stage; current torch needs the maps that it reshapes to be contiguous."""

    def predict_single_level(
        self, grids: Tensor, heatmap: Tensor, reg_pred: Tensor, *others: Any, **named: Any
    ) -> list[Instances]:
        """Theirs, on contiguous maps."""
        heatmap = heatmap.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        return super().predict_single_level(grids, heatmap, reg_pred.contiguous(), *others, **named)


def authors(ours: nn.Module, spec: Spec) -> nn.Module:
    """The authors' CenterNet2, or CenterNet*, with ours' weights and device, in evaluation mode.

    ValueError unless the Spec is a CenterNet on P3-P7.
    """
    if (spec.first, spec.levels) != ("centernet", (3, 7)):
        raise ValueError(f"first {spec.first}, levels {spec.levels}: the authors have no such net")
    config = get_cfg()
    add_centernet_config(config)
    for name, value in _settings(spec).items():
        config.merge_from_list([name, value])
    peer = build_model(config)
    pixels = {name: value for name, value in peer.state_dict().items() if "pixel" in name}
    peer.load_state_dict(pixels | to_theirs(ours.state_dict(), spec))
    return peer.to(next(ours.parameters()).device).eval()


def like_theirs(model: nn.Module) -> nn.Module:
    """Ours, in place, with what no Spec names: uncut boxes in training, and details of the losses.

    Left is one: a cell that two objects claim is an extra positive of both in theirs, ours of one.
    """
    stage, objective = model.proposal_generator, model.proposal_generator.objective
    if stage.train_selection:
        stage.train_selection = replace(stage.train_selection, clip=False)
    stage.objective = replace(
        objective,
        coding=Distances(padded_giou_loss),
        score_loss=_limited(objective.score_loss),
    )
    return model


def padded_giou_loss(boxes: Tensor, others: Tensor) -> Tensor:
    """The gIoU loss of boxes in strides whose IoU has one square more above and below."""
    iou = paired_iou(boxes, others)
    union = (area(boxes) + area(others)) / (1 + iou)
    return giou_loss(boxes, others) + iou - (iou * union + 1) / (union + 1)


def _limited(score_loss):
    limit = to_logit(1 - CERTAIN)
    return lambda logit, heat, peaks: score_loss(
        logit.clamp(-limit, limit), heat * (heat >= NO_HEAT), peaks
    )


def _settings(spec):
    second = {} if spec.second == "none" else _second_stage(spec)
    return {**_network(spec), **_first_stage(spec), **second}


def _network(spec):
    backbone, alone = spec.backbone, spec.second == "none"
    stages = ["res3", "res4", "res5"]
    return {
        "MODEL.DEVICE": "cpu",
        "MODEL.META_ARCHITECTURE": "CenterNetDetector" if alone else "GeneralizedRCNN",
        "MODEL.PIXEL_MEAN": list(backbone.pixels.mean),
        "MODEL.PIXEL_STD": list(backbone.pixels.std),
        "INPUT.FORMAT": backbone.pixels.order,
        "MODEL.BACKBONE.NAME": "build_p67_resnet_fpn_backbone",
        "MODEL.BACKBONE.FREEZE_AT": backbone.frozen_stages,
        "MODEL.RESNETS.DEPTH": backbone.depth,
        "MODEL.RESNETS.NORM": backbone.norm,
        "MODEL.RESNETS.STEM_OUT_CHANNELS": backbone.width,
        "MODEL.RESNETS.RES2_OUT_CHANNELS": backbone.width * (1 if backbone.depth < 50 else 4),
        "MODEL.RESNETS.WIDTH_PER_GROUP": backbone.width,
        "MODEL.RESNETS.STRIDE_IN_1X1": backbone.stride_in == "1x1",
        "MODEL.RESNETS.OUT_FEATURES": stages,
        "MODEL.FPN.IN_FEATURES": stages,
        "MODEL.FPN.OUT_CHANNELS": backbone.fpn_channels,
    }


def _first_stage(spec):
    stage, test, alone = spec.first_stage, spec.test, spec.second == "none"
    floor, nms, keep = (
        (test.score_threshold, test.nms, test.detections)
        if alone
        else (test.proposal_floor, test.proposal_nms, test.proposals)
    )
    ignore_above = stage.design.ignore_above
    settings = {
        "NUM_CLASSES": spec.num_classes,
        "ONLY_PROPOSAL": not alone,
        "WITH_AGN_HM": not alone,
        "NUM_CLS_CONVS": stage.layers,
        "NUM_BOX_CONVS": stage.layers,
        "POS_WEIGHT": stage.weight,
        "NEG_WEIGHT": stage.weight,
        "REG_WEIGHT": 2 * stage.weight,
        "MORE_POS": stage.design.extra_positives,
        "IGNORE_HIGH_FP": -1.0 if ignore_above is None else ignore_above,
        "INFERENCE_TH": floor,
        "PRE_NMS_TOPK_TRAIN": stage.pre_nms,
        "POST_NMS_TOPK_TRAIN": stage.proposals,
        "NMS_TH_TRAIN": stage.nms,
        "PRE_NMS_TOPK_TEST": test.pre_nms,
        "POST_NMS_TOPK_TEST": keep,
        "NMS_TH_TEST": nms,
    }
    named = {f"MODEL.CENTERNET.{name}": value for name, value in settings.items()}
    return {**named, "MODEL.PROPOSAL_GENERATOR.NAME": AuthorsCenterNet.__name__}


def _second_stage(spec):
    stage, test = spec.second_stage, spec.test
    cascade = spec.second == "cascade"
    settings = {
        "ROI_HEADS.NAME": "CustomCascadeROIHeads" if cascade else "CustomROIHeads",
        "ROI_HEADS.NUM_CLASSES": spec.num_classes,
        "ROI_HEADS.IN_FEATURES": [f"p{level}" for level in range(3, 8)],
        "ROI_HEADS.BATCH_SIZE_PER_IMAGE": stage.regions,
        "ROI_HEADS.POSITIVE_FRACTION": stage.positive_share,
        "ROI_HEADS.IOU_THRESHOLDS": [stage.iou[0]],
        "ROI_HEADS.SCORE_THRESH_TEST": test.score_threshold,
        "ROI_HEADS.NMS_THRESH_TEST": test.nms,
        "ROI_BOX_CASCADE_HEAD.IOUS": stage.iou,
        "ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
        "ROI_BOX_HEAD.NUM_FC": 2,
        "ROI_BOX_HEAD.FC_DIM": stage.channels,
        "ROI_BOX_HEAD.POOLER_RESOLUTION": 7,
        "ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": True,
        "ROI_BOX_HEAD.MULT_PROPOSAL_SCORE": test.fusion == "released",
    }
    named = {f"MODEL.{name}": value for name, value in settings.items()}
    return {**named, "TEST.DETECTIONS_PER_IMAGE": test.detections}
