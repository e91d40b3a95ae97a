"""Spec: a row of the paper's tables as typed, frozen data, and what identifies it."""

from p2s.spec.backbone import Backbone, Pixels
from p2s.spec.changes import merge
from p2s.spec.data import Coco, Glyphs
from p2s.spec.detector import Spec, Test
from p2s.spec.first_stage import FirstStage
from p2s.spec.names import NAMED
from p2s.spec.recipe import Recipe
from p2s.spec.second_stage import SecondStage

__all__ = [
    "Backbone",
    "Coco",
    "FirstStage",
    "Glyphs",
    "NAMED",
    "Pixels",
    "Recipe",
    "SecondStage",
    "Spec",
    "Test",
    "merge",
]
