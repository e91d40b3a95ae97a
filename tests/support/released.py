"""Nets that others released, by their own code and published settings, in tiny widths."""

import json
import pickle
import re
from pathlib import Path

import detectron2
import pytest
import torch
from detectron2.config import get_cfg
from detectron2.modeling import build_model
from safetensors.torch import save_file
from torch import nn

from p2s.model.naming import to_theirs
from p2s.model.zoo import build
from p2s.spec.released import released

CLASSES = 7
TINY = {
    "MODEL.DEVICE": "cpu",
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 8,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 32,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 32,
    "MODEL.ROI_MASK_HEAD.CONV_DIM": 16,
    "MODEL.ROI_HEADS.NUM_CLASSES": CLASSES,
    "MODEL.RETINANET.NUM_CLASSES": CLASSES,
    "MODEL.FPN.OUT_CHANNELS": 16,
}
AUTHORS = {  # their base configuration, and fewer layers; others are defaults of theirs
    "MODEL.BACKBONE.NAME": "build_p67_resnet_fpn_backbone",
    "MODEL.RESNETS.OUT_FEATURES": ["res3", "res4", "res5"],
    "MODEL.FPN.IN_FEATURES": ["res3", "res4", "res5"],
    "MODEL.FPN.OUT_CHANNELS": 256,  # for their 32 groups
    "MODEL.PROPOSAL_GENERATOR.NAME": "AuthorsCenterNet",
    "MODEL.CENTERNET.NUM_CLASSES": CLASSES,
    "MODEL.CENTERNET.NUM_CLS_CONVS": 2,
    "MODEL.CENTERNET.NUM_BOX_CONVS": 2,
}
TWO_STAGE = {
    "MODEL.CENTERNET.WITH_AGN_HM": True,
    "MODEL.CENTERNET.ONLY_PROPOSAL": True,
    "MODEL.CENTERNET.INFERENCE_TH": 1e-4,
    "MODEL.CENTERNET.NMS_TH_TEST": 0.9,
    "MODEL.CENTERNET.POST_NMS_TOPK_TEST": 256,
    "MODEL.ROI_HEADS.IN_FEATURES": ["p3", "p4", "p5", "p6", "p7"],
    "MODEL.ROI_HEADS.NMS_THRESH_TEST": 0.7,
    "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "MODEL.ROI_BOX_HEAD.NUM_FC": 2,
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 7,
    "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": True,
    "MODEL.ROI_BOX_HEAD.MULT_PROPOSAL_SCORE": True,
}
CASCADE = {**TWO_STAGE, "MODEL.ROI_HEADS.NAME": "CustomCascadeROIHeads"}
LVIS = {
    **CASCADE,
    "MODEL.CENTERNET.NUM_CLASSES": 1203,
    "MODEL.ROI_HEADS.NUM_CLASSES": 1203,
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.02,
    "MODEL.ROI_HEADS.NMS_THRESH_TEST": 0.5,
    "MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE": True,
    "TEST.DETECTIONS_PER_IMAGE": 300,
}
OBJECTS365 = {
    **CASCADE,
    "MODEL.CENTERNET.NUM_CLASSES": 365,
    "MODEL.ROI_HEADS.NUM_CLASSES": 365,
    "TEST.DETECTIONS_PER_IMAGE": 300,
}
DEFORMABLE = {
    "MODEL.CENTERNET.USE_DEFORMABLE": True,
    "MODEL.RESNETS.DEPTH": 50,
    "MODEL.RESNETS.DEFORM_ON_PER_STAGE": [False, False, True, True],
    "MODEL.RESNETS.DEFORM_MODULATED": True,
    "MODEL.ROI_HEADS.IN_FEATURES": ["p3", "p4"],
}
X101 = {
    "MODEL.PIXEL_STD": [57.375, 57.12, 58.395],
    "MODEL.RESNETS.STRIDE_IN_1X1": False,
    "MODEL.RESNETS.NUM_GROUPS": 32,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 2,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 16,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
}
RGB = {
    "INPUT.FORMAT": "RGB",
    "MODEL.PIXEL_MEAN": [123.675, 116.28, 103.53],
    "MODEL.PIXEL_STD": [58.395, 57.12, 57.375],
}
R2 = {
    **RGB,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 64,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 26,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 256,
}
REAL_TIME = {
    **CASCADE,
    "MODEL.FPN.IN_FEATURES": ["dla3", "dla4", "dla5"],
    "MODEL.CENTERNET.POST_NMS_TOPK_TEST": 128,
    "MODEL.DLA.NORM": "BN",
}
THEIRS = {
    "CenterNet2": CASCADE,
    "FasterRCNN-CenterNet": {**TWO_STAGE, "MODEL.ROI_HEADS.NAME": "CustomROIHeads"},
    "CenterNet*": {"MODEL.META_ARCHITECTURE": "CenterNetDetector"},
    "CenterNet2-LVIS": LVIS,
    "CenterNet2-LVIS-Fed": {
        **LVIS,
        "MODEL.ROI_BOX_HEAD.USE_FED_LOSS": True,
        "DATASETS.TRAIN": ("lvis_v1_train",),
    },
    "CenterNet2-Objects365": OBJECTS365,
    "CenterNet2-X101-DCN": {**CASCADE, **DEFORMABLE, **X101},
    "CenterNet2-R2-101-DCN": {
        **CASCADE,
        **DEFORMABLE,
        **R2,
        "MODEL.BACKBONE.NAME": "build_p67_res2net_fpn_backbone",
    },
    "CenterNet2-R2-101-DCN-BiFPN": {
        **CASCADE,
        **DEFORMABLE,
        **R2,
        "MODEL.BACKBONE.NAME": "build_res2net_bifpn_backbone",
        "MODEL.BIFPN.NUM_BIFPN": 2,
        "MODEL.BIFPN.OUT_CHANNELS": 288,
    },
    "CenterNet2-DLA-BiFPN-P3": {
        **REAL_TIME,
        "MODEL.BACKBONE.NAME": "build_p35_fcos_dla_bifpn_backbone",
        "MODEL.BIFPN.NUM_LEVELS": 3,
        "MODEL.BIFPN.NUM_BIFPN": 4,
        "MODEL.ROI_HEADS.IN_FEATURES": ["p3", "p4", "p5"],
        "MODEL.CENTERNET.IN_FEATURES": ["p3", "p4", "p5"],
        "MODEL.CENTERNET.FPN_STRIDES": [8, 16, 32],
        "MODEL.CENTERNET.SOI": [[0, 64], [48, 192], [128, 1000000]],
    },
    "CenterNet2-DLA-BiFPN-P5": {
        **REAL_TIME,
        **RGB,
        "MODEL.BACKBONE.NAME": "build_p37_fcos_dla_bifpn_backbone",
        "MODEL.BIFPN.NUM_BIFPN": 3,
    },
}
ZOO = {  # of detectron2
    "FasterRCNN-RPN": "COCO-Detection/faster_rcnn_R_50_FPN_1x",
    "CascadeRCNN-RPN": "Misc/cascade_mask_rcnn_R_50_FPN_1x",
    "RetinaNet": "COCO-Detection/retinanet_R_50_FPN_1x",
}
LOUD = {  # by layer: how much its random weights are enlarged, and its bias
    r"agn_hm$": (10, 0.0),
    r"cls_logits$": (3, -1.0),
    r"centernet_head.bbox_pred$": (5, 5.0),
    r"objectness_logits$": (20, 0.0),
    r"anchor_deltas$": (5, None),
    r"^head.(cls|bbox)_subnet.[0246]$": (12, None),
    r"^head.cls_score$": (10, -1.0),
    r"^head.bbox_pred$": (3, None),
    r"box_predictor.*cls_score$": (20, None),
    r"box_predictor.*bbox_pred$": (30, None),
}


