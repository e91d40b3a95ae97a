"""YOLO: a text file a picture, a line an object, class and box in shares of the picture.

A folder has `data.yaml` (or `classes.txt`), and pictures in `train/images` with labels in
`train/labels` (as Roboflow exports them), in `images/train` with `labels/train` (Ultralytics), or
both in one folder. The paths in `data.yaml` are not used: after a move they lead elsewhere.
"""

import json
import os
from pathlib import Path
from typing import Any

from hotcoco import COCO
from pydantic import BaseModel, ConfigDict, field_validator

from p2s.data.formats.labelled import (
    Format,
    Labelled,
    Parts,
    copied,
    files_by_folder,
    instead,
    linked,
    listed,
    part_of,
    regular,
    sizes,
)
from p2s.data.picture import ENDINGS
from p2s.files import text_of
from p2s.plain_yaml import read_yaml

NAMES = ("data.yaml", "data.yml", "classes.txt")
LAYOUTS = "train/images with train/labels, images/train with labels/train, both in one folder"


class _DataFile(BaseModel):
    """What counts of a `data.yaml`."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    names: list[str] | dict[int, str]
    nc: int | None = None

    @field_validator("names", mode="before")
    @classmethod
    def _are_texts(cls, names: Any) -> Any:
        """Names as given; ValueError for one that YAML takes for no text, as `on`, for true."""
        several = dict(enumerate(names)) if isinstance(names, list) else names
        for number, name in several.items() if isinstance(several, dict) else ():
            if not isinstance(name, str | int | float) or isinstance(name, bool):
                told = f"{json.dumps(name)}, no name; valid: yes, no, on, off and null in quotes"
                raise ValueError(f"{number}: {told}")
        return names


def read(folder: Path) -> Parts:
    """The parts of a data set; a picture without a label file has no objects.

    ValueError in a line that names the file, and the line in it.
    """
    names, parts = class_names(folder), {}
    for place, pictures in files_by_folder(folder, ENDINGS).items():
        labels = _labels(instead(place, folder, "images", "labels"), folder)
        if labels:
            pairs = _pairs(place, pictures, labels)
            parts[part_of(place, folder, "images")] = _labelled(pairs, names)
    if not parts:
        raise ValueError(f"{folder}: no pictures with label files; valid: {LAYOUTS}")
    return Parts(names, parts)


def lines(label: Path) -> list[int]:
    """In which lines of a label file its objects are."""
    text = text_of(label)
    return [number for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def class_names(folder: Path) -> list[str]:
    """The names of classes by number; ValueError if they are nowhere, or contradict each other."""
    there = [folder / name for name in NAMES if os.path.lexists(folder / name)]
    if not there:
        raise ValueError(f"{folder}: no names of classes; valid: {', '.join(NAMES)} in it")
    path = there[0]
    names = _names_of(regular(folder, path))
    if not names or len(set(names)) < len(names):
        twice = next((name for name in names if names.count(name) > 1), None)
        raise ValueError(f"{path}: names: {f'{twice!r} twice' if names else 'none'}")
    return names


def _names_of(path):
    if path.suffix == ".txt":
        return [line.strip() for line in text_of(path).splitlines() if line.strip()]
    told = read_yaml(path, _DataFile)
    names = told.names
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            raise ValueError(f"{path}: names: numbers {sorted(names)}; valid: 0, 1, 2 and so on")
        names = [names[number] for number in range(len(names))]
    if told.nc not in (None, len(names)):
        raise ValueError(f"{path}: nc: {told.nc}, but there are {len(names)} names")
    return names


def _labels(place, root):
    """The label files in a folder, by their names without ending."""
    files = [path for path in listed(place, root, [".txt"]) if path.name not in NAMES]
    return {path.stem: path for path in files if not path.name.startswith("README")}


def _pairs(place, pictures, labels):
    """Each picture with its label file or none; ValueError for one that has no picture."""
    by_stem = {}
    for picture in pictures:
        other = by_stem.setdefault(picture.stem, picture)
        if other != picture:
            raise ValueError(f"{picture}: {other.name} has the same labels; remove one")
    if lost := [label for stem, label in labels.items() if stem not in by_stem]:
        raise ValueError(f"{lost[0]}: no picture of this name in {place}")
    return [(picture, labels.get(stem)) for stem, picture in by_stem.items()]


def _labelled(pairs, names):
    pictures = [picture for picture, _ in pairs]
    seen = sizes(pictures)
    found = _objects(pairs, names)
    return [
        Labelled(picture, label, size, [_as_seen(row, stored, size) for row in objects])
        for (picture, label), size, (stored, objects) in zip(pairs, seen, found, strict=True)
    ]


def _objects(pairs, names):
    """Of each pair the size that hotcoco reads, of the picture as stored, and the objects."""
    has = [number for number, (_, label) in enumerate(pairs) if label]
    labels = {f"{number}.txt": pairs[number][1] for number in has}
    # of pictures hotcoco knows a few endings, and Pillow their contents
    pictures = {f"{number}.jpg": pairs[number][0] for number in has}
    with copied(labels, _plain) as folder, linked(pictures) as beside:
        # by number: of YAML it reads a part
        (Path(folder) / "data.yaml").write_text(f"names: {[str(k) for k in range(len(names))]}")
        read = COCO.from_yolo(folder, images_dir=beside).dataset
    found = [((1, 1), []) for _ in pairs]
    numbers = {row["id"]: int(row["file_name"]) for row in read["images"]}
    for row in read["images"]:
        found[numbers[row["id"]]] = ((row["width"], row["height"]), [])
    for row in read["annotations"]:
        told = {"bbox": row["bbox"], "iscrowd": 0, "category": names[row["category_id"] - 1]}
        found[numbers[row["image_id"]]][1].append(told)
    return found


def _plain(label):
    """What hotcoco reads of a label file; of one that is no text it does not say which."""
    return text_of(label).encode()


def _as_seen(row, stored, size):
    """An object in pixels of the picture as it is seen: shares are of that one."""
    across, down = size[0] / stored[0], size[1] / stored[1]
    x, y, width, height = row["bbox"]
    return row | {"bbox": [x * across, y * down, width * across, height * down]}


YOLO = Format(read, lines)
