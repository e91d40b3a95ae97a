"""Structures: what the detectors of Figure 2 are made of, as a record that git can keep."""

from typing import Literal

from p2s.spec.part import Part
from p2s.study import records
from p2s.study.project import Project

NAME = "structures"
DETECTORS = ("CenterNet*", "CascadeRCNN-RPN", "CenterNet2")  # of Fig. 2, from left to right
SIZE = (800, 1088)  # height and width of the image, in pixels


class Block(Part):
    """Layers of one kind in a row, their channels, and the multiply-adds of an image."""

    layers: int
    channels: int
    multiply_adds: int


class Structure(Part):
    """A built detector; without a second stage it has no heads and no proposals."""

    detector: str
    fusion: str  # that scores its detections
    backbone: str
    levels: tuple[int, int]
    trunk: int  # multiply-adds of backbone and FPN
    towers: tuple[Block, ...]  # convolutions before the dense outputs, which count as theirs
    cells: int  # of the maps of all levels
    anchors: int  # of a cell
    scores: int  # of an anchor: 1, or one a class
    proposals: int  # regions of an image
    heads: tuple[Block, ...]  # fully connected layers of each cascade stage, with its outputs

    @property
    def parts(self) -> dict[str, int]:
        """The multiply-adds of an image by part."""
        blocks = {"dense part": self.towers, "second stage": self.heads}
        sums = {name: sum(block.multiply_adds for block in row) for name, row in blocks.items()}
        return {"backbone": self.trunk, **sums}


class Structures(Part):
    """The Structure of each of DETECTORS, built for images of a size."""

    schema_version: Literal[1] = 1
    id: Literal["structures"] = NAME
    size: tuple[int, int]
    structures: tuple[Structure, ...]
    git: dict[str, str | bool | None] = {}
    versions: dict[str, str] = {}
    machine: dict[str, str | int | None] = {}
    created: str = ""


def recorded(project: Project) -> Structures | None:
    """The project's record of them, or None."""
    kept, _ = records.survey(project.views, Structures)
    return kept.get(NAME)
