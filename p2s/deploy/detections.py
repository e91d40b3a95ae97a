"""Detections: what was found in one picture, as arrays and as what other tools take."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from detectron2.structures import Instances
from numpy.typing import NDArray
from PIL import Image

from p2s.deploy.drawing import drawn
from p2s.deploy.pictures import Picture

if TYPE_CHECKING:
    import pandas as pd
    import supervision as sv

COLUMNS = ("boxes", "score", "p_object", "p_class", "class_index", "level")  # R values each
NO_SUPERVISION = "supervision is missing: pip install supervision"


class Proposals(NamedTuple):
    """Where the first stage sees objects, the likeliest first."""

    boxes: NDArray  # (P, 4), as those of detections
    p_object: NDArray  # (P,)


@dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """R detections in one picture, the likeliest first; its pixels are not kept if it is a file.

    `detections[mask]`, or indices, are some of them.
    """

    picture: Picture
    size: tuple[int, int]  # height and width in pixels, turned as its camera says
    classes: tuple[str, ...]  # names of all K classes
    boxes: NDArray  # (R, 4) x1, y1, x2, y2 in pixels
    score: NDArray  # (R,)
    p_object: NDArray  # (R,): P(O)
    p_class: NDArray  # (R,): P(C|O)
    class_index: NDArray  # (R,): 0..K-1
    level: NDArray  # (R,): 3 for P3
    proposals: Proposals

    @classmethod
    def of(
        cls, picture: Picture, found: Instances, proposed: Instances, classes: Sequence[str]
    ) -> "Detections":
        """From what a model answers, on the CPU."""
        likely = proposed.objectness_logits.sigmoid().numpy()
        columns = {
            "boxes": found.pred_boxes.tensor,
            "score": found.scores,
            "class_index": found.pred_classes,
            **{name: found.get(name) for name in ("p_object", "p_class", "level")},
        }
        return cls(
            picture=picture,
            size=found.image_size,
            classes=tuple(classes),
            proposals=Proposals(proposed.proposal_boxes.tensor.numpy(), likely),
            **{name: values.numpy() for name, values in columns.items()},
        )

    @property
    def class_name(self) -> NDArray:
        """The name of each one's class, (R,)."""
        return np.array(self.classes, object)[self.class_index]

    def __len__(self):
        return len(self.score)

    def __getitem__(self, chosen):
        rows = np.atleast_1d(np.arange(len(self))[chosen])
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})

    def __repr__(self):
        counts = Counter(self.class_name).most_common()
        found = ", ".join(f"{count} {name}" for name, count in counts) or "nothing"
        return f"<Detections in {self.picture.name}: {found}>"

    def rows(self) -> list[dict]:
        """A dict each, as in `detections.json`: box, class (a name), score, p_object, ..."""
        keys = ("box", "class", "score", "p_object", "p_class", "level")
        columns = (self.boxes, self.class_name, self.score, self.p_object, self.p_class, self.level)
        values = zip(*(column.tolist() for column in columns), strict=True)
        return [dict(zip(keys, row, strict=True)) for row in values]

    def to_pandas(self) -> "pd.DataFrame":
        """A row each: picture, class_name, class_index, score, p_object, p_class, level, x1 ..."""
        import pandas as pd

        names = ("class_name", "class_index", "score", "p_object", "p_class", "level")
        sides = dict(zip(("x1", "y1", "x2", "y2"), self.boxes.T, strict=True))
        columns = {name: getattr(self, name) for name in names} | sides
        frame = pd.DataFrame(columns)
        frame.insert(0, "picture", self.picture.name)
        return frame

    def to_coco(
        self, image_id: int | str | None = None, category_ids: Mapping[str, int] | None = None
    ) -> list[dict]:
        """COCO's results: image_id, category_id, bbox (x, y, width, height) and score.

        Without an id it is the number in the file's name, as COCO's pictures have it, else the
        name without ending; without `category_ids`, by class name, they are 0..K-1.
        """
        key = _image_id(self.picture.name) if image_id is None else image_id
        ids = category_ids or {name: number for number, name in enumerate(self.classes)}
        return coco_results(self.rows(), key, ids)

    def to_supervision(self) -> "sv.Detections":
        """supervision's, with class_name, p_object and p_class in its data."""
        try:
            import supervision as sv
        except ModuleNotFoundError as error:
            raise ImportError(NO_SUPERVISION) from error
        names = ("class_name", "p_object", "p_class")
        data: dict[str, Any] = {name: getattr(self, name) for name in names}
        data["class_name"] = data["class_name"].astype(str)
        sides = {"xyxy": self.boxes, "confidence": self.score, "class_id": self.class_index}
        return sv.Detections(**sides, data=data)

    def draw(self, above: float = 0.0) -> Image.Image:
        """The picture with the boxes of at least this score; a file is read once more.

        One of very many pixels is drawn at half its size or less.
        """
        shown, pixels = self[self.score >= above], self.picture.pixels()
        sides = np.divide(pixels.shape[1::-1], self.size[::-1])
        rows = replace(shown, boxes=shown.boxes * np.tile(sides, 2)).rows()
        return drawn(pixels, rows, self.classes)


def coco_results(
    rows: Iterable[dict], image_id: int | str, category_ids: Mapping[str, int]
) -> list[dict]:
    """COCO's results of the rows of one image."""
    return [
        {
            "image_id": image_id,
            "category_id": category_ids[row["class"]],
            "bbox": [*row["box"][:2], row["box"][2] - row["box"][0], row["box"][3] - row["box"][1]],
            "score": row["score"],
        }
        for row in rows
    ]


def _image_id(name):
    stem = Path(name).stem
    return int(stem) if stem.isdecimal() else stem
