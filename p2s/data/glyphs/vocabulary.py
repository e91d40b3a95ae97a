"""Vocabulary: how many objects and images of each class a long-tailed set of scenes has."""

from itertools import compress

import numpy as np

from p2s.data import glyphs
from p2s.data.glyphs import longtail
from p2s.spec import Glyphs

GROUPS = {"f": "frequent", "c": "common", "r": "rare"}
SHOWN = {"shown in": "images", "annotated in": "annotated"}


def counts(data: Glyphs, split: str = "train") -> dict[str, np.ndarray]:
    """By class, (K,): "objects", the "images" that show it and those in which it is "annotated"."""
    plan = glyphs.plan(data, split)
    numbers = {name: np.zeros(data.classes, int) for name in ("objects", *SHOWN.values())}
    for labels, told in zip(plan.labels, annotated(data, split), strict=True):
        np.add.at(numbers["objects"], labels, 1)
        numbers["images"][[*set(labels)]] += 1
        numbers["annotated"][[*set(told)]] += 1
    return numbers


def annotated(data: Glyphs, split: str = "train") -> list[list[int]]:
    """The labels of those objects of each image that are annotated."""
    plan = glyphs.plan(data, split)
    if not plan.federation or (split == "train" and data.unannotated == "labelled"):
        return plan.labels
    told = map(plan.federation.annotated, range(len(plan.labels)), plan.labels)
    return [[*compress(*pair)] for pair in zip(plan.labels, told, strict=True)]


def table(data: Glyphs) -> list[dict]:
    """A line a group of LVIS's classes, or one of all: how many, and training images of a class.

    The power is that of the real frequencies which leaves an object of every class.
    """
    numbers, power = counts(data), glyphs.plan(data, "train").power
    parts = {"all": range(data.classes)}
    if data.imbalance == "lvis":
        groups = longtail.groups(data.classes)
        parts = {name: groups[key] for key, name in GROUPS.items()}
    shown = {name: of for name, of in SHOWN.items() if data.federated or of == "images"}
    return [
        {"classes": name, "number": len(part), "power": power}
        | {f"images, {what}": _range(numbers[of][[*part]]) for what, of in shown.items()}
        for name, part in parts.items()
    ]


def _range(values):
    return f"{values.min()} to {values.max()}, median {np.median(values):g}"
