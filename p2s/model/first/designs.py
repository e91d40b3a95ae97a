"""The one-stage detectors of Sec. 5, each as what sets it apart from the others.

A design is a function of a Spec's first stage. It serves a K-class detector with separate towers
and a class-agnostic first stage with one tower; the two differ in GFL alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from p2s.maths import losses
from p2s.model.first import assign
from p2s.model.first.coding import Deltas
from p2s.model.first.dense import Anchors, centered_score, plain_score
from p2s.model.first.heads import (
    AnchorHead,
    CenternessHead,
    DenseHead,
    IntegralHead,
    plain_tower,
    tower,
)
from p2s.model.first.objective import Objective, centerness_loss, side_distribution_loss
from p2s.spec import FirstStage

OCTAVE = [4 * 2 ** (step / 3) for step in range(3)]  # strides; Lin et al. (2017b), Sec. 4
RATIOS = (0.5, 1.0, 2.0)  # height over width
NINE = tuple((side / ratio**0.5, side * ratio**0.5) for side in OCTAVE for ratio in RATIOS)


@dataclass(frozen=True)
class Design:
    """A head, what it learns, and how its predictions become scores."""

    objective: Objective
    head: Callable = DenseHead  # towers, channels, classes, levels -> a module
    tower: Callable = tower  # channels, layers -> a module
    score: Callable = plain_score
    anchors: Anchors = Anchors()


def centernet(stage: FirstStage) -> Design:
    """CenterNet*: objects are peaks of a heat map (Sec. 5; C2)."""
    chosen = stage.design
    ignore_above = 1.0 if chosen.ignore_above is None else chosen.ignore_above
    refine = assign.near_center_positives if chosen.extra_positives else assign.as_assigned
    return Design(
        Objective(
            assign=assign.center_peaks,
            refine=refine,
            score_loss=_scores(stage, partial(losses.peak_focal, ignore_above=ignore_above)),
            weight=stage.weight,
        )
    )


def retinanet(stage: FirstStage) -> Design:
    """RetinaNet: nine anchors a cell, IoU .5 and .4, focal loss (Lin et al., 2017b; d2)."""
    return Design(
        Objective(
            assign=assign.iou_thresholds,
            score_loss=_scores(stage, losses.peak_focal),
            coding=Deltas(),
            weight=stage.weight,
            box_weight=1.0,
        ),
        head=partial(AnchorHead, anchors=len(NINE)),
        tower=tower if stage.design.norm == "GN" else plain_tower,
        anchors=Anchors(NINE, offset=0.0),
    )


def atss(stage: FirstStage) -> Design:
    """ATSS: an IoU threshold of its own for each object; P is score times centerness (Sec. 5).

    Boxes are distances from a point, which its authors found as good as an anchor's deltas (Zhang
    et al., 2020b, Sec. 3.3).
    """
    return Design(
        Objective(
            assign=assign.adaptive_iou,
            score_loss=_scores(stage, losses.peak_focal),
            extra_loss=centerness_loss,
            weight=stage.weight,
        ),
        head=CenternessHead,
        score=centered_score,
    )


def gfl_distances(stage: FirstStage) -> Design:
    """GFL with distances instead of the integral, as a first stage has it (Sec. 5)."""
    return Design(
        Objective(
            assign=assign.adaptive_iou,  # Li et al. (2020b), Sec. 4: that of ATSS
            refine=assign.by_quality,
            score_loss=_scores(stage, lambda logit, heat, _: losses.quality_focal(logit, heat)),
            weight=stage.weight,
        )
    )


def gfl(stage: FirstStage) -> Design:
    """GFL: the score is a box's quality, its distances are integrals (Li et al., 2020b)."""
    design = gfl_distances(stage)
    objective = replace(design.objective, extra_loss=side_distribution_loss)
    return replace(design, objective=objective, head=IntegralHead)


def fcos(stage: FirstStage) -> Design:
    """FCOS: points near a centre; P is score times centerness (Tian et al., 2020; d2)."""
    return Design(
        Objective(
            assign=assign.center_region,
            score_loss=_scores(stage, losses.peak_focal),
            extra_loss=centerness_loss,
            weight=stage.weight,
            box_weight=1.0,
        ),
        head=CenternessHead,
        score=centered_score,
    )


def _scores(stage, weighted):
    """The score loss that a design has, or the same without its weights."""
    return weighted if stage.design.weighting == "focal" else losses.plain_likelihood


OF_DETECTOR = {
    "centernet": centernet,
    "retinanet": retinanet,
    "atss": atss,
    "gfl": gfl,
    "fcos": fcos,
}
OF_FIRST_STAGE = OF_DETECTOR | {"gfl": gfl_distances}
