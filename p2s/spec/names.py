"""The detectors of the paper's tables by their printed names, as changes of a Spec's defaults."""

# detectron2's RPN: 2000 proposals in training, 1000 in test, both at NMS .7; loss weight 1.
_RPN = {
    "first": "rpn",
    "first_stage": {"layers": 1, "weight": 1.0, "pre_nms": 2000, "proposals": 2000, "nms": 0.7},
    "test": {
        "fusion": "class",
        "proposals": 1000,
        "proposal_nms": 0.7,
        "proposal_floor": 0.0,
        "nms": 0.5,
    },
}
_FASTER, _CASCADE = {"second": "faster"}, {"second": "cascade"}
_PROBABILISTIC_FASTER = {**_FASTER, "second_stage": {"iou": (0.6,)}}


def _mmdetection(first, nms, iou, weight):
    """A proposal network of Table 11 under Faster R-CNN, as mmdetection has it."""
    proposals = {"pre_nms": 2000, "proposals": 300, "nms": nms}
    test = {"pre_nms": 1000, "proposals": 300, "proposal_nms": nms, "score_threshold": 1e-3}
    return {
        "first": first,
        **_FASTER,
        "levels": (2, 6),
        "first_stage": {"layers": 1, "weight": weight, **proposals},
        "second_stage": {"iou": (iou,), "regions": 256},
        "test": {"fusion": "class", "proposal_floor": 0.0, "nms": 0.5, **test},
    }


# NMS .6: C2, and the publications of GFL, ATSS and FCOS.
_ONE_STAGE = {
    "second": "none",
    "first_stage": {"weight": 1.0},
    "recipe": {"rate": 0.01},
    "test": {"nms": 0.6},
}
# App. B: ResNeXt-32x8d-101-DCN; C2: regions are pooled from P3 and P4
_LARGE = {"backbone": {"trunk": "resnext", "depth": 101, "deformable_stages": 2}}
_DEFORMABLE = {"first_stage": {"deformable": True}}
_POOLED = {"second_stage": {"pooled": (3, 4)}}
# App. C
_EXTRA_LARGE = {
    "trunk": "res2net",
    "depth": 101,
    "deformable_stages": 2,
    "stride_in": "1x1",  # C2
    "neck": {"kind": "bifpn", "layers": 7},
    "fpn_channels": 288,
}
# App. B; C2: batch normalisation that learns, nothing frozen
_DLA = {"trunk": "dla", "depth": 34, "norm": "BN", "frozen_stages": 0}
_REAL_TIME = {**_DLA, "neck": {"kind": "bifpn", "form": "fcos"}, "fpn_channels": 160}
_SINGLE_SCALE = {**_DLA, "neck": "dla_up"}
_FAST = {"proposals": 128, "short_edge": 512, "long_edge": 736}
NAMED = {
    "FasterRCNN-RPN": {**_RPN, **_FASTER, "levels": (2, 6), "second_stage": {"iou": (0.5,)}},
    "CascadeRCNN-RPN": {
        **_RPN,
        **_CASCADE,
        "levels": (2, 6),
        "second_stage": {"iou": (0.5, 0.6, 0.7)},
    },
    "FasterRCNN-RPN (P3-P7)": {**_RPN, **_FASTER, "second_stage": {"iou": (0.5,)}},
    "CascadeRCNN-RPN (P3-P7)": {**_RPN, **_CASCADE, "second_stage": {"iou": (0.5, 0.6, 0.7)}},
    "RetinaNet": {"first": "retinanet", **_ONE_STAGE, "test": {"nms": 0.5}},  # d2
    "FasterRCNN-RetinaNet": {"first": "retinanet", **_PROBABILISTIC_FASTER},
    "CascadeRCNN-RetinaNet": {"first": "retinanet", **_CASCADE},
    "GFL": {"first": "gfl", **_ONE_STAGE},
    "FasterRCNN-GFL": {"first": "gfl", **_PROBABILISTIC_FASTER},
    "CascadeRCNN-GFL": {"first": "gfl", **_CASCADE},
    "ATSS": {"first": "atss", **_ONE_STAGE},
    "FasterRCNN-ATSS": {"first": "atss", **_PROBABILISTIC_FASTER},
    "CascadeRCNN-ATSS": {"first": "atss", **_CASCADE},
    "CenterNet*": _ONE_STAGE,
    "FasterRCNN-CenterNet": _PROBABILISTIC_FASTER,
    "CascadeRCNN-CenterNet": _CASCADE,
    "CenterNet2": _CASCADE,
    "GA RPN": _mmdetection("ga_rpn", nms=0.7, iou=0.6, weight=1.0),
    "Cascade RPN": _mmdetection("cascade_rpn", nms=0.8, iou=0.65, weight=0.7),
    "FCOS-RT": {"first": "fcos", **_ONE_STAGE},
    "CenterNet2-X101-DCN": {**_CASCADE, **_LARGE, **_DEFORMABLE, **_POOLED},
    "CenterNet*-X101-DCN": {
        **_ONE_STAGE,
        **_LARGE,
        "first_stage": {"weight": 1.0, "deformable": True},
    },
    "CascadeRCNN-X101-DCN": {
        **_RPN,
        **_CASCADE,
        **_LARGE,
        "levels": (2, 6),
        "second_stage": {"iou": (0.5, 0.6, 0.7)},
    },
    "CenterNet2-R2-101-DCN-BiFPN": {
        **_CASCADE,
        **_DEFORMABLE,
        **_POOLED,
        "backbone": _EXTRA_LARGE,
        "test": {"short_edge": 1560, "long_edge": 1560},
    },
    "CenterNet2-DLA-BiFPN-P3": {
        **_CASCADE,
        "levels": (3, 5),
        "backbone": _REAL_TIME,
        "test": _FAST,
    },
    "CenterNet2-DLA-BiFPN-P5": {
        **_CASCADE,
        "backbone": _REAL_TIME,
        "test": {**_FAST, "short_edge": 608, "long_edge": 900},
    },
    "FCOS-RT-DLA-BiFPN-P3": {
        "first": "fcos",
        **_ONE_STAGE,
        "levels": (3, 5),
        "backbone": _REAL_TIME,
        "test": {"nms": 0.6, "short_edge": 512, "long_edge": 736},
    },
    "CenterNet-DLA": {
        **_ONE_STAGE,
        "levels": (2, 2),
        "first_stage": {"weight": 1.0, "layers": 1},
        "backbone": _SINGLE_SCALE,
        "test": {"nms": 0.6, "short_edge": 608, "long_edge": 900},
    },
}
