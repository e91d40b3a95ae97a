"""Sheet: what a detector finds beside the truth, a few images of a data set in one picture."""

from collections.abc import Sequence

import numpy as np
from detectron2.structures import Instances
from PIL import Image

from p2s.data.coco import CocoSet
from p2s.deploy.detections import Detections
from p2s.deploy.drawing import drawn
from p2s.deploy.pictures import Picture

GAP = 8  # pixels between the pictures of a sheet


def sample_sheet(
    data: CocoSet,
    detections: list[Instances],
    proposals: list[Instances],
    *,
    count: int = 4,
    draw_above: float = 0.3,
) -> Image.Image:
    """A picture of evenly spaced images: truth on the left, detections on the right."""
    lines = []
    for index in sorted({*np.linspace(0, len(data.images) - 1, count).round().astype(int)}):
        sample = data.sample(int(index))
        answer = detections[index], proposals[index], data.classes
        found = Detections.of(Picture.of(sample["image"]), *answer)
        truth = drawn(sample["image"], truth_rows(sample, data.classes), data.classes)
        lines.append((truth, found.draw(draw_above)))
    widest = max(truth.width for truth, _ in lines)
    height = sum(truth.height + GAP for truth, _ in lines) - GAP
    sheet, top = Image.new("RGB", (2 * widest + GAP, height), "white"), 0
    for truth, detected in lines:
        sheet.paste(truth, (0, top))
        sheet.paste(detected, (widest + GAP, top))
        top += truth.height + GAP
    return sheet


def truth_rows(sample: dict, classes: Sequence[str]) -> list[dict]:
    """The annotated boxes of a sample as `drawn` takes them, without scores."""
    pairs = zip(sample["boxes"].tolist(), sample["classes"].tolist(), strict=True)
    return [{"box": box, "class": classes[label]} for box, label in pairs]
