"""Kept: what a training keeps of itself, a state or a step, typed: no such file is trusted.

G truths, K classes, H x W pixels.
"""

from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import torch
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    NonNegativeInt,
    ValidationError,
    model_validator,
)
from torch import Tensor

from p2s.files import first_problem
from p2s.model.device import PRECISIONS
from p2s.model.weights import infinite, read_parts, require_dense
from p2s.spec import Spec
from p2s.spec.memory import require_padded, require_picture, require_weights
from p2s.spec.part import LARGEST
from p2s.train.curve import ITERATION

MOMENTS = {  # of a parameter, by optimiser
    torch.optim.SGD: ("momentum_buffer",),
    torch.optim.AdamW: ("exp_avg", "exp_avg_sq", "step"),
}
UNSIGNED = ("exp_avg_sq", "step")
PIXELS = (torch.uint8, torch.float32)
TRUTHS = {  # of a picture's objects: the type, and how many dimensions
    "gt_boxes": (torch.float32, 2),
    "gt_classes": (torch.int64, 1),
    "gt_annotated": (torch.bool, 1),
    "gt_known": (torch.bool, 2),
}
Kind = TypeVar("Kind", bound="_Kept")
Numbers = Annotated[Tensor, AfterValidator(require_dense)]
Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Size = Annotated[int, Field(gt=0, le=LARGEST)]
Id = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Whole = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]


def _whole(curve):
    """A curve whose columns are as long as its iterations, which are 0, 1, 2 and so on."""
    steps = curve.get(ITERATION, [])
    if not steps or any(type(step) is not int or step != k for k, step in enumerate(steps)):
        raise ValueError(f"{ITERATION}: not 0, 1, 2 ... to the iteration")
    if other := [name for name, values in curve.items() if len(values) != len(steps)]:
        told = f"{len(curve[other[0]])} values of {other[0]!r}"
        raise ValueError(f"{told} (valid: {len(steps)}, an iteration)")
    if endless := [name for name, values in curve.items() if {inf, -inf} & {*values}]:
        raise ValueError(f"{endless[0]}: infinite (valid: numbers; NaN where none was measured)")
    return curve


# A loss or audit, or AP; pictures of curves would take $ and \ for formulas.
Column = Annotated[str, Field(pattern=r"^[A-Za-z][^\x00-\x1f\x7f$\\]{0,99}$")]
Curve = Annotated[dict[Column, list[Whole | float]], AfterValidator(_whole)]


class _Typed(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, arbitrary_types_allowed=True)


class _Kept(_Typed):
    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, fields: Any) -> Any:
        known, given = cls.model_fields, fields if isinstance(fields, dict) else {}
        if unknown := [str(name) for name in given if name not in known]:
            raise ValueError(f"unknown {', '.join(unknown)} (valid: {', '.join(known)})")
        return fields


class Where(_Kept):
    """Where steps of a training were done."""

    device: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]
    precision: Literal[PRECISIONS]
    processes: Size

    def __str__(self):
        return f"{self.device}; {self.precision}; {self.processes} processes"


class Group(_Typed):
    """Parameters of an optimiser by number; how fast they learn is the recipe's matter."""

    params: list[NonNegativeInt]


class Moments(_Kept):
    """What an optimiser remembers of each parameter, by number."""

    state: dict[NonNegativeInt, dict[str, Numbers]]
    param_groups: list[Group]


class State(_Kept):
    """A training between two steps."""

    identity: str
    iteration: Count
    seconds: Number
    curve: Curve
    model: dict[str, Numbers]
    optimizer: Moments
    average: dict[str, Numbers] = {}  # older ones have none
    places: list[Where] = []  # one after another; older ones do not tell

    @model_validator(mode="after")
    def _has_a_curve_to_here(self):
        if len(self.curve[ITERATION]) != self.iteration:
            told = f"{len(self.curve[ITERATION])} values (valid: iteration, {self.iteration})"
            raise ValueError(f"curve: {told}")
        return self


class Picture(_Kept):
    """A model input without its truths; see p2s.data.loader."""

    image: Numbers  # (3, H, W)
    image_id: Id | str | None
    height: Size = 1
    width: Size = 1
    padded_to: tuple[Size, Size] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """The height and width of its image, in pixels."""
        return tuple(self.image.shape[1:])

    @model_validator(mode="after")
    def _has_pixels(self):
        image = self.image
        if image.dtype not in PIXELS or image.ndim != 3 or len(image) != 3 or 0 in image.shape:
            valid = "(3, height, width) of uint8 or float32"
            raise ValueError(f"image: {_shaped(image)} (valid: {valid})")
        if self.padded_to and any(a < b for a, b in zip(self.padded_to, self.size, strict=True)):
            raise ValueError(f"padded_to: {self.padded_to} is less than the image")
        require_picture(self.height, self.width)
        return self


