"""The authors' own detectors, `centernet2` on PyPI (extra `peers`), built to compare ours with.

They are run, never copied: same weights, same image, same output. What the paper does not state is
AUTHORS of p2s.spec.released; `like_theirs` makes those of their choices that no Spec names.
"""

import re
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from detectron2.config import CfgNode, get_cfg
from detectron2.layers import deform_conv
from detectron2.modeling import build_model
from detectron2.modeling.backbone import resnet
from detectron2.modeling.proposal_generator import PROPOSAL_GENERATOR_REGISTRY
from detectron2.structures import Instances
from torch import Tensor, nn
from torchvision.ops import DeformConv2d

from p2s.bench.peer_settings import settings
from p2s.maths.geometry import area, paired_iou
from p2s.maths.losses import giou_loss
from p2s.maths.selection import to_logit
from p2s.model.first.coding import Distances
from p2s.model.naming import to_theirs
from p2s.spec import Spec

try:
    from centernet.config import add_centernet_config
    from centernet.modeling.backbone import dla, dlafpn, res2net
    from centernet.modeling.dense_heads.centernet import CenterNet
except ImportError as error:
    raise ImportError(f"{error}: the authors' package is missing; see peers.txt") from None

# Pixels, and layers of their DLA that no map depends on
THEIRS_ALONE = r"^pixel_|level[34]\.project\."
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

    ValueError unless the Spec is a CenterNet on a backbone that they have.
    """
    peer = built(settings(spec))
    own = {name: each for name, each in peer.state_dict().items() if re.search(THEIRS_ALONE, name)}
    peer.load_state_dict(own | to_theirs(ours.state_dict(), spec))
    return peer.to(next(ours.parameters()).device).eval()


def built(choices: dict[str, Any]) -> nn.Module:
    """The authors' net of such choices of their configuration, in training mode."""
    config = get_cfg()
    add_centernet_config(config)
    for pair in choices.items():
        config.merge_from_list([*pair])
    return made(config)


def made(config: CfgNode) -> nn.Module:
    """The authors' net of a configuration, also without detectron2's operators and a network."""
    with _what_it_lacks():
        return build_model(config)


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


class AuthorsDeformConv(DeformConv2d):
    """detectron2's modulated deformable convolution, whose own operator may not be compiled."""

    def __init__(self, *sizes: int, deformable_groups: int = 1, norm: Any = None, **more: Any):
        super().__init__(*sizes, **more)
        self.norm = norm

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """As detectron2's."""
        x = super().forward(x, offset, mask)
        return x if self.norm is None else self.norm(x)


@contextmanager
def _what_it_lacks():
    """An operator where it is not compiled, and no download of weights while a net is built."""
    with ExitStack() as stack:
        for module in (deform_conv, resnet, dla, res2net):
            if hasattr(module, "ModulatedDeformConv"):
                stack.enter_context(patch.object(module, "ModulatedDeformConv", AuthorsDeformConv))
        for module in (dla, dlafpn):
            nothing = stack.enter_context(patch.object(module.DLA, "load_pretrained_model"))
            nothing.return_value = None
        yield


def _limited(score_loss):
    limit = to_logit(1 - CERTAIN)
    return lambda logit, heat, peaks: score_loss(
        logit.clamp(-limit, limit), heat * (heat >= NO_HEAT), peaks
    )
