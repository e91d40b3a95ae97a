"""Glyphs: scenes of rotated, overlapping characters, drawn from a seed without any download.

Image i of (seed, split) is always the same bytes. Scenery, objects and fragments have streams of
their own, so the labelled objects of an image are the same whatever the share of fragments.
"""

import hashlib
from dataclasses import asdict, replace
from functools import lru_cache

import numpy as np

from p2s.data.glyphs import ink, layout, longtail
from p2s.files import canonical_hash
from p2s.spec import Glyphs
from p2s.spec.memory import require_scenes

SPLITS = ("train", "val")


def fingerprint(glyphs: Glyphs, split: str) -> str:
    """The identity of the scenes of a split; the size of the other split has no part in it.

    It is of the settings and of the first scene's bytes, which another version of a font or of a
    library may draw otherwise. ValueError for scenes that this machine has not the memory of.
    """
    require_scenes(glyphs)
    glyphs = glyphs if split == "train" else hidden(glyphs)
    settings = glyphs.model_dump(mode="json", exclude=set(SPLITS) - {split})
    for name in glyphs.left_out():
        del settings[name]
    drawing = ink.DIFFICULTY, layout.CROWDING
    parts = [settings, split, *map(asdict, drawing), _first_bytes(glyphs, split, *drawing)]
    return canonical_hash(parts)


def scene(glyphs: Glyphs, split: str, index: int) -> tuple[np.ndarray, list[dict]]:
    """Image (size, size, 3) uint8 RGB and its objects {"bbox": [x, y, width, height], "label"}.

    A box is tight around the object's visible ink, but for `looseness`. No object is hidden by
    more than half. Where not all is annotated, objects also tell whether they are "annotated", and
    where truth is by chance their "character".
    """
    if glyphs.characters > ink.LABELS:
        valid = f"valid: 1 to {ink.LABELS}"
        raise ValueError(f"glyphs: {glyphs.characters} classes or chances; {valid}")
    scenery, objects, scraps, chance, others, hand = _streams(glyphs, split, index)
    planned = plan(glyphs, split) if glyphs.imbalance else None
    labels = planned and planned.labels[index]
    picture = ink.paper(scenery, glyphs.size)
    brightness = float(np.asarray(picture.convert("L")).mean())
    ground = ink.Ground(glyphs.size, brightness, glyphs.contrast)
    stamps, annotations = layout.arrange(
        objects, ground, glyphs.characters, labels, _crowding(glyphs)
    )
    mean, classes = ink.DIFFICULTY.fragments * glyphs.fragments, range(glyphs.characters)
    parts = layout.scattered(scraps, stamps, classes, mean, ground, ink.fragment)
    whole = layout.scattered(others, stamps, _no_classes(glyphs), glyphs.strangers, ground)
    for mask, corner, fill in whole + parts + stamps:
        ink.stamp(picture, mask, corner, fill, brightness)
    if glyphs.looseness:
        annotations = [_loosely(hand, item, glyphs) for item in annotations]
    if glyphs.chances:
        annotations = [_by_chance(chance, item, dealt(glyphs)) for item in annotations]
    if planned and planned.federation:
        annotations = _told(planned.federation, index, annotations)
    return ink.grain(scenery, picture, glyphs.noise), annotations


def dealt(glyphs: Glyphs) -> tuple[tuple[float, float], ...]:
    """The chances of each character: dealt one character further with each seed.

    So over seeds no chance is tied to a character that is easier to learn than others.
    """
    first = -glyphs.seed % max(1, len(glyphs.chances))
    return glyphs.chances[first:] + glyphs.chances[:first]


def plan(glyphs: Glyphs, split: str) -> longtail.Plan:
    """What stands in each scene of a split with an imbalance, and what is annotated there."""
    return _plan(glyphs, split, _crowding(glyphs))


def names(glyphs: Glyphs) -> tuple[str, ...]:
    """The names of the classes: a character, and its style from the 70th class on."""
    return tuple("AB") if glyphs.chances else tuple(map(ink.name, range(glyphs.classes)))


def hidden(glyphs: Glyphs) -> Glyphs:
    """The same scenes and annotation, whatever training is told besides."""
    return glyphs.model_copy(update={"unannotated": "hidden"})


def _streams(glyphs, split, index):
    """A scene's random numbers: scenery, objects, fragments, truth by chance, strangers, boxes."""
    entropy = (glyphs.seed, SPLITS.index(split), index)
    return map(np.random.default_rng, np.random.SeedSequence(entropy).spawn(6))


@lru_cache(maxsize=4)
def _plan(glyphs, split, crowding):
    streams = [list(_streams(glyphs, split, index)) for index in range(getattr(glyphs, split))]
    return longtail.plan(
        glyphs, split, [layout.count(objects, crowding) for _, objects, *_ in streams]
    )


def _no_classes(glyphs):
    """The labels of strangers: plain characters, while there are others than the classes."""
    plain = len(ink.CHARACTERS)
    return range(glyphs.characters, plain if glyphs.characters < plain else ink.LABELS)


def _crowding(glyphs):
    return replace(
        layout.CROWDING,
        mean=glyphs.objects,
        median=glyphs.size_median,
        spread=glyphs.size_spread,
        largest=glyphs.largest,
    )


def _told(federation, index, annotations):
    """The objects of a scene, and whether each is annotated."""
    known = federation.annotated(index, [item["label"] for item in annotations])
    return [{**a, "annotated": k} for a, k in zip(annotations, known, strict=True)]


def _loosely(rng, item, glyphs):
    """An object whose box was drawn by hand: each side is off by chance, and inside the image."""
    x, y, width, height = item["bbox"]
    sides = np.array([width, height])
    first, last = glyphs.looseness * rng.standard_normal((2, 2)) * sides + (x, y)
    first = first.clip(0, glyphs.size - 1)
    last = (last + sides).clip(first + 1, glyphs.size)
    return {**item, "bbox": np.concatenate([first, last - first]).round(2).tolist()}


def _by_chance(rng, item, chances):
    """An object with a label of 0 for A or 1 for B, and whether it is annotated."""
    annotated, first = rng.random(2) < chances[item["label"]]
    drawn = {"character": item["label"], "label": int(not first), "annotated": bool(annotated)}
    return {**item, **drawn}


@lru_cache
def _first_bytes(glyphs, split, *_drawing):
    """A digest of scene 0, kept for as long as nothing that it depends on is changed."""
    image, annotations = scene(glyphs, split, 0)
    return canonical_hash([hashlib.sha256(image.tobytes()).hexdigest(), annotations])
