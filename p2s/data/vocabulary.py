"""Vocabulary: how many objects and images of each class a long-tailed set of scenes has."""

from itertools import compress

import numpy as np

from p2s.data import glyphs, longtail
from p2s.spec import Glyphs

GROUPS = {"f": "frequent", "c": "common", "r": "rare"}
SHOWN = {"shown in": "images", "annotated in": "annotated"}


def counts(data: Glyphs, split: str = "train") -> dict[str, np.ndarray]:
    """By class, (K,): "objects", the "images" that show it and those in which it is "annotated"."""
    plan = glyphs.plan(data, split)
    found = {name: np.zeros(data.classes, int) for name in ("objects", *SHOWN.values())}
    for image, labels in enumerate(plan.labels):
        told = labels
        if plan.federation:
            told = compress(labels, plan.federation.annotated(image, labels))
        np.add.at(found["objects"], labels, 1)
        found["images"][[*set(labels)]] += 1
        found["annotated"][[*set(told)]] += 1
    return found


def table(data: Glyphs) -> list[dict]:
    """A line a group of classes: how many they are, and the range of training images of one.

    The power is that of the real frequencies which leaves an object of every class.
    """
    found, power = counts(data), glyphs.plan(data, "train").power
    parts = longtail.groups(data.classes)
    return [
        {"classes": name, "number": len(parts[key]), "power": power}
        | {f"images, {what}": _range(found[of][parts[key]]) for what, of in SHOWN.items()}
        for key, name in GROUPS.items()
    ]


def _range(values):
    return f"{values.min()} to {values.max()}, median {np.median(values):g}"
