"""Packed: all records in one page below a megabyte, which page/runs.js opens and draws.

Of a record it holds numbers, settings, losses at a few places, and its scenes' detections above a
score; a scene's picture and its objects are held once for all records that have seen it.
"""

import base64
import io
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from p2s.data import glyphs
from p2s.report.runs.listed import METRICS, Listed, fusion, minutes
from p2s.report.style import SHOWN_ABOVE
from p2s.spec import Glyphs
from p2s.study.records import Record

POINTS = 24  # of a curve
QUALITY = 10  # of WebP: the grain goes, the characters stay
NO_SCRIPT = "Here is nothing to click: it is in the rendered report, by a script in the page."


@dataclass(frozen=True, eq=False)
class Browser:
    """All records, as a page shows them: a table, and of the one that is clicked what it holds."""

    every: Sequence[Listed]

    def _repr_html_(self) -> str:
        text = json.dumps(self.content, ensure_ascii=False, separators=(",", ":"))
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)  # bare: "deflate-raw"
        packed = packer.compress(text.encode()) + packer.flush()
        return (
            f'<div class="runs" data-runs="{base64.b64encode(packed).decode()}">{NO_SCRIPT}</div>'
        )

    @cached_property
    def content(self) -> dict[str, Any]:
        """What the script reads: `above`, `metrics`, `sets`, `curves` and `runs`."""
        sets, curves = Shelf(_scenes), Shelf(_curve)
        runs = [self._run(one, sets, curves) for one in self.every]
        head = {"above": SHOWN_ABOVE, "metrics": METRICS}
        return {**head, "sets": sets.values, "curves": curves.values, "runs": runs}

    def _run(self, one, sets, curves):
        record, scenes = one.record, one.record.scenes
        data, seen = record.spec["data"], [scene["image_id"] for scene in scenes]
        return {
            "id": record.id,
            "scale": record.scale,
            "experiments": one.experiments,
            "row": one.row,
            "detector": record.detector,
            "seed": record.seed,
            "score": fusion(record),
            "metrics": [_rounded(record.metrics.get(name)) for name in METRICS],
            "minutes": _rounded(minutes(record)),
            "made": record.created[:10],
            "settings": one.settings(),
            "set": sets.place(json.dumps([data, seen]), record),
            "curve": curves.place(record.training_id, record),
            "scenes": [_detections(scene) for scene in scenes],
        }


class Shelf:
    """Values that several records share, each made once: of the first that asks for its key."""

    def __init__(self, make: Callable[[Record], Any]):
        self.make, self.values, self._places = make, [], {}

    def place(self, key: str, record: Record) -> int:
        """Where the value of a key is among all."""
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(self.make(record))
        return self._places[key]


def _scenes(record):
    """The scenes of a record as they were drawn: classes, and of each its picture and objects.

    Photographs are not shown: only boxes, in a frame that holds them.
    """
    data = record.spec["data"]
    if data["kind"] != "glyphs":
        names = list(record.per_class)
        return {"classes": names, "scenes": [{"size": _extent(s)} for s in record.scenes]}
    settings = Glyphs(**data)
    seen = [glyphs.scene(settings, "val", scene["image_id"]) for scene in record.scenes]
    return {
        "classes": glyphs.names(settings),
        "scenes": [
            {
                "size": [settings.size] * 2,
                "picture": _webp(image),
                "objects": [[*map(round, item["bbox"]), item["label"]] for item in objects],
            }
            for image, objects in seen
        ],
    }


def _extent(scene):
    boxes = [row[:4] for row in (*scene["proposals"], *scene["detections"])]
    return [max(1, round(side)) for side in np.max(boxes or [[0, 0, 1, 1]], 0)[2:]]


def _webp(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", quality=QUALITY, method=6)
    return base64.b64encode(buffer.getvalue()).decode()


def _detections(scene):
    """x1, y1, x2, y2 in pixels, class, and score, P(O) and P(C|O) in percent, one after another."""
    rows = [row for row in scene["detections"] if row[4] > SHOWN_ABOVE]
    return [
        round(value)
        for *box, score, label, p_object, p_class in rows
        for value in (*box, label, 100 * score, 100 * p_object, 100 * p_class)
    ]


def _curve(record):
    """Iterations, the sum of all losses there, and where AP was taken pairs of iteration and AP."""
    curve = dict(record.curve)
    at, taken = curve.get("iteration", []), curve.get("AP", [])
    losses = [values for name, values in curve.items() if name.startswith("loss")]
    chosen = sorted({*np.linspace(0, len(at) - 1, POINTS).round().astype(int)}) if at else []
    sums = [sum(values[k] or 0 for values in losses) for k in chosen]
    pairs = [[at[k], _rounded(value)] for k, value in enumerate(taken) if value is not None]
    return {"at": [at[k] for k in chosen], "loss": [float(f"{s:.3g}") for s in sums], "AP": pairs}


def _rounded(value):
    return None if value is None else round(value, 1)
