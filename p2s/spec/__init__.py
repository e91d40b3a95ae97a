"""Spec: a row of the paper's tables as typed, frozen data, and what identifies it."""

from p2s.spec.data import Coco, Glyphs
from p2s.spec.detector import Backbone, FirstStage, Recipe, SecondStage, Spec, Test, merge
from p2s.spec.names import NAMED

__all__ = [
    "Backbone",
    "Coco",
    "FirstStage",
    "Glyphs",
    "NAMED",
    "Recipe",
    "SecondStage",
    "Spec",
    "Test",
    "merge",
]
