"""Error page: what a detector gets wrong as one HTML file, which needs no network."""

from pathlib import Path

from detectron2.structures import Instances
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from p2s.data.coco import CocoSet
from p2s.data.picture import embedded
from p2s.deploy.drawing import drawn
from p2s.files import finite_or_none, write_atomic
from p2s.measure.errors import IOU, SURE, Errors, Wrong, confusions, errors_of

FILE = "errors.html"
EDGE, QUALITY = 640, 80  # of the pictures in it: pixels at most, JPEG's quality
CLASSES = 25  # whose confusion is a matrix that can be read
PAIRS = 25  # of classes that are confused
MEANT = {  # Bolya et al., 2020
    "Cls": "on an object of another class",
    "Loc": "of the right class, but with an IoU of .1 to .5",
    "Both": "of another class and with such an IoU",
    "Dupe": "on an object that a surer one has found",
    "Bkg": "on nothing",
    "Miss": "objects that no detection of any kind is near",
}


def write_errors(folder: Path, data: CocoSet, detections: list[Instances], metrics: dict) -> Path:
    """Write the page of detections and of their `metrics` (see p2s.measure.coco); its path."""
    path = folder / FILE
    write_atomic(path, page(data, detections, metrics).encode())
    return path


def page(data: CocoSet, detections: list[Instances], metrics: dict) -> str:
    """The page as HTML; whatever the data name is escaped."""
    errors = errors_of(data, detections)
    template = Environment(
        loader=PackageLoader("p2s.deploy", "page"), autoescape=True, undefined=StrictUndefined
    ).get_template("errors.html.j2")
    return template.render(
        images=len(data.images),
        iou=IOU,
        sure=SURE,
        numbers={name: _told(metrics[name]) for name in ("AP", "AP50", "AP75")},
        per_class={name: _told(value) for name, value in metrics["per_class"].items()},
        tide=[(name, MEANT[name], errors.counts[name], lost) for name, lost in errors.lost.items()],
        matrix=_matrix(errors, data.classes),
        pairs=confusions(errors.confusion, data.classes)[:PAIRS],
        worst=[_shown(data, detections, wrong) for wrong in errors.worst],
    )


def _told(value):
    return "-" if finite_or_none(value) is None else f"{value:.1f}"


def _matrix(errors: Errors, classes):
    """A name, and of each column a count and its share of the row, a row each; none if too many."""
    if len(classes) > CLASSES:
        return None
    shares = errors.confusion / errors.confusion.sum(1, keepdims=True).clip(1)
    cells = [zip(*pair, strict=True) for pair in zip(errors.confusion, shares, strict=True)]
    return [*classes], list(zip([*classes, "nothing"], map(list, cells), strict=True))


def _shown(data, detections, wrong: Wrong):
    """A picture with what is wrong in it, and in words."""
    sample, found = data.sample(wrong.image), detections[wrong.image]
    name = dict(zip(data.category_ids, data.classes, strict=True))
    missed = [data.annotations[wrong.image][k] for k in wrong.missed]
    boxes = [_row(found, k, data.classes) for k in wrong.false]
    boxes += [
        {"box": _corners(item["bbox"]), "class": name[item["category_id"]], "note": "missed: "}
        for item in missed
    ]
    return {
        "name": data.images[wrong.image]["file_name"],
        "told": f"{len(wrong.missed)} missed, {len(wrong.false)} wrong, {wrong.right} found",
        "picture": _shrunk(drawn(sample["image"], boxes, data.classes)),
    }


def _row(found, k, classes):
    box, label = found.pred_boxes.tensor[k].tolist(), classes[int(found.pred_classes[k])]
    return {"box": box, "class": label, "score": float(found.scores[k])}


def _corners(box):
    x, y, width, height = box
    return [x, y, x + width, y + height]


def _shrunk(picture: Image.Image) -> str:
    """A picture of at most EDGE pixels a side, as an address that holds it."""
    picture.thumbnail((EDGE, EDGE))
    return embedded(picture, QUALITY)
