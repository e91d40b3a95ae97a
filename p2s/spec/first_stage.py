"""What infers P(O): a design with what it alone has, and what all first stages have (Sec. 5).

The comment beside a field is its source, as in p2s.spec.detector.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from p2s.spec.backbone import Levels
from p2s.spec.choice import Choice, Chooser
from p2s.spec.part import UNWRITTEN, YOUNGER, Probability


class DesignChoice(Choice):
    """Which first stage."""

    has_one_label: ClassVar[bool] = False  # a location: what a likelihood of both stages needs
    levels: ClassVar[tuple[Levels, ...]] = ((2, 6), (3, 7))  # that its anchors are for
    deforms: ClassVar[bool] = False  # whether a layer of its towers can be deformable


class ProposalNetwork(DesignChoice):
    """A design that knows objects from background, but no classes."""


class Rpn(ProposalNetwork):
    """detectron2's region proposal network."""

    kind: Literal["rpn"] = "rpn"
    # 3 ratios, d2; Table 4 may mean RetinaNet's 9
    anchors: Annotated[Literal["rpn", "retinanet"], YOUNGER] = "rpn"


class GaRpn(ProposalNetwork):
    """Guided Anchoring (Table 11)."""

    kind: Literal["ga_rpn"] = "ga_rpn"


class CascadeRpn(ProposalNetwork):
    """Cascade RPN (Table 11)."""

    kind: Literal["cascade_rpn"] = "cascade_rpn"


class DenseDesign(DesignChoice):
    """A one-stage detector, or a first stage made of it."""

    deforms = True
    # Of scores; none: the plain likelihood
    weighting: Annotated[Literal["focal", "none"], YOUNGER] = "focal"


class RetinaNet(DenseDesign):
    """RetinaNet: anchors of IoU .5 and .4."""

    has_one_label, deforms = True, False
    kind: Literal["retinanet"] = "retinanet"
    norm: Annotated[Literal["GN"] | None, YOUNGER] = None  # of the towers, which have none; d2


class CenterNet(DenseDesign):
    """CenterNet*: objects are peaks of a heat map (Sec. 5)."""

    has_one_label, levels = True, ((2, 6), (3, 7), (3, 5), (2, 2))
    kind: Literal["centernet"] = "centernet"
    extra_positives: bool = (
        True  # Sec. 5: 3x3 cells with regression loss < .2; C2: off in its two-stage base
    )
    ignore_above: Probability | None = None  # C2 IGNORE_HIGH_FP .85; the paper has none


class Atss(DenseDesign):
    """ATSS: positives by the statistics of their IoU."""

    has_one_label = True
    kind: Literal["atss"] = "atss"


class Gfl(DenseDesign):
    """GFL: scores of quality, boxes as distributions."""

    kind: Literal["gfl"] = "gfl"


class Fcos(DenseDesign):
    """FCOS with centres sampled."""

    levels = ((2, 6), (3, 7), (3, 5))
    kind: Literal["fcos"] = "fcos"


class FirstStage(Chooser):
    """The design, its tower, its loss weight and its proposals in training (Sec. 5; C2)."""

    layers: Annotated[int, Field(ge=1, le=8)] = 4  # Sec. 5: 4-layer towers; RPN: 1
    # Its kind is `first` of a Spec.
    design: Annotated[
        Rpn | GaRpn | CascadeRpn | RetinaNet | CenterNet | Atss | Gfl | Fcos,
        Field(discriminator="kind"),
    ] = CenterNet()
    # The last layer of each tower has a modulated deformable convolution; C2: in large detectors
    deformable: Annotated[bool, UNWRITTEN] = False
    weight: PositiveFloat = 0.5  # Sec. 5: first-stage loss weight; applied once
    pre_nms: PositiveInt = 4000  # C2: candidates a level in training
    proposals: PositiveInt = 2000  # C2: kept in training
    nms: Probability = 0.9  # C2

    @model_validator(mode="after")
    def _has_a_tower_that_deforms(self):
        if self.deformable and not self.design.deforms:
            valid = ", ".join(kind for kind, d in self.kinds()["design"].items() if d.deforms)
            raise ValueError(
                f"deformable does nothing with first {self.design.kind}; valid: {valid}"
            )
        return self

    @model_validator(mode="after")
    def _one_layer_adapts(self):
        if isinstance(self.design, GaRpn | CascadeRpn) and self.layers != 1:
            raise ValueError(f"layers {self.layers} of {self.design.kind}; valid: 1")
        return self
