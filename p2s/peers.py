"""The authors' own detector, `centernet2` on PyPI (extra `peers`), built to compare ours with.

It is run, never copied: same weights, same image, same output. `AUTHORS` are its choices that the
paper does not state, as changes of our Spec.
"""

from dataclasses import replace

from detectron2.config import get_cfg
from detectron2.modeling import build_model
from detectron2.modeling.proposal_generator import PROPOSAL_GENERATOR_REGISTRY

from p2s.detector import PIXEL_MEAN, PIXEL_STD

try:
    from centernet.config import add_centernet_config
    from centernet.modeling.dense_heads.centernet import CenterNet
except ImportError as error:
    raise ImportError(f"{error}: the authors' package is missing; see detectron2.txt") from None

AUTHORS = {
    "first_stage": {"extra_positives": False, "ignore_above": 0.85},
    "test": {"fusion": "released"},
}
RENAMED = {  # parts of our weights' names to theirs; all others are equal
    "proposal_generator.head.shared_tower.": "proposal_generator.centernet_head.bbox_tower.",
    "proposal_generator.head.score.": "proposal_generator.centernet_head.agn_hm.",
    "proposal_generator.head.ltrb.": "proposal_generator.centernet_head.bbox_pred.",
}
SCALES = "proposal_generator.head.scales"  # one tensor of ours, a tensor a level of theirs


@PROPOSAL_GENERATOR_REGISTRY.register()
class AuthorsCenterNet(CenterNet):
    """The authors' first stage; current torch needs the maps that it reshapes to be contiguous."""

    def predict_single_level(self, grids, heatmap, reg_pred, *others, **named):
        heatmap = heatmap.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        return super().predict_single_level(grids, heatmap, reg_pred.contiguous(), *others, **named)


def authors(ours, spec):
    """The authors' CenterNet2 with the weights of ours, in evaluation mode.

    ValueError unless the Spec is a two-stage CenterNet on P3-P7.
    """
    if (spec.first, spec.levels) != ("centernet", (3, 7)) or spec.second == "none":
        raise ValueError(f"first {spec.first}, second {spec.second}: the authors have no such net")
    config = get_cfg()
    add_centernet_config(config)
    for name, value in _settings(spec).items():
        config.merge_from_list([name, value])
    peer = build_model(config)
    peer.load_state_dict(dict(_their_weights(ours)))
    return peer.eval()


def like_theirs(model):
    """Ours, in place, proposing as they do in test: boxes are pooled without being clipped."""
    stage = model.proposal_generator
    stage.test_selection = replace(stage.test_selection, clip=False)
    return model


def _their_weights(ours):
    for name, value in ours.state_dict().items():
        if name == SCALES:
            their = "proposal_generator.centernet_head.scales"
            yield from ((f"{their}.{level}.scale", one) for level, one in enumerate(value[:, None]))
        else:
            for our_part, their_part in RENAMED.items():
                name = name.replace(our_part, their_part)
            yield name, value.contiguous()


def _settings(spec):
    return {**_network(spec), **_first_stage(spec), **_second_stage(spec)}


def _network(spec):
    backbone = spec.backbone
    stages = ["res3", "res4", "res5"]
    return {
        "MODEL.DEVICE": "cpu",
        "MODEL.META_ARCHITECTURE": "GeneralizedRCNN",
        "MODEL.PIXEL_MEAN": list(PIXEL_MEAN),
        "MODEL.PIXEL_STD": list(PIXEL_STD),
        "INPUT.FORMAT": "RGB",
        "MODEL.BACKBONE.NAME": "build_p67_resnet_fpn_backbone",
        "MODEL.BACKBONE.FREEZE_AT": backbone.frozen_stages,
        "MODEL.RESNETS.DEPTH": backbone.depth,
        "MODEL.RESNETS.NORM": backbone.norm,
        "MODEL.RESNETS.STEM_OUT_CHANNELS": backbone.width,
        "MODEL.RESNETS.RES2_OUT_CHANNELS": backbone.width * (1 if backbone.depth < 50 else 4),
        "MODEL.RESNETS.WIDTH_PER_GROUP": backbone.width,
        "MODEL.RESNETS.STRIDE_IN_1X1": False,
        "MODEL.RESNETS.OUT_FEATURES": stages,
        "MODEL.FPN.IN_FEATURES": stages,
        "MODEL.FPN.OUT_CHANNELS": backbone.fpn_channels,
    }


def _first_stage(spec):
    stage, test = spec.first_stage, spec.test
    settings = {
        "NUM_CLASSES": spec.num_classes,
        "ONLY_PROPOSAL": True,
        "WITH_AGN_HM": True,
        "NUM_BOX_CONVS": stage.layers,
        "POS_WEIGHT": stage.weight,
        "NEG_WEIGHT": stage.weight,
        "REG_WEIGHT": 2 * stage.weight,
        "MORE_POS": stage.extra_positives,
        "IGNORE_HIGH_FP": -1.0 if stage.ignore_above is None else stage.ignore_above,
        "INFERENCE_TH": test.proposal_floor,
        "PRE_NMS_TOPK_TRAIN": stage.pre_nms,
        "POST_NMS_TOPK_TRAIN": stage.proposals,
        "NMS_TH_TRAIN": stage.nms,
        "PRE_NMS_TOPK_TEST": test.pre_nms,
        "POST_NMS_TOPK_TEST": test.proposals,
        "NMS_TH_TEST": test.proposal_nms,
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
