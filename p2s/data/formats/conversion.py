"""Conversion: a folder of labels in another format as COCO's JSON, a file for each of its parts."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from p2s.data.checks.fields import box_problem
from p2s.data.formats.labelled import Format, Labelled
from p2s.files import write_atomic

DIGITS = 4  # of pixels behind the point


class Written(NamedTuple):
    """A file that a conversion wrote, and what is in it."""

    path: Path
    pictures: int
    empty: int  # of them without objects
    objects: int


def convert(folder: Path, output: Path, form: Format) -> list[Written]:
    """Write each part of a data set as `output`/PART.json, its pictures' names within `folder`.

    All parts have the same classes. Nothing is written before all is read. ValueError in a line
    that names the file, and the line in it: of what cannot be read, of a box that is flat or more
    than a pixel outside its picture, of a size that is not the picture's, where nothing is
    labelled, and of a file in `output` that holds something else.
    """
    classes, parts = form.read(folder)
    if not any(each.objects for part in parts.values() for each in part):
        raise ValueError(f"{folder}: no label file has an object")
    tables = {
        output / f"{name}.json": _tables(part, classes, folder, form)
        for name, part in parts.items()
    }
    texts = {path: json.dumps(table).encode() for path, table in tables.items()}
    for path, text in texts.items():
        if path.exists() and not (path.is_file() and path.read_bytes() == text):
            raise ValueError(f"{path} holds something else: choose another folder, or remove it")
    for path, text in texts.items():
        write_atomic(path, text)
    return [_written(path, table) for path, table in tables.items()]


def _tables(part: list[Labelled], classes: list[str], folder: Path, form: Format) -> dict[str, Any]:
    """COCO's tables of a part; images, annotations and classes are numbered from 1."""
    number = {name: k for k, name in enumerate(classes, 1)}
    images, annotations = [], []
    for each in part:
        size = dict(zip(("width", "height"), each.size, strict=True))
        name = each.picture.relative_to(folder).as_posix()
        images.append({"id": len(images) + 1, "file_name": name} | size)
        for index, row in enumerate(each.objects):
            box = _box(each, index, form)
            about = {"id": len(annotations) + 1, "image_id": len(images)}
            about |= {"category_id": number[row["category"]], "iscrowd": row["iscrowd"]}
            annotations.append(about | {"bbox": box, "area": round(box[2] * box[3], DIGITS)})
    categories = [{"id": k, "name": name} for name, k in number.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def _box(each, index, form):
    """An object's box, rounded and cut at the border; ValueError names the line it is from."""
    box = [round(value, DIGITS) for value in each.objects[index]["bbox"]]
    if problem := box_problem(box, each.size):
        line = form.lines(each.label)[index]
        raise ValueError(f"{each.label}: line {line}: box {box}: {problem[1]}")
    x, y, width, height = box
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + width, each.size[0]), min(y + height, each.size[1])
    return [left, top, round(right - left, DIGITS), round(bottom - top, DIGITS)]


def _written(path, table):
    images, annotations = table["images"], table["annotations"]
    full = {row["image_id"] for row in annotations}
    return Written(path, len(images), len(images) - len(full), len(annotations))
