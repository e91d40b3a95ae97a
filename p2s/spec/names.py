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
}
