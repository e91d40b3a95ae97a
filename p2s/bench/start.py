"""The start of a training on a set of COCO's size: seconds and memory until the first batch."""

import gc
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from p2s.bench.timing import peak_memory
from p2s.data import coco, health
from p2s.data.loader import batch_indices
from p2s.scratch import scratch

IMAGES, OBJECTS, CLASSES = 118_287, 860_001, 80  # of COCO's train2017
WIDTH, HEIGHT = 640, 480  # of its pictures
CORNERS = 20  # of a polygon, which COCO's file is mostly made of
BATCH = 16  # Sec. 5


def start_times(share: float) -> dict[str, Any]:
    """Seconds of each step, and the most memory of this process meanwhile in MB, a row each.

    The annotations are invented, of so large a share of COCO's training set; so are its pictures,
    of which the check reads the headers and no step more.
    """
    with scratch() as folder:
        file, rows = invented(folder, share), []
        problems = _timed(rows, "health check", lambda: health.check(file, folder))
        data = _timed(rows, "reading", lambda: coco.read_coco(file, folder))
        _timed(rows, "first batch", lambda: batch_indices(data, BATCH, 0, 0))
        _timed(rows, "another batch", lambda: batch_indices(data, BATCH, 0, 1))
        facts = {"images": len(data), "problems": len(problems), "bytes": file.stat().st_size}
        return {"rows": rows, **facts}


def _timed(rows, way, step):
    gc.collect()  # what was needed to invent the file is no part of a start
    peak, begun = [], time.perf_counter()
    with peak_memory(peak):
        done = step()
    rows.append({"way": way, "total": time.perf_counter() - begun, "memory": (peak or [None])[0]})
    return done


def invented(folder: Path, share: float) -> Path:
    """Write annotations of a share of COCO's size, and a blank picture for each of its own."""
    images, objects = round(IMAGES * share), round(OBJECTS * share)
    rng = np.random.default_rng(0)
    owner, label = rng.integers(0, images, objects), rng.integers(0, CLASSES, objects)
    boxes = np.column_stack([rng.uniform(0, 400, (objects, 2)), rng.uniform(5, 80, (objects, 2))])
    polygon = rng.uniform(0, 480, 2 * CORNERS).round(2).tolist()
    tables = {
        "images": [_image(number) for number in range(images)],
        "categories": [{"id": k, "name": str(k)} for k in range(CLASSES)],
        "annotations": [
            _annotation(*row, polygon)
            for row in zip(
                range(objects), owner.tolist(), label.tolist(), boxes.round(2).tolist(), strict=True
            )
        ],
    }
    blank = io.BytesIO()
    Image.new("1", (WIDTH, HEIGHT)).save(blank, "png")  # 100 bytes; their ending does not matter
    for image in tables["images"]:
        (folder / image["file_name"]).write_bytes(blank.getvalue())
    file = folder / "annotations.json"
    file.write_text(json.dumps(tables))
    return file


def _image(number):
    return {"id": number, "file_name": f"{number:012d}.jpg", "width": WIDTH, "height": HEIGHT}


def _annotation(number, image, label, box, polygon):
    names = {"id": number + 1, "image_id": image, "category_id": label, "iscrowd": 0}
    return {**names, "bbox": box, "area": box[2] * box[3], "segmentation": [polygon]}
