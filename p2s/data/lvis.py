"""LVIS: reading a data set that is annotated federated, in LVIS's format (Gupta et al., 2019).

In an image some classes are annotated, some are known to be absent, and of all others nothing is
known.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from p2s.data import coco, health
from p2s.data.checks.pictures import hold
from p2s.data.checks.problems import shown
from p2s.data.coco import CocoSet

MOST = {"r": 10, "c": 100}  # training images of a rare and of a common class, LVIS v1
LISTS = ("neg_category_ids", "not_exhaustive_category_ids")  # of an image


@dataclass(frozen=True, eq=False)
class LvisSet(CocoSet):
    """A CocoSet with what LVIS says of an image besides its boxes, in class numbers."""

    negatives: list[frozenset[int]]  # per image: classes that are known to be absent
    not_exhaustive: list[frozenset[int]]  # per image: classes of which objects may lack a box
    groups: dict[str, list[int]]  # class numbers by "r", "c" and "f"
    # Per image: objects without annotation, (U, 4) xyxy; only synthetic scenes can tell.
    unannotated: dict[int, np.ndarray] = field(default_factory=dict)

    def in_order(self, classes: tuple[str, ...]) -> Self:
        """As a CocoSet's; also the lists of the images, and the groups, are numbered so."""
        number = {k: classes.index(name) for k, name in enumerate(self.classes)}
        lists = {
            field: [frozenset(number[k] for k in of_image) for of_image in getattr(self, field)]
            for field in ("negatives", "not_exhaustive")
        }
        of_group = {name: sorted(number[k] for k in group) for name, group in self.groups.items()}
        return replace(super().in_order(classes), **lists, groups=of_group)

    def sample(self, index: int) -> dict:
        """As a CocoSet's, with what training may ask of an object besides its box and class.

        "fields": `gt_annotated` (G,), whether it is, and `gt_known` (G, K), in each row the
        classes that the image's annotation tells of. Unannotated boxes come last, of class 0.
        """
        row = super().sample(index)
        extra = self.unannotated.get(index, np.zeros((0, 4), np.float32))
        boxes = np.concatenate((row["boxes"], extra))
        known = np.zeros(len(self.classes), bool)
        known[list(self.present[index] | self.negatives[index])] = True
        return row | {
            "boxes": boxes,
            "classes": np.concatenate((row["classes"], np.zeros(len(extra), np.int64))),
            "fields": {
                "gt_annotated": np.arange(len(boxes)) < len(row["boxes"]),
                "gt_known": np.broadcast_to(known, (len(boxes), len(known))),
            },
        }


def read_lvis(annotation_file: str | Path, image_dir: str | Path) -> LvisSet:
    """A data set from its annotation file and picture folder; `check` it first.

    Pictures are under the folder as in `coco_url`: train2017/000000391895.jpg. Raises ValueError
    for an image without LVIS's lists, or with an unknown category in them. The groups are those
    of this file's own counts: a validation set takes the training set's.
    """
    tables, fingerprint = coco.tables(annotation_file)
    name_pictures(tables["images"])
    data = coco.of_tables(tables, fingerprint, image_dir)
    number = {category: k for k, category in enumerate(data.category_ids)}
    for row in tables["images"]:
        for line in _list_problems(row, number):
            raise ValueError(f"{annotation_file}: {line}")
    negatives, not_exhaustive = (
        [frozenset(number[category] for category in row[name]) for row in tables["images"]]
        for name in LISTS
    )
    told = {"negatives": negatives, "not_exhaustive": not_exhaustive}
    known = vars(data) | {"name": f"{annotation_file}"}
    return LvisSet(**known, **told, groups=groups(data.image_counts))


def check(
    annotation_file: str | Path,
    image_dir: str | Path,
    mended: Collection[str] = (),
    look: health.Look = hold,
) -> list[str]:
    """Problems of a data set in LVIS's format, told as `health.check` tells those of COCO's."""
    return health.check(annotation_file, image_dir, _special, mended, look)


def name_pictures(rows: list[dict]) -> None:
    """Give image rows the file name that LVIS v1 leaves to `coco_url`: its last two parts."""
    for row in rows:
        if isinstance(url := row.get("coco_url"), str):
            row["file_name"] = "/".join(url.split("/")[-2:])


def groups(image_counts: np.ndarray) -> dict[str, list[int]]:
    """The numbers of the rare, common and frequent classes, as "r", "c" and "f".

    `image_counts` (K,) are those of the training file: rare is at most 10 images, common at most
    100 (LVIS v1).
    """
    group = np.searchsorted(list(MOST.values()), image_counts)  # 0, 1, 2
    return {name: np.flatnonzero(group == k).tolist() for k, name in enumerate("rcf")}


def _special(tables, problems):
    name_pictures(tables["images"])
    categories = {row.get("id") for row in tables["categories"] if type(row.get("id")) is int}
    annotated = defaultdict(set)
    for item in tables["annotations"]:
        image, category = item.get("image_id"), item.get("category_id")
        if type(image) is type(category) is int:
            annotated[image].add(category)
    for row in tables["images"]:
        if lines := list(_list_problems(row, categories)):
            problems["lists"] += lines
        elif type(row.get("id")) is int:
            for category in sorted(annotated[row["id"]].intersection(row[LISTS[0]])):
                line = f"image {row['id']}: {LISTS[0]}: {category} is annotated in the image"
                problems["negative"].append(f"{line} (valid: categories without an object in it)")


def _list_problems(row, categories):
    """What is wrong with the lists of an image, a line each."""
    for name in LISTS:
        ids, start = row.get(name), f"image {row.get('id')}: {name}"
        if not isinstance(ids, list) or any(type(category) is not int for category in ids):
            yield f"{start}: {shown(row, name)} (valid: a list of category ids)"
        else:
            for category in ids:
                if category not in categories:
                    yield f"{start}: {category} (valid: an id among the categories)"
