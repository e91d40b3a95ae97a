"""Validation pictures that records have seen, drawn or read again, and whose they are."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from p2s.data import glyphs
from p2s.data.catalogue import credit
from p2s.data.coco import CocoSet, read_coco
from p2s.report.results import Results
from p2s.spec import Glyphs
from p2s.study.project import Project
from p2s.study.records import Record


class Shown(NamedTuple):
    """A validation picture: (H, W, 3) uint8, and its objects (x1, y1, x2, y2, class)."""

    pixels: np.ndarray
    objects: list[list[float]]
    classes: tuple[str, ...]


class Source(NamedTuple):
    """Pictures of one origin by image id, what they are called, and whose they are."""

    picture: Callable[[int], Shown]
    short: str
    name: str
    credit: str = ""  # of photographs alone


def source(record: Record, results: Results, project: Project) -> Source | None:
    """Where the pictures of a record are from; None of photographs that are not to be shown."""
    data = record.spec["data"]
    where = f"({results.name}, scale {results.scale})"
    if data["kind"] == "glyphs":
        return Source(partial(_drawn, Glyphs(**data)), results.name, f"Synthetic scenes {where}")
    images, annotations = project.root / data["images"], project.root / data["val"]
    whose = credit(images, project.root)
    if not (whose and annotations.is_file()):
        return None
    photographs = read_coco(annotations, images)
    if photographs.fingerprint != record.val_fingerprint:
        return None
    return Source(partial(_taken, photographs), results.name, f"Photographs {where}", whose)


def _drawn(data: Glyphs, image_id) -> Shown:
    pixels, drawn = glyphs.scene(data, "val", image_id)
    objects = [[*item["bbox"], item["label"]] for item in drawn]
    corners = [[x, y, x + wide, y + high, label] for x, y, wide, high, label in objects]
    return Shown(pixels, corners, glyphs.names(data))


def _taken(photographs: CocoSet, image_id) -> Shown:
    [index] = [k for k, row in enumerate(photographs.images) if row["id"] == image_id]
    sample = photographs.sample(index)
    objects = np.hstack([sample["boxes"], sample["classes"][:, None]])
    return Shown(sample["image"], objects.tolist(), photographs.classes)
