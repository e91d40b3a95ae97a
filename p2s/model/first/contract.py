"""First stages, which infer P(O), over one contract: that of detectron2's RPN.

`stage(images, features, gt_instances=None) -> (list[Instances], losses)`; the Instances have
`proposal_boxes` and `objectness_logits`, log p / (1 - p), likeliest first. `stage.in_features`
names the features it reads; `stage.set_test(test)` applies a spec.Test at any time.
`strides` maps the features' names to their strides, the finest first.
"""

from collections.abc import Callable
from dataclasses import replace

from detectron2.structures import Boxes, Instances

from p2s.model.first import designs
from p2s.model.first.assign import class_agnostic
from p2s.model.first.candidates import (
    Candidates,
    Selection,
    detection_selection,
    proposal_selection,
)
from p2s.model.first.dense import DenseProposer
from p2s.model.first.heads import deformable_tower, separate_towers, shared_tower
from p2s.spec import Spec, Test

TRAINING_FLOOR = 1e-4  # P(O); C2


class DenseFirstStage(DenseProposer):
    """A class-agnostic dense detector that hands on proposals, their P(O) and level."""

    def set_test(self, test: Test) -> None:
        """Propose by these settings (spec.Test) from now on; no weight changes."""
        self.test_selection = proposal_selection(test)

    def instances(self, image_size: tuple[int, int], candidates: Candidates) -> Instances:
        """Proposals, with `level` 3 for P3."""
        return Instances(
            image_size,
            proposal_boxes=Boxes(candidates.boxes),
            objectness_logits=candidates.logit,
            level=candidates.level,
        )


class OneStage(DenseProposer):
    """A K-class dense detector: P(C) at once, there is no second factor."""

    def set_test(self, test: Test) -> None:
        """Detect by these settings (spec.Test) from now on; no weight changes."""
        self.test_selection = detection_selection(test)

    def instances(self, image_size: tuple[int, int], candidates: Candidates) -> Instances:
        """Detections; `p_object` is the score, `p_class` is 1."""
        scores = candidates.logit.sigmoid()
        return Instances(
            image_size,
            pred_boxes=Boxes(candidates.boxes),
            scores=scores,
            pred_classes=candidates.classes,
            p_object=scores,
            p_class=scores.new_ones(len(scores)),
            level=candidates.level,
        )


def dense_stage(
    spec: Spec, strides: dict[str, int], channels: int, make: Callable = DenseFirstStage
) -> DenseFirstStage:
    """A one-stage detector as a first stage: one class, one tower for scores and boxes (Sec. 5).

    `make` takes what DenseProposer does.
    """
    stage = spec.first_stage
    design = designs.OF_FIRST_STAGE[spec.first](stage)
    assign = class_agnostic(design.objective.assign)
    towers = shared_tower(channels, stage.layers, _tower(spec, design))
    return make(
        head=design.head(towers, channels, 1, len(strides)),
        strides=strides,
        objective=replace(design.objective, assign=assign),
        selections=(
            Selection(TRAINING_FLOOR, stage.pre_nms, stage.nms, stage.proposals),
            proposal_selection(spec.test),
        ),
        score=design.score,
        anchors=replace(design.anchors, zoom=spec.zoom),
    )


def dense_detector(spec: Spec, strides: dict[str, int], channels: int) -> OneStage:
    """A one-stage detector: K classes, separate towers (Sec. 5).

    In training it returns losses and no detections.
    """
    design = designs.OF_DETECTOR[spec.first](spec.first_stage)
    towers = separate_towers(channels, spec.first_stage.layers, _tower(spec, design))
    return OneStage(
        head=design.head(towers, channels, spec.num_classes, len(strides)),
        strides=strides,
        objective=design.objective,
        selections=(None, detection_selection(spec.test)),
        score=design.score,
        anchors=replace(design.anchors, zoom=spec.zoom),
    )


def _tower(spec, design):
    return deformable_tower if spec.first_stage.deformable else design.tower