class Truth(_Kept):
    """The objects of a picture: boxes xyxy in its pixels, classes, and what LVIS tells of them."""

    gt_boxes: Numbers  # (G, 4)
    gt_classes: Numbers  # (G,)
    gt_annotated: Numbers | None = None  # (G,)
    gt_known: Numbers | None = None  # (G, K)

    @model_validator(mode="after")
    def _is_of_as_many_boxes(self):
        for name, (dtype, rank) in TRUTHS.items():
            if (values := getattr(self, name)) is not None:
                _require_rows(name, values, dtype, rank, self.gt_boxes.shape[:1])
        if self.gt_boxes.shape[1] != 4:
            raise ValueError(f"gt_boxes: {_shaped(self.gt_boxes)} (valid: (G, 4))")
        return self


def _placed(spec):
    """A Spec whose weights have their place in this machine's memory."""
    require_weights(spec)
    return spec


class Step(_Kept):
    """All that one training step needs."""

    spec: Annotated[Json[Spec], AfterValidator(_placed)]
    images: Annotated[list[Picture], Field(min_length=1)]
    truths: list[Truth]
    model: dict[str, Numbers]
    seed: Count
    iteration: Count
    rate: Number
    device: Literal["cpu", "cuda"]
    precision: Literal[PRECISIONS]

    @model_validator(mode="after")
    def _has_truths_of_its_images(self):
        if len(self.truths) != len(self.images):
            raise ValueError(f"truths: {len(self.truths)} (valid: {len(self.images)}, an image)")
        for number, (picture, truth) in enumerate(zip(self.images, self.truths, strict=True)):
            _require_inside(truth.gt_boxes, picture.size, number)
            _require_classes(truth, self.spec.num_classes, number)
        return self

    @model_validator(mode="after")
    def _is_padded_to_one_size(self):
        padded = {picture.padded_to for picture in self.images if picture.padded_to}
        height, width = map(max, zip(*padded, *(one.size for one in self.images), strict=True))
        if padded - {(height, width)}:
            told = ", ".join(map(str, sorted(padded)[:3]))
            raise ValueError(f"images: padded_to {told} (valid: one that all images fit in)")
        require_padded(len(self.images), height, width)
        return self


def read(path: str | Path, kind: type[Kind]) -> Kind:
    """The State or Step that a file holds; ValueError names the file and the first field."""
    fields = kind.model_fields.items()
    content = read_parts(path, [name for name, field in fields if field.is_required()])
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{path}: {first_problem(error)}") from None


def restore(optimizer: torch.optim.Optimizer, kept: Moments, path: Path) -> None:
    """Give an optimiser the moments of a file; its settings stay. ValueError: of another one."""
    own = optimizer.state_dict()
    groups = [group["params"] for group in own["param_groups"]]
    if [group.params for group in kept.param_groups] != groups:
        raise ValueError(f"{path}: optimizer.param_groups: not the parameters of this model")
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for number, moments in kept.state.items():
        if problem := _misfit(moments, number, weights, MOMENTS[type(optimizer)]):
            raise ValueError(f"{path}: optimizer.state.{number}: {problem}")
    optimizer.load_state_dict({"state": kept.state, "param_groups": own["param_groups"]})


def _misfit(moments: dict[str, Tensor], number: int, weights: list, names: Any) -> str:
    if number >= len(weights):
        return f"no such parameter (valid: 0 to {len(weights) - 1})"
    if sorted(moments) != [*names]:
        return f"{', '.join(map(repr, moments)) or 'nothing'} (valid: {', '.join(names)})"
    for name, value in moments.items():
        shape = () if name == "step" else weights[number].shape
        if value.dtype != torch.float32 or value.shape != shape or infinite(value):
            return f"{name}: {_shaped(value)} (valid: finite float32, of shape {(*shape,)})"
        if name in UNSIGNED and (value < 0).any():
            return f"{name}: {value.min():g} (valid: 0 or more)"
    return ""


def _require_rows(name, values, dtype, rank, rows):
    if (values.dtype, values.ndim, values.shape[:1]) != (dtype, rank, rows):
        kind = str(dtype).removeprefix("torch.")
        valid = f"{', '.join(map(str, rows))} rows of {kind}, {rank} dimensions"
        raise ValueError(f"{name}: {_shaped(values)} (valid: {valid})")


def _require_inside(boxes, size, number):
    high = torch.tensor([*size[::-1]] * 2)
    ordered = boxes[:, :2] <= boxes[:, 2:]
    if not ((boxes >= 0) & (boxes <= high)).all() or not ordered.all():  # NaN is nowhere
        sides = f"{size[1]} x {size[0]}"
        raise ValueError(f"truths.{number}.gt_boxes: not within the image (valid: {sides})")


def _require_classes(truth, count, number):
    labels, known = truth.gt_classes, truth.gt_known
    if ((labels < 0) | (labels >= count)).any():
        raise ValueError(f"truths.{number}.gt_classes: out of range (valid: 0 to {count - 1})")
    if known is not None and known.shape[1:] != (count,):
        raise ValueError(f"truths.{number}.gt_known: {_shaped(known)} (valid: (G, {count}))")


def _shaped(values):
    return f"{str(values.dtype).removeprefix('torch.')} of shape {(*values.shape,)}"
