"""Detectors released by others, as changes of named Specs: what their weights were trained for.

Sources: the configurations of CenterNet2's authors (C2) and of detectron2's model zoo (d2). Sizes
of layers are read from the file, see p2s.model.released.
"""

from p2s.spec.backbone import Pixels
from p2s.spec.detector import Spec

# Choices of the authors that the paper does not state
AUTHORS = {
    "first_stage": {"extra_positives": False, "ignore_above": 0.85},
    "test": {"fusion": "released", "clip": False},
}
# Trunks of Microsoft Research Asia, from Caffe: detectron2's default
MSRA = {
    "pixels": Pixels(order="BGR", mean=(103.53, 116.28, 123.675), std=(1, 1, 1)),
    "stride_in": "1x1",
}
FAIR = {  # Facebook's ResNeXt, BGR from Caffe too
    "pixels": Pixels(order="BGR", mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395))
}
# Google's EfficientNet-Lite, RGB, as tensorflow/tpu has it
LITE0 = {"pixels": Pixels(mean=(127, 127, 127), std=(128, 128, 128))}
TRUNKS = {
    "resnet": MSRA,
    "resnext": FAIR,
    "res2net": {},
    "dla": {"pixels": MSRA["pixels"]},
    "lite0": LITE0,
}
_EXTRA_LARGE = ("CenterNet2-R2-101-DCN-BiFPN", AUTHORS)
_PYRAMID = {"backbone": {"neck": "fpn", "fpn_channels": 256}}
_RARE = {"num_classes": 1203, "test": {"score_threshold": 0.02, "nms": 0.5, "detections": 300}}
_FEDERATED = {"kind": "federated", "sets": "per_batch"}
_CASCADE = ("CenterNet2", AUTHORS)
# By name: changes one after the other, the first a named Spec. With num_classes: of that many alone
RELEASED: dict[str, tuple] = {
    "CenterNet2": _CASCADE,
    "FasterRCNN-CenterNet": ("FasterRCNN-CenterNet", AUTHORS),  # C2: CenterNet2-F
    "CenterNet*": ("CenterNet*", {"test": {"clip": False}}),  # C2: CenterNet-FPN
    "CenterNet2-LVIS": (*_CASCADE, _RARE, {"second_stage": {"cls_loss": "sigmoid"}}),
    "CenterNet2-LVIS-Fed": (*_CASCADE, _RARE, {"second_stage": {"cls_loss": _FEDERATED}}),
    "CenterNet2-Objects365": (*_CASCADE, {"num_classes": 365, "test": {"detections": 300}}),
    "CenterNet2-X101-DCN": ("CenterNet2-X101-DCN", AUTHORS),
    "CenterNet2-R2-101-DCN": (
        *_EXTRA_LARGE,
        _PYRAMID,
        {"test": {"short_edge": 800, "long_edge": 1333}},
    ),
    "CenterNet2-R2-101-DCN-BiFPN": _EXTRA_LARGE,
    "CenterNet2-DLA-BiFPN-P3": ("CenterNet2-DLA-BiFPN-P3", AUTHORS),
    "CenterNet2-DLA-BiFPN-P5": (  # C2: CenterNet2_DLA-BiFPN-P5_640_24x_ST
        *("CenterNet2-DLA-BiFPN-P5", AUTHORS),
        {"backbone": {"neck": {"layers": 3}, "pixels": Pixels()}},
    ),
    "FasterRCNN-RPN": ("FasterRCNN-RPN",),  # d2, also the boxes of Mask R-CNN
    "CascadeRCNN-RPN": ("CascadeRCNN-RPN",),  # d2, the boxes of Cascade Mask R-CNN
    "RetinaNet": (
        "RetinaNet",
        {"backbone": {"p6_from": "res5"}, "test": {"clip": False}},
    ),  # d2
}


def released(name: str) -> Spec:
    """The Spec of a released detector, for layers of the published sizes."""
    if name not in RELEASED:
        raise ValueError(f"unknown released detector {name!r}; valid: {', '.join(RELEASED)}")
    named, *changes = RELEASED[name]
    spec = Spec.named(named)
    spec = spec.changed({"backbone": TRUNKS[spec.backbone.trunk.kind]})
    for change in changes:
        spec = spec.changed(change)
    return spec
