"""What maps are made of: a trunk, and the neck that makes levels of its stages (Sec. 5; App. B, C).

The comment beside a field is its source, as in p2s.spec.detector.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from p2s.spec.choice import Choice, Chooser
from p2s.spec.part import UNWRITTEN, Part

Levels = tuple[int, int]  # the finest and the coarsest: (3, 7) for P3-P7
Mean = Annotated[float, Field(ge=0, le=255)]
Deviation = Annotated[float, Field(ge=0.001, le=1000)]


class Pixels(Part):
    """How an image comes to the trunk: the order of channels, and their statistics in that order.

    Every image is read as RGB in 0..255.
    """

    order: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[Mean, Mean, Mean] = (0.485 * 255, 0.456 * 255, 0.406 * 255)  # torchvision
    std: tuple[Deviation, Deviation, Deviation] = (
        *(0.229 * 255, 0.224 * 255, 0.225 * 255),  # torchvision
    )


class Trunk(Choice):
    """Which trunk; `depths` are those that it has, 18 and 34 of the wide ones for scale models."""

    title: ClassVar[str] = ""
    depths: ClassVar[tuple[int, ...]] = (18, 34, 50, 101)
    deforms: ClassVar[bool] = True  # whether its 3x3 convolutions can be deformable
    norms: ClassVar[tuple[str, ...]] = ("FrozenBN", "BN", "GN")
    strides: ClassVar[bool] = True  # whether `stride_in` says something of it
    widths: ClassVar[tuple[int, ...]] = ()  # that it has, if not any


class ResNet(Trunk):
    """A ResNet (He et al., 2016)."""

    title = "ResNet"
    kind: Literal["resnet"] = "resnet"


class ResNeXt(Trunk):
    """A ResNeXt: bottlenecks in groups (Xie et al., 2017)."""

    prefix, title = "resnext_", "ResNeXt"
    kind: Literal["resnext"] = "resnext"
    groups: PositiveInt = 32  # App. B: 32x8d
    group_width: PositiveInt = 8  # of a group in Res2, where the stem has 64 channels


class Res2Net(Trunk):
    """A Res2Net: bottlenecks of several scales, with a deep stem (Gao et al., 2019a; C2)."""

    prefix, title = "res2net_", "Res2Net"
    kind: Literal["res2net"] = "res2net"
    scales: Annotated[int, Field(ge=2)] = 4  # C2: 26w, 4s
    scale_width: PositiveInt = 26  # of a scale in Res2, where the stem has 64 channels


class Dla(Trunk):
    """Deep layer aggregation (Yu et al., 2018); 18 has a tree of one level in every stage."""

    title, depths, deforms, strides = "DLA", (18, 34), False, False
    kind: Literal["dla"] = "dla"


class Lite0(Trunk):
    """An EfficientNet-Lite0 (Tan and Le, 2019), by timm: of one size, the defaults say nothing."""

    title, depths, widths, deforms, strides = "EfficientNet-Lite0", (50,), (64,), False, False
    norms = ("FrozenBN", "BN")
    kind: Literal["lite0"] = "lite0"


class Neck(Choice):
    """What makes levels of a trunk's stages; `levels` are those that it gives."""

    levels: ClassVar[tuple[Levels, ...]] = ()


class Fpn(Neck):
    """A feature pyramid (Lin et al., 2017)."""

    levels = ((2, 6), (3, 7), (3, 5))
    kind: Literal["fpn"] = "fpn"


class BiFpn(Neck):
    """Layers with a way down and a way up, of fast normalised fusion (Tan et al., 2020b)."""

    prefix, levels = "bifpn_", ((3, 7), (3, 5))
    kind: Literal["bifpn"] = "bifpn"
    layers: PositiveInt = 4  # App. B; extra-large 7 (App. C)
    # C2 has two. efficientdet: a stage has a 1x1 convolution for each way, maps shrink by maxima of
    # 2x2 cells. fcos: one for both ways, with a bias, and of 3x3 cells, as in real-time FCOS
    form: Literal["efficientdet", "fcos"] = "efficientdet"


class DlaUp(Neck):
    """The upsampling to a single map of stride 4, of a DLA (Zhou et al., 2019a)."""

    levels = ((2, 2),)
    kind: Literal["dla_up"] = "dla_up"


