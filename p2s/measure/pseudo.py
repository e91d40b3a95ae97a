"""Pseudo-labels of scenes that nobody has annotated: what a detector is sure of (App. C)."""

from torch import nn

from p2s.data.coco import CocoSet
from p2s.measure.coco import detect
from p2s.measure.rows import Rows
from p2s.spec import Glyphs, Test

ABOVE = 0.5  # App. C: the lowest score of a label
OTHERS = 10**6  # between the seeds of annotated scenes and of others


def unlabelled(data: Glyphs, count: int) -> Glyphs:
    """So many more scenes of the same kind to train on, which no annotated set has."""
    return data.model_copy(update={"seed": data.seed + OTHERS, "train": count, "val": 1})


def labels(model: nn.Module, data: CocoSet, test: Test) -> list[list[dict]]:
    """What a model finds above ABOVE in each image of a set, as rows of COCO's results."""
    found, _ = detect(model, data, test.model_copy(update={"score_threshold": ABOVE}))
    rows = {image["id"]: [] for image in data.images}
    for row in Rows.of_detections(found).results(data):
        rows[row["image_id"]].append(row)
    return list(rows.values())
