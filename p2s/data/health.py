"""Health: what is wrong with a data set in COCO's format, told before any work.

Fast and light on purpose: no numpy, no torch, one pass over the tables.
"""

import gc
import os
from collections import defaultdict
from collections.abc import Callable, Collection
from math import inf
from pathlib import Path

from pydantic_core import from_json

from p2s.data.inside import is_foreign, leaves, outside

LINES = 20  # told of each kind of problem, the others are counted
BORDER = 1  # pixels a box may stick out: COCO's own boxes are rounded
TABLES = ("images", "annotations", "categories")
# Two boxes of COCO train2017 are flat (cocoapi issue 355); reading leaves them out.
COCO_FLAT = {(918, 200365), (2206849, 550395)}  # (annotation, image)

Problems = dict[str, list[str]]  # kind of problem: its lines; missing kinds appear when asked for


def nothing_special(tables: dict, problems: Problems) -> None:
    """COCO's own format has no more rules."""


def check(
    annotation_file: str | Path,
    image_dir: str | Path,
    special: Callable[[dict, Problems], None] = nothing_special,
    mended: Collection[str] = (),
) -> list[str]:
    """Problems of a data set, one line each: file, id, field, what is wrong and what is valid.

    Empty if there are none. Of each kind the first 20 are told and the rest counted. What is
    `special` to a format goes first: it adds lines by kind to `problems` and may name the pictures.
    Of the kinds `mended` nothing is told: in reading, "flat" boxes are left out and those that
    reach "outside" are cut.
    """
    name = Path(annotation_file).name
    collecting = gc.isenabled()
    gc.disable()  # a million small objects that all stay alive: collecting doubles the time
    try:
        problems = _check(Path(annotation_file), Path(image_dir), special)
    finally:
        if collecting:
            gc.enable()
    problems = {kind: lines for kind, lines in problems.items() if kind not in mended}
    return [f"{name}: {line}" for line in all_lines(problems)]


def all_lines(problems: Problems) -> list[str]:
    """The lines of all kinds of problem; of each the first 20, and how many more there are."""
    return [line for lines in problems.values() for line in _shortened(lines)]


def _check(file, folder, special):
    problems = defaultdict(list)
    try:
        data = from_json(file.read_bytes(), cache_strings="keys")
    except OSError as error:
        problems["file"].append(f"cannot be read: {error.strerror}")
        return problems
    except ValueError as error:
        problems["json"].append(f"not valid JSON: {error}")
        return problems
    if not _tables(data, problems):
        return problems
    special(data, problems)
    sizes = _images(data["images"], problems)
    pictures(data["images"], folder, problems)
    categories = _ids(data["categories"], "category", problems)
    _names(data["categories"], problems)
    _annotations(data["annotations"], sizes, categories, problems)
    return problems


def _tables(data, problems):
    if not isinstance(data, dict):
        kind = type(data).__name__
        problems["top"].append(f"top level: {kind} (valid: an object with {', '.join(TABLES)})")
        return False
    for table in TABLES:
        rows = data.get(table, "missing")
        if rows == "missing":
            problems["table"].append(f"{table}: missing (valid: a list)")
        elif not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            problems["table"].append(f"{table}: not a list of objects (valid: a list of objects)")
        elif not rows:
            problems["table"].append(f"{table}: none at all (valid: one or more)")
    return not problems


def _ids(rows, kind, problems):
    """The set of ids of a table's rows."""
    seen = set()
    for number, row in enumerate(rows):
        key = row.get("id")
        if type(key) is not int:
            line = f"{kind} number {number}: id: {shown(row, 'id')} (valid: a whole number)"
            problems[f"{kind} id"].append(line)
        elif key in seen:
            problems[f"{kind} twice"].append(f"{kind} {key}: id: used twice (valid: unique)")
        seen.add(key if type(key) is int else None)
    return seen - {None}


def _names(rows, problems):
    """A class may lack a name, and COCO allows two of the same name."""
    for row in rows:
        if not isinstance(row.get("name", ""), str):
            line = f"category {row.get('id')}: name: {shown(row, 'name')} (valid: a text)"
            problems["name"].append(line)


def _images(rows, problems):
    """Image id: (width, height); None where the size is not known."""
    _ids(rows, "image", problems)
    sizes = {}
    for row in rows:
        key, sides = row.get("id"), (row.get("width"), row.get("height"))
        good = [type(side) is int and side > 0 for side in sides]
        if type(key) is int:
            sizes[key] = sides if all(good) else None
        for field, fine in zip(("width", "height"), good, strict=True):
            if not fine:
                line = f"image {key}: {field}: {shown(row, field)} (valid: pixels, 1 or more)"
                problems["size"].append(line)
    return sizes


