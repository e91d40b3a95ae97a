"""How a detector is trained: the optimiser, its schedule and the images (Sec. 5; App. B).

The comment beside a field is its source, as in p2s.spec.detector.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from p2s.spec.choice import Choice, Chooser
from p2s.spec.part import UNWRITTEN, YOUNGER, Probability

TrainingId = Annotated[str, Field(pattern="^training [0-9a-f]{16}$")]


class Sgd(Choice):
    """Stochastic gradient descent (d2)."""

    kind: Literal["sgd"] = "sgd"
    momentum: Probability = 0.9  # d2


class AdamW(Choice):
    """AdamW (Loshchilov and Hutter, 2019), where a class is too rare for sgd to start in time."""

    kind: Literal["adamw"] = "adamw"


class Shuffled(Choice):
    """Each image once an epoch."""

    kind: Literal["shuffled"] = "shuffled"


class RepeatFactor(Choice):
    """Images of rare classes are repeated; C2, LVIS."""

    prefix = "repeat_"
    kind: Literal["repeat_factor"] = "repeat_factor"
    threshold: Annotated[Probability, YOUNGER] = 1e-3  # C2: a class in a smaller share is repeated


class ClassAware(Choice):
    """One image of each class an epoch; C2, Objects365."""

    kind: Literal["class_aware"] = "class_aware"


class Last(Choice):
    """The weights after the last step."""

    kind: Literal["last"] = "last"


class Ema(Choice):
    """An exponential moving average of the weights of all steps; see p2s.train.average."""

    prefix = "average_"
    kind: Literal["ema"] = "ema"
    decay: Probability = 0.9998  # YOLOX; less in the beginning


class Whole(Choice):
    """The whole picture, with one of the recipe's short edges (d2)."""

    kind: Literal["whole"] = "whole"


class Square(Choice):
    """A square cut from the picture after that was resized by chance (App. C; Tan et al., 2020)."""

    prefix = "crop_"
    kind: Literal["square"] = "square"
    size: PositiveInt = 896  # App. C: pixels a side
    smallest: PositiveFloat = 0.1  # App. C: the long edge of the picture, in sides of the square
    largest: PositiveFloat = 2.0  # App. C

    @model_validator(mode="after")
    def _is_in_order(self):
        if self.smallest > self.largest:
            raise ValueError(f"crop.smallest {self.smallest} (valid: {self.largest} at most)")
        return self


class Recipe(Chooser):
    """The optimiser and the images in training (Sec. 5; App. B)."""

    iterations: PositiveInt = 90_000  # Sec. 5: 1x
    drops: tuple[Probability, ...] = (60 / 90, 80 / 90)  # Sec. 5: rate / 10 at 60k and 80k
    rate: PositiveFloat = 0.02  # Sec. 5: two-stage; one-stage .01; for a batch of 16
    batch: PositiveInt = 16  # d2
    warmup: Annotated[int, Field(ge=0)] = 4000  # C2
    optimizer: Annotated[Sgd | AdamW, Field(discriminator="kind"), YOUNGER] = Sgd()
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4  # d2
    clip: PositiveFloat = 1.0  # C2: gradients clipped by value
    short_edge: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (
        *(640, 672, 704, 736, 768, 800),  # Sec. 5: multi-scale
    )
    long_edge: PositiveInt = 1333  # Sec. 5
    flip: bool = True  # d2
    # In which order images train, see p2s.data.sampling
    order: Annotated[Shuffled | RepeatFactor | ClassAware, Field(discriminator="kind"), YOUNGER] = (
        Shuffled()
    )

    # Images without objects train too, as background; d2 FILTER_EMPTY_ANNOTATIONS: not
    empty: Annotated[bool, UNWRITTEN] = False
    # What of a picture is an image. App. C: a square
    crop: Annotated[Whole | Square, Field(discriminator="kind"), UNWRITTEN] = Whole()
    # Which short edge an image has: one of them, or any from the first to the last (App. B)
    edges: Annotated[Literal["choice", "range"], UNWRITTEN] = "choice"
    # How often the schedule runs, each time from the last weights; App. B: 6 in real-time models
    cycles: Annotated[PositiveInt, UNWRITTEN] = 1
    # From whose weights a training starts: a model's folder, or another training of a study by its
    # id; App. C: fine-tuning
    start: Annotated[TrainingId | Path | None, UNWRITTEN] = None
    # More scenes to train on, labelled by the model that the training starts from (App. C)
    pseudo_scenes: Annotated[int, Field(ge=0), UNWRITTEN] = 0
    # Which weights are evaluated and saved; d2: the last
    average: Annotated[Last | Ema, Field(discriminator="kind"), UNWRITTEN] = Last()

    @model_validator(mode="after")
    def _has_an_order_of_such_images(self):
        if self.empty and isinstance(self.order, ClassAware):
            raise ValueError(
                "empty does nothing with order class_aware; valid: shuffled, repeat_factor"
            )
        return self

    @model_validator(mode="after")
    def _has_edges_that_are_asked_for(self):
        first, last = self.short_edge[0], self.short_edge[-1]
        if self.edges == "range" and (len(self.short_edge) != 2 or first > last):
            raise ValueError(
                f"short_edge {list(self.short_edge)} with edges range (valid: the smallest and the "
                "largest)"
            )
        if self.edges == "range" and isinstance(self.crop, Square):
            raise ValueError("edges range does nothing with crop square; valid: choice")
        return self

    @property
    def steps(self) -> int:
        """The iterations of all cycles."""
        return self.iterations * self.cycles

    @property
    def image_edges(self) -> tuple[int, int]:
        """The smallest and the largest short edge that an image may have, in pixels."""
        if isinstance(self.crop, Square):
            return self.crop.size, self.crop.size
        return min(self.short_edge), min(max(self.short_edge), self.long_edge)

    def require_parts(self, processes: int) -> None:
        """ValueError unless so many processes can have an equal part of each batch."""
        if self.batch % processes:
            parts = [str(n) for n in range(1, self.batch + 1) if self.batch % n == 0]
            raise ValueError(
                f"recipe.batch {self.batch} for {processes} processes: each has an equal part; "
                f"valid: processes {', '.join(parts)}, or a batch that is a multiple"
            )

    @property
    def scaled_rate(self) -> float:
        """The learning rate for this batch size, linear in it (Goyal et al., 2017)."""
        return self.rate * self.batch / 16
