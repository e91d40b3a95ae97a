"""Doubts: annotations that are valid and likely not meant, a line each; training can go on.

They are functions of COCO's tables, which `health` has found valid.
"""

from collections import Counter

from p2s.data.checks.problems import Problems

NAMES = 5  # of classes that are told, the others are counted
COUNTED = 100  # detections of a class and image that COCO's AP counts
EQUAL = 1.01  # times the least area of boxes that are of one size, but for rounding
THIN = 100  # times a mask's area that its box may have


def of_training(tables: dict, doubts: Problems, empty: bool = False) -> None:
    """Of a file to train on: also what will never train; `empty` lets images without objects."""
    _of_any(tables, doubts)
    objects = [row for row in tables["annotations"] if not row.get("iscrowd")]
    without = len(tables["images"]) - len({row["image_id"] for row in objects})
    if without and not empty:
        doubts["no objects"].append(
            f"images: {without} of {len(tables['images'])} have no object and do not train"
            " (--set recipe.empty=true lets them)"
        )
    shown = {row["category_id"] for row in objects}
    if odd := [_name(row) for row in tables["categories"] if row["id"] not in shown]:
        doubts["no training object"].append(
            f"categories: {len(odd)} of {len(tables['categories'])} have no object to train on: "
            + _some(odd)
        )


def of_validation(tables: dict, doubts: Problems) -> None:
    """Of a file to evaluate on: also what its AP cannot count."""
    _of_any(tables, doubts)
    if line := crowded(tables["annotations"], {r["id"]: _name(r) for r in tables["categories"]}):
        doubts["crowded"].append(line)


def crowded(annotations: list[dict], names: dict[int, str]) -> str:
    """A line on more objects of a class and image than COCO's AP counts; empty if there are none.

    `names` is of the classes by their ids.
    """
    objects = (row for row in annotations if not row.get("iscrowd"))
    counts = Counter((row["image_id"], row["category_id"]) for row in objects)
    many = {pair: count for pair, count in counts.items() if count > COUNTED}
    if not many:
        return ""
    (image, category), count = max(many.items(), key=lambda item: item[1])
    pairs = f"{len(many)} times" if len(many) > 1 else "once"
    return (
        f"annotations: more than {COUNTED} objects of a class in an image, {pairs} (image {image}: "
        f"{count} of {names[category]}): AP and AR count the best {COUNTED} detections of a class "
        "and image, so perfect ones have less than 100"
    )


def _of_any(tables, doubts):
    boxes = [row["bbox"] for row in tables["annotations"]]
    if all(max(box) <= 1 for box in boxes) and any(side % 1 for box in boxes for side in box):
        doubts["shares"].append(
            "annotations: bbox: no number is above 1: shares of the image?"
            " (valid: pixels; x and width times its width, y and height times its height)"
        )
    if (area := _only_area([row for row in tables["annotations"] if "area" in row])) is not None:
        doubts["area"].append(
            f"annotations: area: {area:g} of every object that has one: APs, APm and APl go by it"
            " (valid: square pixels; left out, it is the box's)"
        )


def _only_area(rows):
    """The one area that all of these have, though it cannot be right; None if there is none."""
    if len({row["area"] for row in rows}) != 1:
        return None
    area, boxes = rows[0]["area"], [row["bbox"][2] * row["bbox"][3] for row in rows]
    least, most = min(boxes), max(boxes)
    has_masks = all(row.get("segmentation") for row in rows)  # one thing, turned, has one area
    is_right = most <= least * EQUAL or has_masks and most / THIN <= area <= least
    return None if area and is_right else area


def _name(row):
    return row.get("name", str(row["id"]))


def _some(names):
    return ", ".join(names[:NAMES]) + f" and {len(names) - NAMES} more" * (len(names) > NAMES)
