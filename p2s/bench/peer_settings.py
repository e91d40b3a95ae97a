"""Settings of the authors' package that make the same net of a Spec, by their names."""

from typing import Any

from p2s.spec import Spec

BUILDERS = {  # by trunk, neck and levels
    ("resnet", "fpn", (3, 7)): "build_p67_resnet_fpn_backbone",
    ("resnet", "fpn", (3, 5)): "build_p35_resnet_fpn_backbone",
    ("resnet", "efficientdet", (3, 7)): "build_resnet_bifpn_backbone",
    ("res2net", "fpn", (3, 7)): "build_p67_res2net_fpn_backbone",
    ("res2net", "efficientdet", (3, 7)): "build_res2net_bifpn_backbone",
    ("dla", "efficientdet", (3, 7)): "build_p37_dla_bifpn_backbone",
    ("dla", "fcos", (3, 5)): "build_p35_fcos_dla_bifpn_backbone",
    ("dla", "fcos", (3, 7)): "build_p37_fcos_dla_bifpn_backbone",
    ("dla", "dla_up", (2, 2)): "build_dla_backbone",
}
ALL = 10_000_000
SIZES = {  # half diagonals in pixels, by levels
    (3, 7): [[0, 80], [64, 160], [128, 320], [256, 640], [512, ALL]],
    (3, 5): [[0, 64], [48, 192], [128, ALL]],
    (2, 2): [[0, ALL]],
}


def settings(spec: Spec) -> dict[str, Any]:
    """The choices, by name, that make their net of a Spec; ValueError if they have none."""
    second = {} if spec.second == "none" else _second_stage(spec)
    return {**_network(spec), **_first_stage(spec), **second}


def _network(spec):
    backbone, alone = spec.backbone, spec.second == "none"
    stages = [f"{'dla' if backbone.trunk.kind == 'dla' else 'res'}{k}" for k in (3, 4, 5)]
    return {
        "MODEL.DEVICE": "cpu",
        "MODEL.META_ARCHITECTURE": "CenterNetDetector" if alone else "GeneralizedRCNN",
        "MODEL.PIXEL_MEAN": list(backbone.pixels.mean),
        "MODEL.PIXEL_STD": list(backbone.pixels.std),
        "INPUT.FORMAT": backbone.pixels.order,
        "MODEL.BACKBONE.NAME": _builder(spec),
        "MODEL.BACKBONE.FREEZE_AT": backbone.frozen_stages,
        "MODEL.FPN.IN_FEATURES": stages,
        "MODEL.FPN.OUT_CHANNELS": backbone.fpn_channels,
        "MODEL.BIFPN.OUT_CHANNELS": backbone.fpn_channels,
        "MODEL.BIFPN.NUM_BIFPN": getattr(backbone.neck, "layers", 1),
        "MODEL.BIFPN.NUM_LEVELS": spec.levels[1] - spec.levels[0] + 1,
        **(_dla(backbone) if backbone.trunk.kind == "dla" else _resnet(backbone, stages)),
    }


def _builder(spec):
    neck, trunk = spec.backbone.neck, spec.backbone.trunk.kind
    name = BUILDERS.get(
        (trunk.replace("resnext", "resnet"), getattr(neck, "form", neck.kind), spec.levels)
    )
    if spec.first != "centernet" or not name:
        raise ValueError(
            f"first {spec.first}, levels {spec.levels}, {trunk}, {neck.kind}: "
            "the authors have no such net"
        )
    return name


def _dla(backbone):
    return {
        "MODEL.DLA.NUM_LAYERS": backbone.depth,
        "MODEL.DLA.NORM": backbone.norm,
    }


def _resnet(backbone, stages):
    trunk, width = backbone.trunk, backbone.width
    group = {"resnext": "group_width", "res2net": "scale_width"}.get(trunk.kind)
    settings = {
        "DEPTH": backbone.depth,
        "NORM": backbone.norm,
        "STEM_OUT_CHANNELS": width,
        "RES2_OUT_CHANNELS": width * (1 if backbone.depth < 50 else 4),
        "NUM_GROUPS": getattr(trunk, "groups", 1),
        "WIDTH_PER_GROUP": getattr(trunk, group) * width // 64 if group else width,
        "STRIDE_IN_1X1": backbone.stride_in == "1x1",
        "DEFORM_ON_PER_STAGE": [k >= 4 - backbone.deformable_stages for k in range(4)],
        "DEFORM_MODULATED": True,
        "OUT_FEATURES": stages,
    }
    return {f"MODEL.RESNETS.{name}": value for name, value in settings.items()}


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
        "IN_FEATURES": _levels(*spec.levels) if spec.levels != (2, 2) else ["dla2"],
        "FPN_STRIDES": [2**level for level in range(spec.levels[0], spec.levels[1] + 1)],
        "SOI": SIZES[spec.levels],
        "USE_DEFORMABLE": stage.deformable,
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
    return {**named, "MODEL.PROPOSAL_GENERATOR.NAME": "AuthorsCenterNet"}


def _second_stage(spec):
    stage, test = spec.second_stage, spec.test
    cascade = spec.second == "cascade"
    settings = {
        "ROI_HEADS.NAME": "CustomCascadeROIHeads" if cascade else "CustomROIHeads",
        "ROI_HEADS.NUM_CLASSES": spec.num_classes,
        "ROI_HEADS.IN_FEATURES": _levels(*(stage.pooled or spec.levels)),
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


def _levels(finest, coarsest):
    return [f"p{level}" for level in range(finest, coarsest + 1)]