def configured(name, folder):
    """Their configuration of a released name."""
    cfg = get_cfg()
    if name in ZOO:
        configs = Path(detectron2.__file__).parent / "model_zoo/configs"
        cfg.merge_from_file(str(configs / f"{ZOO[name]}.yaml"))
        settings = TINY
    else:
        peers = pytest.importorskip("p2s.bench.peers", exc_type=ImportError, reason="make setup")
        peers.add_centernet_config(cfg)
        counts = [{"id": k, "image_count": k + 1} for k in range(1203)]
        (folder / "counts.json").write_text(json.dumps(counts))
        cfg.MODEL.ROI_BOX_HEAD.CAT_FREQ_PATH = str(folder / "counts.json")
        settings = TINY | AUTHORS | THEIRS[name]
    for pair in settings.items():
        cfg.merge_from_list([*pair])
    return cfg


def loud(model):
    """A model in place, whose untrained heads differ from place to place."""
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith(("norm.weight", "running_var")):
                quiet = {"stem.conv1.norm.weight": 0.01, "conv3.norm.weight": 0.2}
                gain = [gain for end, gain in quiet.items() if name.endswith(end)]
                value.uniform_(0.5, 1.5).mul_(*gain or [1.0])
            elif name.endswith(("norm.bias", "running_mean")):
                value.normal_(std=0.1)
        for name, layer in model.named_modules():
            for pattern, (gain, bias) in LOUD.items():
                if re.search(pattern, name):
                    layer.weight.mul_(gain)
                    if bias is not None:
                        layer.bias.fill_(bias)
    return model


def theirs(name, folder):
    """Their own net of a released name, with random weights, in evaluation mode."""
    torch.manual_seed(0)
    make = build_model
    if name not in ZOO:
        from p2s.bench.peers import made as make
    return loud(make(configured(name, folder))).eval()


TRAINING = {"iteration": 9, "optimizer": {"state": {}}, "scheduler": {"last_epoch": 9}}
SMALL = {
    "num_classes": 4,
    "backbone": {"depth": 18, "width": 8},
    "first_stage": {"layers": 1},
    "second_stage": {"channels": 16},
}


def write(state, path):
    """A file as detectron2's checkpointer (.pth) and its zoo (.pkl) write it, or a flat one."""
    if path.suffix == ".pth":
        torch.save({"model": state, **TRAINING}, path)
    elif path.suffix == ".pkl":
        arrays = {name: value.numpy() for name, value in state.items()}
        path.write_bytes(pickle.dumps({"model": arrays, "__author__": "Detectron2 Model Zoo"}))
    else:
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    return path


def small(name, changes=(), **of_backbone):
    """Weights of a small detector of ours by others' names."""
    spec = released(name).changed(SMALL).changed({"backbone": of_backbone}).changed(dict(changes))
    return to_theirs(build(spec).state_dict(), spec)


HEADS = {"bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}


def lite0_as_published(net: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of timm's whole EfficientNet-Lite0 by names as those of the published file."""
    parts = [(name.partition("."), value) for name, value in net.state_dict().items()]
    return {HEADS.get(head, f"_{head}") + dot + rest: value for (head, dot, rest), value in parts}
