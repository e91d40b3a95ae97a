"""COCO: reading a data set in COCO's JSON format, from any origin.

Classes are numbered 0..K-1 in the order of the file's category ids. Crowd boxes are kept apart.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from p2s.data.annotation_file import parsed, read
from p2s.data.inside import leads_outside, outside
from p2s.data.names import ImageFolder
from p2s.data.picture import read_picture

PER_IMAGE = ("images", "annotations", "negatives", "not_exhaustive")  # the last two: LVIS's


@dataclass(frozen=True, eq=False)  # equal to itself alone: what is derived from it can be cached
class CocoSet:
    """Images and boxes of one annotation file; pictures are read when asked for."""

    folder: Path
    images: list[dict]  # id, file_name, width, height
    annotations: list[list[dict]]  # per image: the file's entries without segmentation
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]  # class number: the file's id
    fingerprint: str  # SHA-256 of the annotation file
    name: str = field(default="its annotation file", kw_only=True)  # as it is told

    def __len__(self):
        return len(self.images)

    @cached_property
    def trainable(self) -> tuple[int, ...]:
        """Indices of the images with at least one object that is not a crowd."""
        return tuple(i for i, classes in enumerate(self.present) if classes)

    @cached_property
    def present(self) -> list[frozenset[int]]:
        """The set of classes of each image's objects, crowds left out."""
        return [frozenset(self.boxes(i)[1].tolist()) for i in range(len(self))]

    @cached_property
    def image_counts(self) -> np.ndarray:
        """In how many images each class is annotated, (K,): LVIS's `image_count`."""
        of_images = [{item["category_id"] for item in items} for items in self.annotations]
        numbers = [self._number[category] for categories in of_images for category in categories]
        return np.bincount(np.array(numbers, np.int64), minlength=len(self.classes))

    @cached_property
    def _number(self):
        return {category: k for k, category in enumerate(self.category_ids)}

    def first(self, count: int) -> Self:
        """The first images alone."""
        return self.some(range(min(count, len(self))))

    def some(self, indices: Iterable[int]) -> Self:
        """These images alone, in this order."""
        chosen = [*indices]
        of_images = {name: values for name, values in vars(self).items() if name in PER_IMAGE}
        return replace(
            self, **{name: [all_[k] for k in chosen] for name, all_ in of_images.items()}
        )

    def in_order(self, classes: tuple[str, ...]) -> Self:
        """The data with its classes numbered as here; those that it lacks have ids of no row."""
        ids, free = dict(zip(self.classes, self.category_ids, strict=True)), max(self.category_ids)
        given = [ids.get(name, free + k) for k, name in enumerate(classes, 1)]
        return replace(self, classes=classes, category_ids=tuple(given))

    def boxes(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Objects (G, 4) float32 xyxy within the image, their classes (G,), crowds (C, 4)."""
        image, items = self.images[index], self.annotations[index]
        crowd = np.array([item.get("iscrowd", 0) for item in items], bool)
        boxes = np.array([item["bbox"] for item in items], np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        boxes = boxes.clip(0, [image["width"], image["height"]] * 2).astype(np.float32)
        classes = np.array([self._number[item["category_id"]] for item in items], np.int64)
        solid = (boxes[:, 2:] > boxes[:, :2]).all(1)
        objects = solid & ~crowd
        return boxes[objects], classes[objects], boxes[solid & crowd]

    def sample(self, index: int) -> dict:
        """Image (H, W, 3) uint8 RGB with its boxes (G, 4), classes (G,) and crowd boxes (C, 4).

        Raises ValueError, and opens nothing, if the picture's name leads out of the folder; also
        if its size is not that in the annotation file.
        """
        row = self.images[index]
        boxes, classes, crowd = self.boxes(index)
        return {
            "image": self._pixels(index),
            "boxes": boxes,
            "classes": classes,
            "crowd": crowd,
            "image_id": row["id"],
            "height": row["height"],
            "width": row["width"],
        }

    @cached_property
    def _pictures(self):
        return ImageFolder(self.folder)

    def _place(self, name):
        """Where in the folder a picture is, also if its name is not as on the disk."""
        if (self.folder / name).exists():
            return name
        place = self._pictures.place(name) or name
        return name if leads_outside(self.folder, place) else place

    def path(self, index: int) -> Path:
        """Where an image's picture is; ValueError if its name leads out of the folder."""
        row = self.images[index]
        if leads_outside(self.folder, row["file_name"]):  # a link may be newer than the check
            raise ValueError(outside(row, self.folder))
        return self.folder / self._place(row["file_name"])

    def _pixels(self, index):
        row, pixels = self.images[index], read_picture(self.path(index))
        height, width = pixels.shape[:2]
        if (width, height) != (row["width"], row["height"]):
            raise ValueError(
                f"image {row['id']}: {row['file_name']} is {width} x {height}, "
                f"{self.name} says {row['width']} x {row['height']}"
            )
        return pixels


def read_coco(annotation_file: str | Path, image_dir: str | Path) -> CocoSet:
    """A data set from its annotation file and picture folder; `health.check` it first."""
    data = of_tables(*tables(annotation_file), image_dir)
    return replace(data, name=f"{annotation_file}")


def read_pictures(annotation_file: str | Path, image_dir: str | Path) -> CocoSet:
    """The pictures and classes of an annotation file, and no annotation, which none need have.

    ValueError names the file where an image lacks what COCO's have.
    """
    rows, fingerprint = tables(annotation_file)
    try:
        data = of_tables(rows | {"annotations": []}, fingerprint, image_dir)
    except (ValueError, LookupError, TypeError) as error:
        told = "; valid: COCO's JSON with an id, a file_name and a size of each image"
        raise ValueError(f"{annotation_file}: images: {error!r}{told}") from error
    return replace(data, name=f"{annotation_file}")


def tables(annotation_file: str | Path) -> tuple[dict, str]:
    """The tables of an annotation file, by name, and its fingerprint; ValueError names the file."""
    try:
        text = read(annotation_file)
        return parsed(text), hashlib.sha256(text).hexdigest()
    except ValueError as error:
        raise ValueError(f"{annotation_file}: {error}") from None


def class_names(annotation_file: str | Path) -> tuple[str, ...]:
    """The names of an annotation file's classes by number; ValueError if it has none."""
    categories, _ = tables(annotation_file)
    try:
        return _class_names(sorted(categories["categories"], key=lambda row: row["id"]))
    except (ValueError, LookupError, TypeError) as error:
        told = "; valid: COCO's JSON with categories that have an id and a name"
        raise ValueError(f"{annotation_file}: categories: {error!r}{told}") from error


def of_tables(tables: dict, fingerprint: str, image_dir: str | Path) -> CocoSet:
    """A data set from COCO's tables and its picture folder."""
    categories = sorted(tables["categories"], key=lambda row: row["id"])
    fields = ("id", "file_name", "width", "height")
    images = [{name: row[name] for name in fields} for row in tables["images"]]
    for row in images:
        row |= {side: int(row[side]) for side in ("width", "height")}  # 640.0 pixels are 640
    by_image = {row["id"]: [] for row in images}
    for item in tables["annotations"]:
        item.pop("segmentation", None)
        by_image[item["image_id"]].append(item)
    return CocoSet(
        folder=Path(image_dir),
        images=images,
        annotations=[by_image[row["id"]] for row in images],
        classes=_class_names(categories),
        category_ids=tuple(row["id"] for row in categories),
        fingerprint=fingerprint,
    )


def _class_names(categories):
    """The names, each once: with the id after one of several, and the id alone where none is."""
    ids = [row["id"] for row in categories]
    if len({*ids}) < len(ids):
        raise ValueError("an id is used twice")
    names = [row.get("name", str(key)) for row, key in zip(categories, ids, strict=True)]
    while twice := {name for name, count in Counter(names).items() if count > 1}:
        names = [f"{n} ({key})" if n in twice else n for n, key in zip(names, ids, strict=True)]
    return tuple(names)
