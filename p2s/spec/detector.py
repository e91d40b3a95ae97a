"""Spec: one detector of the paper's tables as typed, frozen data.

Paper values are the defaults; the comment beside a field is its source: a section of the paper,
`d2` for detectron2's default, `C2` for the authors' released configuration where the paper is
silent. Everything under `test` changes an evaluation, never a training.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from p2s.spec.backbone import Backbone, Levels
from p2s.spec.changes import kind_of, merge
from p2s.spec.data import Coco, Glyphs
from p2s.spec.first_stage import CenterNet, FirstStage, ProposalNetwork
from p2s.spec.names import NAMED
from p2s.spec.part import UNWRITTEN, Part, Probability
from p2s.spec.recipe import Recipe
from p2s.spec.second_stage import AnnotatedClasses, SecondStage, Softmax

Rows = Annotated[int, Field(gt=0, le=10**6)]  # of candidates, proposals or detections


class Test(Part):
    """What an evaluation may change without a new training (Sec. 5)."""

    __test__: ClassVar[bool] = False  # pytest: not a test case

    fusion: Literal["class", "product", "released"] = "product"  # Eq. 1
    pre_nms: Rows = 1000  # C2: candidates a level
    proposals: Rows = 256  # Sec. 5; RPN: 1000
    proposal_nms: Probability = 0.9  # C2
    proposal_floor: Probability = 1e-4  # P(O); C2
    nms: Probability = 0.7  # Sec. 5; baselines .5; one-stage .6 (C2)
    score_threshold: Probability = 0.05  # d2; acts on the fused score
    # Boxes of the first stage are cut at the image's border before NMS; C2, d2's RetinaNet: not
    clip: Annotated[bool, UNWRITTEN] = True
    detections: Rows = 100  # COCO
    short_edge: PositiveInt = 800  # Sec. 5
    long_edge: PositiveInt = 1333  # Sec. 5


class Spec(Part):
    """One detector: which first and second stage, on what, trained how, tested how.

    `first` is written, and recorded, in place of the kind of `first_stage.design`.
    """

    second: Literal["none", "faster", "cascade"] = "cascade"
    num_classes: PositiveInt = 80
    # Sec. 5: P3-P7; the original RPN detectors P2-P6; App. B: real-time P3-P5
    levels: Levels = (3, 7)
    # Of all that the paper has in pixels of an image whose short edge is 800: anchors, size
    # ranges, the canonical size of pooling, an untrained box.
    zoom: Annotated[PositiveFloat, UNWRITTEN] = 1.0
    backbone: Backbone = Backbone()
    first_stage: FirstStage = FirstStage()
    second_stage: SecondStage = SecondStage()
    recipe: Recipe = Recipe()
    test: Test = Test()
    data: Annotated[Glyphs | Coco, Field(discriminator="kind")] | None = None

    @property
    def first(self) -> str:
        """The kind of the first stage's design."""
        return self.first_stage.design.kind

    @classmethod
    def field_words(cls) -> list[str]:
        """As of any part, and `first`."""
        return sorted([*super().field_words(), "first"])

    @model_validator(mode="before")
    @classmethod
    def _read_first(cls, fields: Any) -> Any:
        return _with_design(fields) if isinstance(fields, dict) else fields

    @model_serializer(mode="wrap")
    def _dump_first(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = self.written(dump(self))
        stage = fields.get("first_stage", {})
        first = {"first": stage.pop("design")} if "design" in stage else {}
        return first | fields

    @model_validator(mode="after")
    def _has_its_levels_and_stages(self):
        self.backbone.require_levels(self.levels)
        if self.levels not in (design := self.first_stage.design).levels:
            raise ValueError(
                f"levels {self.levels} with first {design.kind}, whose anchors are of five levels; "
                f"valid: {', '.join(map(str, design.levels))}"
            )
        if self.second == "none" and isinstance(self.first_stage.design, ProposalNetwork):
            raise ValueError(
                f"first {self.first} with second none: an RPN has no classes; "
                "valid second: faster, cascade"
            )
        (finest, coarsest), pooled = self.levels, self.second_stage.pooled
        if pooled and not finest <= pooled[0] <= pooled[1] <= coarsest:
            raise ValueError(
                f"second_stage.pooled {pooled} with levels {self.levels}; valid: two of "
                f"{finest} to {coarsest}, the finest first"
            )
        given = len(self.second_stage.iou)
        stages = {"none": given, "faster": 1, "cascade": 3}[self.second]
        if given != stages:
            raise ValueError(f"second_stage.iou has {given} values; {self.second} needs {stages}")
        return self

    @model_validator(mode="after")
    def _has_boxes_that_it_can_train(self):
        stage = self.second_stage
        if stage.boxes == "by_class" and (self.second, stage.objective) != ("faster", "sampled"):
            raise ValueError(
                f"second_stage.boxes by_class with second {self.second}, objective "
                f"{stage.objective}; valid: second faster, objective sampled"
            )
        return self

    @model_validator(mode="after")
    def _has_losses_that_act(self):
        cls_loss, objective = self.second_stage.cls_loss, self.second_stage.objective
        if self.second == "none" and not isinstance(cls_loss, Softmax):
            raise ValueError(f"second_stage.cls_loss {cls_loss.kind} does nothing with second none")
        design, is_sampled = self.first_stage.design, objective == "sampled"
        if not is_sampled and (self.second != "faster" or not design.has_one_label):
            designs = FirstStage.kinds()["design"].items()
            valid = ", ".join(kind for kind, of_kind in designs if of_kind.has_one_label)
            raise ValueError(
                f"second_stage.objective {objective} with {self.first} and {self.second}; "
                f"valid: second faster, first {valid}"
            )
        ignores = isinstance(design, CenterNet) and design.ignore_above is not None
        if ignores and not (is_sampled and design.weighting == "focal"):
            raise ValueError("first.ignore_above does nothing without the focal loss")
        return self

    @model_validator(mode="after")
    def _has_data_that_tell(self):
        is_annotated = isinstance(self.second_stage.cls_loss, AnnotatedClasses)
        if is_annotated and self.data and not self.data.tells_absent_classes:
            raise ValueError(
                "second_stage.cls_loss annotated with data that tell of no absent classes; "
                "valid data: lvis, lvis_v1, glyphs with federated, unannotated hidden or boxes"
            )
        has_boxes = isinstance(self.data, Glyphs) and self.data.unannotated == "boxes"
        if has_boxes and (self.second == "none" or self.second_stage.objective != "sampled"):
            raise ValueError(
                "data.unannotated boxes are for a first stage alone; "
                "valid: second faster or cascade, objective sampled"
            )
        return self

    @classmethod
    def named(cls, name: str) -> Self:
        """The Spec of a row of the paper's tables, by the name printed there."""
        if name not in NAMED:
            raise ValueError(f"unknown detector {name!r}; valid: {', '.join(NAMED)}")
        return cls.model_validate(NAMED[name])

    def changed(self, changes: dict[str, Any]) -> Self:
        """A validated copy; `changes` is nested like the fields: {"test": {"fusion": "class"}}.

        A choice may be written as its kind alone, which keeps the fields of the same kind:
        {"recipe": {"order": "shuffled"}} or {"recipe": {"order": {"threshold": 0.1}}}.
        """
        return self.model_validate(merge(self.nested(), _with_design(changes)))

    def without_weights(self) -> Self:
        """A copy that takes no weights from files, of a model that gets them otherwise."""
        return self.changed({"backbone": {"weights": None}, "recipe": {"start": None}})

    def training_fields(self) -> dict[str, Any]:
        """All that a training depends on, except its data, as JSON values.

        A field that is younger than the first records is left out at its default.
        """
        fields = self.model_dump(mode="json", exclude={"test", "data"})
        for part in ("first_stage", "second_stage", "recipe"):
            for name in getattr(self, part).left_out():
                del fields[part][name]
        return fields

    def test_fields(self) -> dict[str, Any]:
        """All that an evaluation depends on besides its training and data, as JSON values."""
        return self.test.model_dump(mode="json")


def _with_design(fields):
    """Settings with `first` where it belongs: in the design of the first stage."""
    if "first" not in fields:
        return fields
    rest = {name: value for name, value in fields.items() if name != "first"}
    first, stage = fields["first"], fields.get("first_stage", {})
    stage = stage.nested() if isinstance(stage, Part) else stage
    if not isinstance(stage, dict):
        return rest
    kind, other = kind_of(first), kind_of(stage.get("design"))
    if kind and other and kind != other:
        raise ValueError(f"first {kind}, but first_stage.design {other}; valid: one of them")
    return rest | {"first_stage": merge(stage, {"design": first})}
