"""Fields: what is wrong with single fields of COCO's tables, a line each.

Fast and light on purpose, as `health` is.
"""

from collections.abc import Collection
from sys import float_info
from typing import Any

from p2s.data.checks.problems import Problems, shown

LONGEST = 2**31  # pixels of a side
BORDER = 1  # pixels a box may stick out: COCO's own boxes are rounded
LEAST = 2**-22  # of an image's side that a box shows: of less float32 may see nothing
TABLES = ("images", "annotations", "categories")
# Two boxes of COCO train2017 are flat (cocoapi issue 355); reading leaves them out.
COCO_FLAT = {(918, 200365), (2206849, 550395)}  # (annotation, image)


def are_tables(data: object, problems: Problems, names: Collection[str] = TABLES) -> bool:
    """Whether the content of a file has these of COCO's tables; else what is wrong is added."""
    if not isinstance(data, dict):
        kind = type(data).__name__
        problems["top"].append(f"top level: {kind} (valid: an object with {', '.join(names)})")
        return False
    for table in names:
        rows = data.get(table, "missing")
        if rows == "missing":
            problems["table"].append(f"{table}: missing (valid: a list)")
        elif not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            problems["table"].append(f"{table}: not a list of objects (valid: a list of objects)")
        elif not rows:
            problems["table"].append(f"{table}: none at all (valid: one or more)")
    return not problems


def ids(rows: list[dict], kind: str, problems: Problems) -> set[int]:
    """The ids of a table's rows, each a whole number and used once."""
    seen = set()
    for number, row in enumerate(rows):
        key = row.get("id")
        if type(key) is not int or not -(2**63) <= key < 2**63:
            line = (
                f"{kind} number {number}: id: {shown(row, 'id')} (valid: a whole number of 64 bits)"
            )
            problems[f"{kind} id"].append(line)
        elif key in seen:
            problems[f"{kind} twice"].append(f"{kind} {key}: id: used twice (valid: unique)")
        seen.add(key if type(key) is int else None)
    return seen - {None}


def category_names(rows: list[dict], problems: Problems) -> None:
    """A class may lack a name, and COCO allows two of the same name."""
    for row in rows:
        if not isinstance(row.get("name", ""), str):
            line = f"category {row.get('id')}: name: {shown(row, 'name')} (valid: a text)"
            problems["name"].append(line)


def image_sizes(rows: list[dict], problems: Problems) -> dict[int, tuple[int, int] | None]:
    """Image id: (width, height); None where the size is not known. 640.0 pixels are 640."""
    ids(rows, "image", problems)
    sizes = {}
    for row in rows:
        key, sides = row.get("id"), (row.get("width"), row.get("height"))
        good = [_is_whole(side) and 0 < side < LONGEST for side in sides]
        if type(key) is int:
            sizes[key] = (int(sides[0]), int(sides[1])) if all(good) else None
        for field, fine in zip(("width", "height"), good, strict=True):
            if not fine:
                line = f"{field}: {shown(row, field)} (valid: pixels, 1 or more)"
                problems["size"].append(f"image {shown(row, 'id')}: {line}")
    return sizes


def annotations(rows: list[dict], sizes: dict, categories: set[int], problems: Problems) -> None:
    """Boxes, areas, crowds, and the ids that they refer to."""
    for row in rows:
        if not _is_sound(row, sizes, categories):
            for kind, line in _problems(row, sizes, categories):
                problems[kind].append(f"annotation {shown(row, 'id')}: {line}")
    keys = [row.get("id") for row in rows]
    if set(map(type, keys)) != {int} or len(set(keys)) < len(keys):
        ids(rows, "annotation", problems)
    if all(row.get("iscrowd", 0) == 1 for row in rows):
        problems["crowd"].append("annotations: every one is a crowd (valid: one or more objects)")


def _is_sound(row, sizes, categories):
    """Whether nothing is wrong with an annotation: the quick way, `_problems` says what is."""
    try:
        image, category, (x, y, width, height) = row["image_id"], row["category_id"], row["bbox"]
        right, bottom = sizes[image]
        area, crowd = row.get("area", 0), row.get("iscrowd", 0)
        wide, high = right * LEAST, bottom * LEAST
        return (
            width > wide
            and height > high
            and x + width > wide
            and y + height > high
            and x < right - wide
            and y < bottom - high
            and x >= -BORDER
            and y >= -BORDER
            and x + width <= right + BORDER
            and y + height <= bottom + BORDER
            and category in categories
            and crowd in (0, 1)
            and 0 <= area <= float_info.max
            and bool not in map(type, (image, category, x, y, width, height, area, crowd))
        )
    except (KeyError, TypeError, ValueError):
        return False


def _problems(row, sizes, categories):
    """(kind, line) of everything wrong with one annotation."""
    image, category = row.get("image_id"), row.get("category_id")
    if not _is_whole(image) or image not in sizes:
        yield "image", f"image_id: {shown(row, 'image_id')} (valid: an id among the images)"
    if not _is_whole(category) or category not in categories:
        valid = ", ".join(map(str, sorted(categories)[:10])) + (", ..." * (len(categories) > 10))
        yield "category", f"category_id: {shown(row, 'category_id')} (valid: {valid})"
    if type(crowd := row.get("iscrowd", 0)) is bool or crowd not in (0, 1):
        yield "iscrowd", f"iscrowd: {shown(row, 'iscrowd')} (valid: 0, 1)"
    area = row.get("area", 0)
    if type(area) not in (int, float) or not 0 <= area <= float_info.max:
        yield "area", f"area: {shown(row, 'area')} (valid: square pixels, 0 or more)"
    size = sizes.get(image) if _is_whole(image) else None
    if (problem := box_problem(row.get("bbox"), size)) is None:
        return
    kind, line = problem
    known = _is_whole(row.get("id")) and size and (row["id"], image) in COCO_FLAT
    if not (kind == "flat" and known):
        yield kind, f"bbox: {shown(row, 'bbox')}: {line}"


def box_problem(box: Any, size: tuple[int, int] | None) -> tuple[str, str] | None:
    """(kind, what is wrong) of a box, given its image's size if known; None if nothing."""
    if not isinstance(box, list) or len(box) != 4 or {type(v) for v in box} - {int, float}:
        return "bbox", "not four numbers (valid: [x, y, width, height])"
    if not all(abs(v) <= float_info.max for v in box):
        return "bbox", "not finite (valid: finite numbers)"
    if min(box[2:]) <= 0:
        kind, word = ("flat", "zero") if min(box[2:]) == 0 else ("bbox", "negative")
        return kind, f"{word} width or height (valid: more than 0)"
    if size is None:
        return None
    over = max(-box[0], -box[1], box[0] + box[2] - size[0], box[1] + box[3] - size[1])
    if over > BORDER:
        return "outside", f"{over:g} pixels outside the image (valid: within {size[0]} x {size[1]})"
    if not all(map(_shows, box[:2], box[2:], size)):
        return "flat", f"nothing to see of it within {size[0]} x {size[1]} (valid: pixels within)"
    return None


def _shows(start, length, side):
    """Whether a box that is cut at its image's border has a width, or height, left."""
    return min(start + length, side) - max(start, 0) > side * LEAST


def _is_whole(value):
    return type(value) is int or type(value) is float and value.is_integer()
