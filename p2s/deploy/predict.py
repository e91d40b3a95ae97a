"""Detections of a trained model as JSON and as pictures."""

import colorsys
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from detectron2.structures import Instances
from PIL import Image, ImageDraw, ImageFont
from torch import nn

from p2s.data.coco import CocoSet, read_picture
from p2s.files import write_atomic
from p2s.measure.coco import detect
from p2s.spec import Test

GAP = 8  # pixels between the pictures of a sheet


@dataclass(frozen=True)
class Photos:
    """Image files without truths, in the shape of a CocoSet; ValueError names an unreadable one."""

    images: list[dict]

    @classmethod
    def of(cls, paths: Iterable[str | Path]) -> "Photos":
        """The photos of some paths, turned as their cameras say."""
        return cls([_measured(Path(path)) for path in paths])

    def sample(self, index: int) -> dict:
        """One photo, with no boxes: "image" (H, W, 3) RGB."""
        row = self.images[index]
        nothing = {"boxes": np.zeros((0, 4), np.float32), "classes": np.zeros(0, np.int64)}
        size = {"image_id": row["id"], "height": row["height"], "width": row["width"]}
        return {
            "image": read_picture(row["file_name"]),
            **nothing,
            "crowd": nothing["boxes"],
            **size,
        }


def predict(
    model: nn.Module,
    test: Test,
    classes: Sequence[str],
    paths: Iterable[str | Path],
    output: str | Path,
    *,
    draw_above: float = 0.3,
) -> list[dict]:
    """Detect in image files; write `detections.json` and a picture of each image to `output`.

    Returns what is in the JSON: a list of {"file", "width", "height", "picture", "detections"}, a
    detection being a row of `detection_rows`. All are in the JSON, those above a score are drawn.
    """
    photos, output = Photos.of(paths), Path(output)
    output.mkdir(parents=True, exist_ok=True)
    answers, (detected, _) = [], detect(model, photos, test)
    for index, (photo, instances) in enumerate(zip(photos.images, detected, strict=True)):
        name = f"{index:03d}-{Path(photo['file_name']).stem}.png"  # equal stems stay apart
        detections = detection_rows(instances, classes)
        strong = [row for row in detections if row["score"] >= draw_above]
        drawn(photos.sample(index)["image"], strong).save(output / name)
        size = {"width": photo["width"], "height": photo["height"], "picture": name}
        answers.append({"file": photo["file_name"], **size, "detections": detections})
    write_atomic(output / "detections.json", json.dumps(answers, indent=1).encode())
    return answers


def detection_rows(instances: Instances, classes: Sequence[str]) -> list[dict]:
    """Detections as dicts, the likeliest first.

    "box" (x1, y1, x2, y2 in pixels), "class" (a name), "score", "p_object" = P(O), "p_class" =
    P(C|O) and "level" (3 for P3).
    """
    columns = zip(
        instances.pred_boxes.tensor.tolist(),
        instances.pred_classes.tolist(),
        instances.scores.tolist(),
        instances.p_object.tolist(),
        instances.p_class.tolist(),
        instances.level.tolist(),
        strict=True,
    )
    keys = ("box", "class", "score", "p_object", "p_class", "level")
    return [
        dict(zip(keys, (box, classes[label], *rest), strict=True)) for box, label, *rest in columns
    ]


def truth_rows(sample: dict, classes: Sequence[str]) -> list[dict]:
    """The annotated boxes of a sample in the shape of `detection_rows`, without scores."""
    pairs = zip(sample["boxes"].tolist(), sample["classes"].tolist(), strict=True)
    return [{"box": box, "class": classes[label]} for box, label in pairs]


def drawn(image: np.ndarray, boxes: list[dict]) -> Image.Image:
    """A picture of an image (H, W, 3) with labelled boxes, the first of them on top."""
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(max(10, picture.width // 50))
    for row in reversed(boxes):
        color, label = _color(row["class"]), row["class"]
        label += f" {row['score']:.2f}" if "score" in row else ""
        left, top, right, bottom = row["box"]
        pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=color, width=2)
        corner = (left + 2, max(0, top - font.size - 3))
        pen.rectangle(pen.textbbox(corner, label, font=font), fill=color)
        pen.text(corner, label, fill="white", font=font)
    return picture


def sample_sheet(
    data: CocoSet, detections: list[Instances], *, count: int = 4, draw_above: float = 0.3
) -> Image.Image:
    """A picture of evenly spaced images: truth on the left, detections on the right."""
    lines = []
    for index in sorted({*np.linspace(0, len(data.images) - 1, count).round().astype(int)}):
        sample = data.sample(int(index))
        strong = [
            row
            for row in detection_rows(detections[index], data.classes)
            if row["score"] >= draw_above
        ]
        truth = drawn(sample["image"], truth_rows(sample, data.classes))
        lines.append((truth, drawn(sample["image"], strong)))
    widest = max(truth.width for truth, _ in lines)
    height = sum(truth.height + GAP for truth, _ in lines) - GAP
    sheet, top = Image.new("RGB", (2 * widest + GAP, height), "white"), 0
    for truth, detected in lines:
        sheet.paste(truth, (0, top))
        sheet.paste(detected, (widest + GAP, top))
        top += truth.height + GAP
    return sheet


def _measured(path):
    height, width = read_picture(path).shape[:2]
    return {"id": str(path), "file_name": str(path), "width": width, "height": height}


def _color(name):
    hue = sum(map(ord, name)) * 0.618034 % 1  # the golden ratio keeps the hues of classes apart
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.9, 0.75))
