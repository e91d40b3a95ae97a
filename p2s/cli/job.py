"""Jobs: where a model computes, and what `p2s train` is to train on which files."""

from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator
from torch import nn

from p2s.cli.telling import say
from p2s.model.device import described, device_of, place, require
from p2s.spec import Coco, Spec, Test
from p2s.spec.part import Part
from p2s.spec.released import LITE0
from p2s.spec.sanity import refuse_absurd, refuse_fixed_statistics
from p2s.train.folder import described as described_in
from p2s.train.shelf import trunk_file

# A detector that trains from scratch on a laptop; --set changes anything in it.
SMALL = {
    "backbone": {"depth": 18, "width": 32, "norm": "BN", "frozen_stages": 0, "fpn_channels": 64},
    "first_stage": {"pre_nms": 500, "proposals": 256},
    "second_stage": {"regions": 64, "channels": 256},
    "recipe": {"batch": 8},
}
DETECTOR, SIZE = "CenterNet2", 320
RATE_FACTOR = 2  # small networks learn at twice the rate of the named detector
PRETRAINED = {"width": 64, "norm": "FrozenBN", "frozen_stages": 2}  # d2
PLAIN = {"crop": "whole", "edges": "choice", "cycles": 1, "pseudo_scenes": 0}  # not of a start
EDGES = (0.8, 0.84, 0.88, 0.92, 0.96, 1.0)  # Sec. 5: 640, 672 ... of 800 pixels
LONG = 1333 / 800  # Sec. 5: the long edge at most, in short edges
WARMUP = 0.1  # of the iterations
CHANGEABLE = sorted(set(Spec.field_words()) - {"num_classes", "data"})  # what --set may change
VALID = f"{', '.join(CHANGEABLE)} (the annotation file gives num_classes, the options give data)"


class Where(Part):
    """Where a model computes; see p2s.model.device."""

    device: str = "auto"
    precision: str = "fp32"

    @field_validator("device")
    @classmethod
    def _is_here(cls, name):
        device_of(name)
        return name

    def take(self, model: nn.Module) -> nn.Module:
        """Bring a model there, in place; what is not the CPU in fp32 is told."""
        self.tell()
        return place(model, device_of(self.device), self.precision)

    def tell(self) -> None:
        """Tell of what is not the CPU in fp32."""
        device = device_of(self.device)
        if (device.type, self.precision) != ("cpu", "fp32"):
            say(f"on {described(device)}, {self.precision}", err=True)


class Job(Where):
    """What is to be trained on which files; the fields are the options of `p2s train`."""

    detector: str | None = None  # None: CenterNet2, or that of `start`
    train: Path
    val: Path
    images: Path
    val_images: Path | None = None
    output: Path
    seed: Annotated[int, Field(ge=0)]
    size: PositiveInt | None = None  # pixels of the short edge; None: SIZE, or that of `start`
    iterations: PositiveInt
    weights: Path | None  # of the trunk, trained on ImageNet
    backbone: Literal["lite0"] | None = None  # None: that of the detector, made small
    start: Path | None = None  # a model's folder, from whose weights the training starts
    pseudo: Path | None = None  # pseudo-labels to train on too
    pseudo_images: Path | None = None
    workers: Annotated[int, Field(ge=0)] = 0  # threads that make batches ahead
    save_minutes: PositiveFloat = 1.0  # between two states
    validate_every: Annotated[int, Field(ge=0)] = 0  # iterations between two AP of val
    keep_best: bool = False  # the weights of the best AP, beside the last ones
    watch: Annotated[int, Field(ge=0)] = 0  # images of val behind it, in place of all
    tensorboard: bool = False  # whether its events are written
    settings: tuple[dict[str, Any], ...]  # of --set, as Spec.changed takes them

    def require_places(self, processes: int, here: int) -> None:
        """ValueError unless so many processes, of them `here` on this machine, can train it."""
        require(self.device, self.precision, here)
        spec = self.spec(["any"])
        refuse_absurd(spec, processes)
        refuse_fixed_statistics(spec)

    def spec(self, classes: Sequence[str]) -> Spec:
        """The Spec to train: that of a detector, then the options, then --set."""
        _refuse_settings_outside(CHANGEABLE, self.settings, VALID)
        base = self._of_start() if self.start else self._named()
        size = self.size or (base.test.short_edge if self.start else SIZE)
        sides = {"long_edge": round(LONG * size)}
        recipe = {
            "iterations": self.iterations,
            "warmup": round(WARMUP * self.iterations),
            "start": self.start,
        }
        edges = [round(share * size) for share in EDGES]
        options = {
            "num_classes": len(classes),
            "backbone": self._pretrained(),
            "recipe": {**recipe, **sides, "short_edge": edges},
            "test": {**sides, "short_edge": size},
            "data": self.data.model_dump(),
        }
        spec = reduce(Spec.changed, (options, *self.settings), base)
        if isinstance(word := spec.backbone.weights, str):
            raise ValueError(f"backbone.weights {word} is for studies; valid: a file, None")
        return spec

    @property
    def data(self) -> Coco:
        """The files."""
        kind = "self_training" if self.pseudo or self.pseudo_images else "coco"
        return Coco(kind=kind, **self.model_dump(include=set(Coco.model_fields)))

    def _named(self):
        """The named detector, made small."""
        named = Spec.named(self.detector or DETECTOR)
        rate = {"rate": RATE_FACTOR * named.recipe.rate}
        return named.changed(SMALL).changed({"recipe": rate})

    def _pretrained(self):
        """What changes in a backbone that has learnt ImageNet."""
        if self.backbone:
            weights = self.weights or trunk_file(self.backbone)
            return {"trunk": self.backbone, "depth": 50, **PRETRAINED, **LITE0, "weights": weights}
        return {**PRETRAINED, "weights": self.weights} if self.weights else {}

    def _of_start(self):
        """The detector that the training starts from."""
        for name in ("detector", "weights", "backbone"):
            if getattr(self, name):
                raise ValueError(f"--{name} with --start, which has its own (valid: one of them)")
        spec = described_in(self.start)[0].without_weights()
        return spec.changed({"recipe": PLAIN})


def refuse_training_settings(settings: tuple[dict, ...]) -> None:
    """ValueError for settings of --set that are not of `test`, with those that are."""
    fields = ", ".join(f"test.{name}" for name in sorted(Test.model_fields))
    _refuse_settings_outside(["test"], settings, fields)


def _refuse_settings_outside(parts, settings, valid):
    if foreign := sorted(set().union(*settings) - set(parts)):
        raise ValueError(
            f"--set {', '.join(foreign)}: not a setting of this command; valid: {valid}"
        )
