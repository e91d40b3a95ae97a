"""What infers P(C|O): the loss of its classes, positive IoU and the sampling of regions (Sec. 5).

The comment beside a field is its source, as in p2s.spec.detector.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from p2s.spec.backbone import Levels
from p2s.spec.choice import Choice, Chooser
from p2s.spec.part import UNWRITTEN, YOUNGER, Probability


class ClassLoss(Choice):
    """A loss of the classes of regions (Sec. 3; Table 9)."""

    # Whether it counts some classes of a region only; it may depend on their frequencies
    is_selective: ClassVar[bool] = False


class Softmax(ClassLoss):
    """Cross entropy of one softmax over all classes and background."""

    kind: Literal["softmax"] = "softmax"


class Sigmoid(ClassLoss):
    """Binary cross entropy of a sigmoid a class."""

    kind: Literal["sigmoid"] = "sigmoid"


class Eql(ClassLoss):
    """The equalization loss: no rare class is a negative of another object (App. D)."""

    is_selective, prefix = True, "eql_"
    kind: Literal["eql"] = "eql"
    # Negatives that are ignored. App. D: the 900 least frequent classes of 1203, at other numbers
    # the same share; C2: those in fewer than 200 images; EQL's own code: in a share below .00177
    tail: Annotated[Literal["rank", "images", "share"], YOUNGER] = "rank"


class Federated(ClassLoss):
    """The federated loss: a small set S of classes counts, drawn anew each iteration (App. D)."""

    is_selective, prefix = True, "federated_"
    kind: Literal["federated"] = "federated"
    classes: Annotated[int, Field(ge=0), YOUNGER] = 50  # App. D: |S|; 0: positives only
    power: Annotated[float, Field(ge=0), YOUNGER] = 0.5  # of the frequency; App. D: square root
    # App. D: a set S for each image; C2: one for all regions of a stage, background one of the |S|
    sets: Annotated[Literal["per_image", "per_batch"], YOUNGER] = "per_image"


class AnnotatedClasses(ClassLoss):
    """Sigmoids of the classes that an image's annotation tells of (App. D)."""

    is_selective = True
    kind: Literal["annotated"] = "annotated"


class SecondStage(Chooser):
    """The loss of its classes, the positive IoU of each stage, the sampling of regions (Sec. 5)."""

    iou: tuple[Probability, ...] = (0.6, 0.7, 0.8)  # Sec. 5; Faster: .6
    cls_loss: Annotated[
        Softmax | Sigmoid | Eql | Federated | AnnotatedClasses, Field(discriminator="kind")
    ] = Softmax()
    # C2: cross entropy of sampled proposals; the others: Sec. 4, see p2s.model.joint
    objective: Annotated[
        Literal["sampled", "exact", "exact@K", "B1", "B2", "max", "both"], YOUNGER
    ] = "sampled"
    regions: PositiveInt = 512  # d2: sampled an image in training; of exact@K: the K likeliest
    positive_share: Probability = 0.25  # d2
    channels: PositiveInt = 1024  # d2: two fully connected layers
    # C2, d2's Cascade: one box for all classes of a region; d2's Faster: one for each
    boxes: Annotated[Literal["agnostic", "by_class"], UNWRITTEN] = "agnostic"
    # The levels that regions are pooled from; None: all, but P6 of P2-P6; C2's large: P3-P4
    pooled: Annotated[Levels | None, UNWRITTEN] = None

    @model_validator(mode="after")
    def _likelihoods_are_of_a_softmax(self):
        if not isinstance(self.cls_loss, Softmax) and self.objective != "sampled":
            raise ValueError(
                f"cls_loss {self.cls_loss.kind} with objective {self.objective}; valid: sampled"
            )
        return self
