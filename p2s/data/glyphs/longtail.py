"""Long tail: how frequent each class is, in which scene it stands, and what is annotated there.

All is planned before anything is drawn, so that counts are exact: in training as uneven as they
can be with an object of every class, in validation as even as they can be. N images, K classes.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from p2s.spec import Glyphs

LVIS_V1_IMAGES = Path(__file__).with_name("lvis_v1_images.txt")
LEAST = {"train": 1, "val": 5}  # objects of every class
LVIS_GROUPS = {"f": 405, "c": 461, "r": 337}  # classes, from the most frequent on
DECADES = 4  # Objects365: a geometric series over so many powers of ten; an assumption
# Ours; with half, an image is positive for as many classes as LVIS v1's, 3.6.
ANNOTATED = 0.5  # of the images that show a class, those in its positive set
NEGATIVES = 6  # classes an image that are known to be absent, on average
NOT_EXHAUSTIVE = 0.1  # of a positive set, images in which only one object of the class is annotated


@dataclass(frozen=True)
class Federation:
    """What the annotation tells of each image: sets of class numbers (Gupta et al., 2019)."""

    positives: list[set[int]]
    negatives: list[set[int]]
    not_exhaustive: list[set[int]]

    def annotated(self, image: int, labels: Iterable[int]) -> list[bool]:
        """Whether each object of an image is annotated, from the labels of all in their order."""
        seen, known = set(), []
        for label in labels:
            surplus = label in seen and label in self.not_exhaustive[image]
            known.append(label in self.positives[image] and not surplus)
            seen.add(label)
        return known


@dataclass(frozen=True)
class Plan:
    """The labels of each image's objects, and what the annotation tells of them."""

    labels: list[list[int]]
    power: float  # of the real frequencies
    federation: Federation | None


def plan(glyphs: Glyphs, split: str, counts: list[int]) -> Plan:
    """Labels for images of so many objects each; the same whether annotation is federated or not.

    Raises ValueError if they are too few for the classes.
    """
    slots, least = sum(counts), LEAST[split]
    if slots < least * glyphs.classes:
        raise ValueError(
            f"glyphs: {len(counts)} {split} images hold {slots} objects; "
            f"valid: {least * glyphs.classes} or more, {least} of each of {glyphs.classes} classes"
        )
    frequency = frequencies(glyphs.imbalance, glyphs.classes)
    exponent = power(frequency, slots, least) if split == "train" else 0.0
    entropy = (glyphs.seed, list(LEAST).index(split), 0, 1)  # a scene's has no fourth number
    dealing, telling = map(np.random.default_rng, np.random.SeedSequence(entropy).spawn(2))
    labels = deal(dealing, quotas(frequency**exponent, slots), counts)
    known = federate(telling, labels, glyphs.classes) if glyphs.federated else None
    return Plan(labels, exponent, known)


def frequencies(imbalance: str, classes: int) -> np.ndarray:
    """How frequent each class is in the real data, (K,): images, for Objects365 any unit."""
    share = ranks(classes) / max(classes - 1, 1)  # 0 the most frequent class, 1 the least
    if imbalance == "objects365":
        return 10.0 ** (-DECADES * share)
    images = lvis_images()
    return np.exp(np.interp(share * (len(images) - 1), np.arange(len(images)), np.log(images)))


@cache
def lvis_images() -> np.ndarray:
    """The training images of each class of LVIS v1, (1203,), from the most frequent on."""
    lines = LVIS_V1_IMAGES.read_text().splitlines()
    return np.array([float(count) for line in lines[1:] for count in line.split()])


def groups(classes: int) -> dict[str, list[int]]:
    """The class numbers of LVIS's groups "f", "c" and "r"; of any number of classes as large."""
    ends = np.cumsum(list(LVIS_GROUPS.values())) * classes / sum(LVIS_GROUPS.values())
    parts = np.split(np.argsort(ranks(classes)), ends.round().astype(int)[:-1])
    return {name: sorted(part.tolist()) for name, part in zip(LVIS_GROUPS, parts, strict=True)}


def ranks(classes: int) -> np.ndarray:
    """The rank of each class, 0 the most frequent: shuffled, or one style would be the rare one."""
    return np.random.default_rng(0).permutation(classes)


def power(frequency: np.ndarray, slots: int, least: int) -> float:
    """The highest power, in hundredths up to 1, that gives every class a share of `least` slots.

    0 if none does.
    """
    for hundredths in range(100, 0, -1):
        weight = frequency ** (hundredths / 100)
        if slots * weight.min() >= least * weight.sum():
            return hundredths / 100
    return 0.0


def quotas(weight: np.ndarray, slots: int) -> np.ndarray:
    """The slots in proportion to weights (K,), as whole numbers by largest remainder."""
    exact = slots * weight / weight.sum()
    whole = exact.astype(int)
    remainders = np.argsort(whole - exact, kind="stable")
    whole[remainders[: slots - whole.sum()]] += 1
    return whole


def deal(rng: np.random.Generator, quotas: np.ndarray, counts: Sequence[int]) -> list[list[int]]:
    """The labels of each image, as many as its count: each class as often as its quota."""
    labels = rng.permutation(np.repeat(np.arange(len(quotas)), quotas))
    return [part.tolist() for part in np.split(labels, np.cumsum(counts)[:-1])]


def federate(rng: np.random.Generator, labels: list[list[int]], classes: int) -> Federation:
    """A positive and a negative set of images for each class, as images' sets of classes.

    A class that is in any image is positive in at least one.
    """
    shown = np.zeros((classes, len(labels)), bool)
    for image, present_labels in enumerate(labels):
        shown[present_labels, image] = True
    told = Federation(*([set() for _ in labels] for _ in range(3)))
    for k in range(classes):
        sides = (shown[k], ~shown[k])
        present, absent = (rng.permutation(np.flatnonzero(side)) for side in sides)
        positive = present[: math.ceil(ANNOTATED * len(present))]
        negative = absent[: math.ceil(NEGATIVES * len(labels) / classes)]
        partial = positive[rng.random(len(positive)) < NOT_EXHAUSTIVE]
        _add(k, told.positives, positive)
        _add(k, told.negatives, negative)
        _add(k, told.not_exhaustive, partial)
    return told


def _add(label, sets, images):
    for image in images:
        sets[image].add(label)
