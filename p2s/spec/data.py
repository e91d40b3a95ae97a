"""What a detector is trained and tested on, as typed, frozen data; a part of a Spec."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from p2s.spec.part import UNWRITTEN, YOUNGER, Part, Probability

PARTS = ("annotated", "unannotated")  # of the objects of federated scenes
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Glyphs(Part):
    """Synthetic scenes, drawn from a seed without any download."""

    kind: Literal["glyphs"] = "glyphs"
    seed: Annotated[int, Field(ge=0)] = 0
    train: PositiveInt = 4000  # images
    val: PositiveInt = 500  # images
    size: Annotated[int, Field(ge=16)] = 160  # pixels a side
    classes: PositiveInt = 10
    fragments: Annotated[float, Field(ge=0)] = 1.0  # hard negatives; 0 none, 1 default, 2 double
    # Whole characters that are none of the classes, without annotation, an object.
    strangers: Annotated[float, Field(ge=0), UNWRITTEN] = 0.0
    contrast: Annotated[int, Field(ge=0, le=120), UNWRITTEN] = 60  # least, of ink and paper, of 255
    noise: Annotated[int, Field(ge=0, le=127), UNWRITTEN] = 14  # half its range, of 255
    # Deviation of each side of an annotated box from the ink, in its widths and heights: people do
    # not agree to a pixel.
    looseness: Annotated[Probability, UNWRITTEN] = 0.0
    # How many objects of which size, see p2s.data.glyphs.layout; sizes in sides of the image.
    objects: Annotated[float, Field(ge=1), UNWRITTEN] = 7.2  # an image, some of which find no place
    size_median: Annotated[Probability, UNWRITTEN] = 0.27  # where the image has `objects`
    size_spread: Annotated[float, Field(ge=0), UNWRITTEN] = (
        0.46  # deviation of the size's logarithm
    )
    largest: Annotated[Probability, UNWRITTEN] = 0.9
    # Truth by chance: how likely each character is annotated, and then as class A, else as B.
    # Empty: each is annotated, as a class of its own.
    chances: Annotated[tuple[tuple[Probability, Probability], ...], YOUNGER] = ()
    # Training as uneven as the real data, by one power that leaves an object of every class;
    # validation with all classes alike. None: each object's class is drawn, all alike.
    imbalance: Annotated[Literal["lvis", "objects365"] | None, YOUNGER] = None
    federated: Annotated[bool, YOUNGER] = False  # annotated as LVIS is; the same pixels
    # What training is told of objects without annotation: nothing, their boxes for the first
    # stage alone, or all, as if they were annotated. Validation never is.
    unannotated: Annotated[Literal["hidden", "boxes", "labelled"], YOUNGER] = "hidden"

    @model_validator(mode="after")
    def _consistent(self):
        if self.chances and self.classes != 2:
            raise ValueError(f"classes {self.classes} with chances; valid: 2, of A and B")
        if self.chances and self.imbalance:
            raise ValueError(f"imbalance {self.imbalance} with chances; valid: None")
        if self.unannotated != "hidden" and not self.federated:
            raise ValueError(f"unannotated {self.unannotated} without federated; valid: hidden")
        if self.federated and not self.imbalance:
            raise ValueError("federated without imbalance; valid: lvis, objects365")
        return self

    @property
    def characters(self) -> int:
        """How many different characters are drawn."""
        return len(self.chances) or self.classes

    @property
    def tells_absent_classes(self) -> bool:
        """Whether an image's annotation tells of classes that are not in it, and not of others."""
        return self.federated and self.unannotated != "labelled"


class Coco(Part):
    """A data set in COCO's JSON format; file names are relative to the folders of images.

    `lvis` has LVIS's federated annotation besides; a published set is held against its counts;
    `self_training` has pseudo-labels of other pictures besides, to train on (App. C).
    """

    kind: Literal["coco", "lvis", "lvis_v1", "objects365_v1", "self_training"] = "coco"
    train: Path
    val: Path
    images: Path
    val_images: Path | None = None  # of validation, where it has a folder of its own
    pseudo: Annotated[Path | None, UNWRITTEN] = None  # as p2s pseudo-label writes them
    pseudo_images: Annotated[Path | None, UNWRITTEN] = None
    fingerprints: tuple[Sha256, Sha256] | None = None  # train and val must have, if given
    # Of train and val as the records that came with the project had them: an identity for files
    # that are not there. Files that are there may be others, and have their own.
    recorded: tuple[Sha256, Sha256] | None = None

    @model_validator(mode="after")
    def _has_pseudo_labels_if_it_trains_itself(self):
        for name in ("pseudo", "pseudo_images"):
            is_given = getattr(self, name) is not None
            if is_given != (self.kind == "self_training"):
                missing, valid = ("missing", "a path") if not is_given else ("given", "none")
                raise ValueError(f"{name}: {missing} with kind {self.kind} (valid: {valid})")
        return self

    @property
    def tells_absent_classes(self) -> bool:
        """As of Glyphs."""
        return "lvis" in self.kind