def pictures(rows: list[dict], folder: Path, problems: Problems) -> None:
    """Add image rows without a picture in the folder to `problems`.

    To list a folder is cheaper than to ask for each file; only links are resolved one by one.
    """
    root, listings = os.path.realpath(folder), {}
    for row in rows:
        name = row.get("file_name")
        if not isinstance(name, str) or not name:
            line = f"image {row.get('id')}: file_name: {shown(row, 'file_name')} (valid: a path)"
            problems["file name"].append(line)
            continue
        parent, base = _split(name)
        if parent not in listings:
            listings[parent] = _listing(root, folder / parent)
        entries = listings[parent]
        if is_foreign(name) or entries is None or entries.get(base) and leaves(root, folder / name):
            problems["outside of the folder"].append(outside(row, folder))
        elif base not in entries:
            line = f"image {row.get('id')}: file_name: {name}: no such file in {folder}"
            problems["picture"].append(f"{line} (valid: a path relative to it)")


def _split(name):
    parent, _, base = name.rpartition("/")
    return (name, "") if base == ".." else (parent, base)


def _listing(root, folder):
    """The names in a folder, and whether each is a link; None if the folder is not in the root."""
    try:
        if leaves(root, folder):
            return None
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_symlink() for entry in entries}
    except (OSError, ValueError):  # ValueError: what no file system can name
        return {}


def _annotations(rows, sizes, categories, problems):
    for row in rows:
        try:  # the quick way for a sound row; whatever is odd is told by _problems
            x, y, width, height = row["bbox"]
            right, bottom = sizes[row["image_id"]]
            sound = (
                width > 0
                and height > 0
                and x >= -BORDER
                and y >= -BORDER
                and x + width <= right + BORDER
                and y + height <= bottom + BORDER
                and row["category_id"] in categories
                and row.get("iscrowd", 0) in (0, 1)
                and 0 <= row.get("area", 0) < inf
            )
        except (KeyError, TypeError, ValueError):
            sound = False
        if not sound:
            for kind, line in _problems(row, sizes, categories):
                problems[kind].append(f"annotation {row.get('id')}: {line}")
    ids = [row.get("id") for row in rows]
    if set(map(type, ids)) != {int} or len(set(ids)) < len(ids):
        _ids(rows, "annotation", problems)
    if all(row.get("iscrowd", 0) == 1 for row in rows):
        problems["crowd"].append("annotations: every one is a crowd (valid: one or more objects)")


def _problems(row, sizes, categories):
    """(kind, line) of everything wrong with one annotation."""
    image, category = row.get("image_id"), row.get("category_id")
    if type(image) is not int or image not in sizes:
        yield "image", f"image_id: {shown(row, 'image_id')} (valid: an id among the images)"
    if type(category) is not int or category not in categories:
        valid = ", ".join(map(str, sorted(categories)[:10])) + (", ..." * (len(categories) > 10))
        yield "category", f"category_id: {shown(row, 'category_id')} (valid: {valid})"
    if row.get("iscrowd", 0) not in (0, 1):
        yield "iscrowd", f"iscrowd: {shown(row, 'iscrowd')} (valid: 0, 1)"
    area = row.get("area", 0)
    if type(area) not in (int, float) or not 0 <= area < inf:
        yield "area", f"area: {shown(row, 'area')} (valid: square pixels, 0 or more)"
    size = sizes.get(image) if type(image) is int else None
    if (problem := _box_problem(row.get("bbox"), size)) is None:
        return
    kind, line = problem
    if not (kind == "flat" and (row.get("id"), image) in COCO_FLAT):
        yield kind, f"bbox: {shown(row, 'bbox')}: {line}"


def _box_problem(box, size):
    """(kind, what is wrong) of a box, given its image's size if known; None if nothing."""
    if not isinstance(box, list) or len(box) != 4 or {type(v) for v in box} - {int, float}:
        return "bbox", "not four numbers (valid: [x, y, width, height])"
    if any(v != v or abs(v) == inf for v in box):
        return "bbox", "not finite (valid: finite numbers)"
    if min(box[2:]) <= 0:
        kind, word = ("flat", "zero") if min(box[2:]) == 0 else ("bbox", "negative")
        return kind, f"{word} width or height (valid: more than 0)"
    if size is None:
        return None
    over = max(-box[0], -box[1], box[0] + box[2] - size[0], box[1] + box[3] - size[1])
    if over > BORDER:
        return "outside", f"{over:g} pixels outside the image (valid: within {size[0]} x {size[1]})"
    return None


def shown(row: dict, field: str) -> str:
    """The value of a field as it is told: cut short, or that it is missing."""
    return repr(row[field])[:80] if field in row else "missing"


def _shortened(lines):
    more = len(lines) - LINES
    return lines[:LINES] + ([f"... and {more} more like the last line"] if more > 0 else [])
