"""A data set in LVIS's format, for tests: three images, three classes, five boxes."""

import json

from PIL import Image

URL = "http://images.cocodataset.org"
PICTURES = ("train2017/001.jpg", "val2017/002.jpg", "train2017/003.jpg")


def sound():
    """Images 1, 2 and 3 and the categories 2, 5 and 9, as LVIS v1 writes them."""
    lists = (([5], [2]), ([], []), ([2, 9], []))
    images = [
        {"id": k, "coco_url": f"{URL}/{name}", "width": 64, "height": 48}
        | {"neg_category_ids": negative, "not_exhaustive_category_ids": partial}
        for k, (name, (negative, partial)) in enumerate(zip(PICTURES, lists, strict=True), 1)
    ]
    shown = ((1, 2), (1, 2), (1, 9), (2, 2), (3, 5))
    boxes = [
        {"id": k, "image_id": image, "category_id": category, "bbox": [1, 2, 30, 20], "area": 6.5}
        | {"segmentation": [[1, 2, 31, 2, 31, 22]]}
        for k, (image, category) in enumerate(shown, 1)
    ]
    names = [{"id": k, "name": f"class {k}", "frequency": "r"} for k in (9, 2, 5)]
    return {"images": images, "annotations": boxes, "categories": names}


def named():
    """The same with file names, so that it is in COCO's format too."""
    tables = sound()
    for row, name in zip(tables["images"], PICTURES, strict=True):
        row["file_name"] = name
    return tables


def draw(folder):
    """Write the three pictures; their red is their id."""
    for k, name in enumerate(PICTURES, 1):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 48), (k, 0, 0)).save(folder / name)


def written(folder, tables, name="a.json"):
    """The path of the tables as a file."""
    (folder / name).write_text(json.dumps(tables))
    return folder / name
