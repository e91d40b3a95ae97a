"""Spec: one detector of the paper's tables as typed, frozen data.

Paper values are the defaults; the comment beside a field is its source: a section of the paper,
`d2` for detectron2's default, `C2` for the authors' released configuration where the paper is
silent. Everything under `test` changes an evaluation, never a training.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from p2s.spec.data import Coco, Glyphs
from p2s.spec.names import NAMED
from p2s.spec.part import Part, Probability

# Fields that came after the first records: at their default they are no part of an identity.
YOUNGER = (
    *(("first_stage", "anchors"), ("first_stage", "norm"), ("first_stage", "weighting")),
    *(("second_stage", "objective"), ("second_stage", "eql_tail")),
    *(("second_stage", f"federated_{name}") for name in ("classes", "power", "sets")),
    *(("recipe", name) for name in ("order", "repeat_threshold", "optimizer")),
)
ACTS_IN = {  # the first stages in which a field does something; elsewhere it keeps its default
    "anchors": ("rpn",),
    "norm": ("retinanet",),
    "extra_positives": ("centernet",),
    "ignore_above": ("centernet",),
    "weighting": ("centernet", "retinanet", "atss", "gfl", "fcos"),
}
ACTS_WITH = {  # the classification loss of the second stage with which a field does something
    "eql_tail": "eql",
    "federated_classes": "federated",
    "federated_power": "federated",
    "federated_sets": "federated",
}
LABELLED = ("centernet", "retinanet", "atss")  # first stages with one label a location


class Backbone(Part):
    """A ResNet trunk with a feature pyramid (Sec. 5, Hyperparameters; App. B)."""

    depth: Literal[18, 34, 50, 101] = 50  # Sec. 5: ResNet-50
    width: PositiveInt = 64  # channels of the stem; the paper's ResNets have 64
    norm: Literal["FrozenBN", "BN", "GN"] = "FrozenBN"  # d2
    fpn_channels: PositiveInt = 256  # d2
    frozen_stages: Annotated[int, Field(ge=0, le=5)] = (
        2  # d2 freeze_at; 0 when trained from scratch
    )
    # A local torchvision or detectron2 file; glyphs: a study's own, see p2s.train.pretrain
    weights: Literal["glyphs"] | Path | None = None


class FirstStage(Part):
    """What infers P(O): the tower, its loss weight and its proposals in training (Sec. 5; C2)."""

    layers: Annotated[int, Field(ge=1, le=8)] = 4  # Sec. 5: 4-layer towers; RPN: 1
    anchors: Literal["rpn", "retinanet"] = "rpn"  # of an RPN: 3 ratios, d2; Table 4 may mean 9
    norm: Literal["GN"] | None = None  # of RetinaNet's towers, which have none; d2
    weighting: Literal["focal", "none"] = "focal"  # of scores; none: the plain likelihood
    weight: PositiveFloat = 0.5  # Sec. 5: first-stage loss weight; applied once
    extra_positives: bool = (
        True  # Sec. 5: 3x3 cells with regression loss < .2; C2: off in its two-stage base
    )
    ignore_above: Probability | None = None  # C2 IGNORE_HIGH_FP .85; the paper has none
    pre_nms: PositiveInt = 4000  # C2: candidates a level in training
    proposals: PositiveInt = 2000  # C2: kept in training
    nms: Probability = 0.9  # C2


class SecondStage(Part):
    """What infers P(C|O): positive IoU of each stage and the sampling of regions (Sec. 5)."""

    iou: tuple[Probability, ...] = (0.6, 0.7, 0.8)  # Sec. 5; Faster: .6
    # Sec. 3; Table 9. annotated: sigmoids of the classes an image's annotation tells of, App. D
    cls_loss: Literal["softmax", "sigmoid", "eql", "federated", "annotated"] = "softmax"
    # Negatives that EQL ignores. App. D: the 900 least frequent classes of 1203, at other numbers
    # the same share; C2: those in fewer than 200 images; EQL's own code: in a share below .00177
    eql_tail: Literal["rank", "images", "share"] = "rank"
    federated_classes: Annotated[int, Field(ge=0)] = 50  # App. D: |S|; 0: positives only
    federated_power: Annotated[float, Field(ge=0)] = 0.5  # of the frequency; App. D: square root
    # App. D: a set S for each image; C2: one for all regions of a stage, background one of the |S|
    federated_sets: Literal["per_image", "per_batch"] = "per_image"
    objective: Literal["sampled", "exact", "exact@K", "B1", "B2", "max", "both"] = (
        "sampled"  # C2: cross entropy of sampled proposals; the others: Sec. 4, see p2s.model.joint
    )
    regions: PositiveInt = 512  # d2: sampled an image in training; of exact@K: the K likeliest
    positive_share: Probability = 0.25  # d2
    channels: PositiveInt = 1024  # d2: two fully connected layers

    @model_validator(mode="after")
    def _every_choice_acts(self):
        for name, cls_loss in ACTS_WITH.items():
            if self.cls_loss != cls_loss and not self.is_default(name):
                raise ValueError(
                    f"{name} does nothing with cls_loss {self.cls_loss}; valid: {cls_loss}"
                )
        if self.cls_loss != "softmax" and self.objective != "sampled":
            raise ValueError(
                f"cls_loss {self.cls_loss} with objective {self.objective}; valid: sampled"
            )
        return self

    @property
    def is_selective(self):
        """Whether the loss counts some classes of a region only; it may depend on frequencies."""
        return self.cls_loss in ("eql", "federated", "annotated")


class Recipe(Part):
    """The optimiser and the images in training (Sec. 5; App. B)."""

    iterations: PositiveInt = 90_000  # Sec. 5: 1x
    drops: tuple[Probability, ...] = (60 / 90, 80 / 90)  # Sec. 5: rate / 10 at 60k and 80k
    rate: PositiveFloat = 0.02  # Sec. 5: two-stage; one-stage .01; for a batch of 16
    batch: PositiveInt = 16  # d2
    warmup: Annotated[int, Field(ge=0)] = 4000  # C2
    # d2: sgd. adamw (Loshchilov and Hutter, 2019) has no momentum: where a class is seen so rarely
    # that a short training by sgd would not start
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: Probability = 0.9  # d2
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4  # d2
    clip: PositiveFloat = 1.0  # C2: gradients clipped by value
    short_edge: tuple[PositiveInt, ...] = (640, 672, 704, 736, 768, 800)  # Sec. 5: multi-scale
    long_edge: PositiveInt = 1333  # Sec. 5
    flip: bool = True  # d2
    # In which order images train, see p2s.data.sampling; C2: repeat_factor on LVIS, class_aware on
    # Objects365
    order: Literal["shuffled", "repeat_factor", "class_aware"] = "shuffled"
    repeat_threshold: Probability = 1e-3  # C2, LVIS: a class in a smaller share is repeated

    @model_validator(mode="after")
    def _every_choice_acts(self):
        if self.optimizer == "adamw" and not self.is_default("momentum"):
            raise ValueError("momentum does nothing with optimizer adamw; valid: sgd")
        if self.order != "repeat_factor" and not self.is_default("repeat_threshold"):
            raise ValueError(
                f"repeat_threshold does nothing with order {self.order}; valid: repeat_factor"
            )
        return self

    @property
    def scaled_rate(self):
        """The learning rate for this batch size, linear in it (Goyal et al., 2017)."""
        return self.rate * self.batch / 16


class Test(Part):
    """What an evaluation may change without a new training (Sec. 5)."""

    __test__: ClassVar[bool] = False  # pytest: not a test case

    fusion: Literal["class", "product", "released"] = "product"  # Eq. 1
    pre_nms: PositiveInt = 1000  # C2: candidates a level
    proposals: PositiveInt = 256  # Sec. 5; RPN: 1000
    proposal_nms: Probability = 0.9  # C2
    proposal_floor: Probability = 1e-4  # P(O); C2
    nms: Probability = 0.7  # Sec. 5; baselines .5; one-stage .6 (C2)
    score_threshold: Probability = 0.05  # d2; acts on the fused score
    detections: PositiveInt = 100  # COCO
    short_edge: PositiveInt = 800  # Sec. 5
    long_edge: PositiveInt = 1333  # Sec. 5


class Spec(Part):
    """One detector: which first and second stage, on what, trained how, tested how."""

    first: Literal[
        "rpn", "ga_rpn", "cascade_rpn", "centernet", "retinanet", "atss", "gfl", "fcos"
    ] = "centernet"
    second: Literal["none", "faster", "cascade"] = "cascade"
    num_classes: PositiveInt = 80
    levels: tuple[int, int] = (3, 7)  # Sec. 5: P3-P7; the original RPN detectors P2-P6
    backbone: Backbone = Backbone()
    first_stage: FirstStage = FirstStage()
    second_stage: SecondStage = SecondStage()
    recipe: Recipe = Recipe()
    test: Test = Test()
    data: Annotated[Glyphs | Coco, Field(discriminator="kind")] | None = None

    @model_validator(mode="after")
    def _consistent(self):
        if self.levels not in ((2, 6), (3, 7)):
            raise ValueError(f"levels {self.levels}; valid: (2, 6), (3, 7)")
        if self.second == "none" and self.first.endswith("rpn"):
            raise ValueError(
                f"first {self.first} with second none: an RPN has no classes; "
                "valid second: faster, cascade"
            )
        stages = {"none": len(self.second_stage.iou), "faster": 1, "cascade": 3}[self.second]
        if len(self.second_stage.iou) != stages:
            given = len(self.second_stage.iou)
            raise ValueError(f"second_stage.iou has {given} values; {self.second} needs {stages}")
        return self

    @model_validator(mode="after")
    def _every_choice_acts(self):
        for name, firsts in ACTS_IN.items():
            if self.first not in firsts and not self.first_stage.is_default(name):
                where = ", ".join(firsts)
                raise ValueError(f"first_stage.{name} does nothing in {self.first}; valid: {where}")
        if self.first in ("ga_rpn", "cascade_rpn") and self.first_stage.layers != 1:
            raise ValueError(f"first_stage.layers of {self.first}: valid is 1")
        cls_loss, objective = self.second_stage.cls_loss, self.second_stage.objective
        if self.second == "none" and cls_loss != "softmax":
            raise ValueError(f"second_stage.cls_loss {cls_loss} does nothing with second none")
        if objective != "sampled" and (self.second != "faster" or self.first not in LABELLED):
            raise ValueError(
                f"second_stage.objective {objective} with {self.first} and {self.second}; "
                f"valid: second faster, first {', '.join(LABELLED)}"
            )
        self._refuse_unknown_truth()
        plain = self.first_stage.weighting == "none" or objective != "sampled"
        if plain and self.first_stage.ignore_above is not None:
            raise ValueError("first_stage.ignore_above does nothing without the focal loss")
        return self

    def _refuse_unknown_truth(self):
        """What a data set cannot tell, or a detector has no use for."""
        told = "lvis" in getattr(self.data, "kind", "") or (
            getattr(self.data, "federated", False) and self.data.unannotated != "labelled"
        )
        if self.second_stage.cls_loss == "annotated" and self.data and not told:
            raise ValueError(
                "second_stage.cls_loss annotated with data that tell of no absent classes; "
                "valid data: lvis, lvis_v1, glyphs with federated, unannotated hidden or boxes"
            )
        boxes = getattr(self.data, "unannotated", "hidden") == "boxes"
        if boxes and (self.second == "none" or self.second_stage.objective != "sampled"):
            raise ValueError(
                "data.unannotated boxes are for a first stage alone; "
                "valid: second faster or cascade, objective sampled"
            )

    @classmethod
    def named(cls, name):
        """The Spec of a row of the paper's tables, by the name printed there."""
        if name not in NAMED:
            raise ValueError(f"unknown detector {name!r}; valid: {', '.join(NAMED)}")
        return cls(**NAMED[name])

    def changed(self, changes):
        """A validated copy; `changes` is nested like the fields: {"test": {"fusion": "class"}}."""
        return Spec.model_validate(merge(self.model_dump(), changes))

    def training_fields(self):
        """All that a training depends on, except its data, as JSON values.

        A field that is younger than the first records is left out at its default.
        """
        fields = self.model_dump(mode="json", exclude={"test", "data"})
        for part, name in YOUNGER:
            if getattr(self, part).is_default(name):
                del fields[part][name]
        return fields

    def test_fields(self):
        """All that an evaluation depends on besides its training and data, as JSON values."""
        return self.test.model_dump(mode="json")


def merge(base, changes):
    """Nested settings with changes of the same nesting."""
    both = {
        k: merge(base[k], v)
        for k, v in changes.items()
        if isinstance(v, dict) and isinstance(base.get(k), dict)
    }
    return {**base, **changes, **both}