class Backbone(Chooser):
    """A trunk and its neck (Sec. 5, Hyperparameters; App. B, C)."""

    trunk: Annotated[
        ResNet | ResNeXt | Res2Net | Dla | Lite0, Field(discriminator="kind"), UNWRITTEN
    ] = ResNet()
    depth: Literal[18, 34, 50, 101] = 50  # Sec. 5: ResNet-50
    width: PositiveInt = 64  # channels of the stem, of a DLA at stride 4; published trunks: 64
    norm: Literal["FrozenBN", "BN", "GN"] = "FrozenBN"  # d2
    # How many of the last stages have modulated deformable convolutions (Zhu et al., 2019b);
    # App. B: Res4 and Res5 of the large trunks
    deformable_stages: Annotated[int, Field(ge=0, le=4), UNWRITTEN] = 0
    neck: Annotated[Fpn | BiFpn | DlaUp, Field(discriminator="kind"), UNWRITTEN] = Fpn()
    fpn_channels: PositiveInt = 256  # of every level, d2; of dla_up `width`
    frozen_stages: Annotated[int, Field(ge=0, le=5)] = (
        2  # d2 freeze_at; 0 when trained from scratch
    )
    # A local file of others; else a word of a study, see p2s.spec.pretraining
    weights: Literal["glyphs", "characters", "lite0"] | Path | None = None
    pixels: Annotated[Pixels, UNWRITTEN] = Pixels()
    # The convolution of a bottleneck block that strides; torchvision; d2's MSRA trunks: 1x1
    stride_in: Annotated[Literal["3x3", "1x1"], UNWRITTEN] = "3x3"
    # What P6 of P3-P7 is a convolution of; C2; d2's RetinaNet: res5
    p6_from: Annotated[Literal["p5", "res5"], UNWRITTEN] = "p5"

    @property
    def title(self) -> str:
        """Its trunk in words, such as ResNet-50."""
        return self.trunk.title + ("" if self.trunk.widths else f"-{self.depth}")

    @model_validator(mode="after")
    def _has_a_trunk_of_its_depth(self):
        trunk = self.trunk
        widths = trunk.widths or (self.width,)
        for name, valid in (("depth", trunk.depths), ("width", widths), ("norm", trunk.norms)):
            if (value := getattr(self, name)) not in valid:
                raise ValueError(
                    f"backbone.{name} {value} with trunk {trunk.kind}; "
                    f"valid: {', '.join(map(str, valid))}"
                )
        if self.weights == "lite0" != trunk.kind:
            raise ValueError(
                f"backbone.weights lite0 with trunk {trunk.kind}; valid: trunk lite0, or a file"
            )
        has_bottlenecks = self.depth >= 50 or not isinstance(trunk, ResNet)
        if self.deformable_stages and not (trunk.deforms and has_bottlenecks):
            raise ValueError(
                f"backbone.deformable_stages {self.deformable_stages} with a "
                f"{self.title}; valid: 0, or trunk resnet of depth 50 or 101, resnext, res2net"
            )
        if self.stride_in != "3x3" and not trunk.strides:
            raise ValueError(
                f"backbone.stride_in {self.stride_in} does nothing with trunk {trunk.kind}; "
                "valid: resnet, resnext, res2net"
            )
        return self

    @model_validator(mode="after")
    def _has_a_neck_of_its_trunk(self):
        if isinstance(self.neck, DlaUp) and not isinstance(self.trunk, Dla):
            raise ValueError(
                f"backbone.neck dla_up with trunk {self.trunk.kind}; valid: trunk dla, "
                "or neck fpn, bifpn"
            )
        return self

    def require_levels(self, levels: Levels) -> None:
        """ValueError, with those that its neck gives, unless it can give these."""
        if levels not in self.neck.levels:
            valid = ", ".join(map(str, self.neck.levels))
            raise ValueError(f"levels {levels} with backbone.neck {self.neck.kind}; valid: {valid}")
        if self.p6_from != "p5" and (levels, self.neck.kind) != ((3, 7), "fpn"):
            raise ValueError(f"backbone.p6_from {self.p6_from}; valid levels: (3, 7), of neck fpn")
