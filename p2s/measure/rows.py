"""Rows: the boxes that were found in all images, one after the other, as evaluators take them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from detectron2.structures import Instances
from numpy.typing import NDArray
from torch import Tensor

from p2s.data.coco import CocoSet


@dataclass(frozen=True, eq=False)
class Rows:
    """R boxes; the images and classes are told by their position in the data."""

    image: NDArray  # (R,)
    boxes: NDArray  # (R, 4): x, y, width, height in pixels of the image
    scores: NDArray  # (R,)
    labels: NDArray  # (R,): class numbers, 0 of what has no class

    @classmethod
    def of_image(
        cls, image: int, boxes: Tensor, scores: Tensor, labels: Tensor | None = None
    ) -> "Rows":
        """Those of one image, whose boxes are x1, y1, x2, y2: (R, 4), (R,), (R,)."""
        sides = boxes[:, 2:] - boxes[:, :2]
        return cls(
            np.full(len(boxes), image),
            np.hstack([part.double().numpy() for part in (boxes[:, :2], sides)]),
            scores.double().numpy(),
            np.zeros(len(boxes), int) if labels is None else labels.numpy(),
        )

    @classmethod
    def of_detections(cls, detections: list[Instances]) -> "Rows":
        """Those of the detections of each image."""
        return cls.joined(
            cls.of_image(image, of_image.pred_boxes.tensor, of_image.scores, of_image.pred_classes)
            for image, of_image in enumerate(detections)
        )

    @classmethod
    def joined(cls, parts: Iterable["Rows"]) -> "Rows":
        """The rows of several images as one; of none, no rows."""
        nothing = cls(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
        columns = zip(*(vars(rows).values() for rows in (nothing, *parts)), strict=True)
        return cls(*map(np.concatenate, columns))

    def __len__(self):
        return len(self.image)

    def where(self, chosen: NDArray) -> "Rows":
        """The rows of a mask (R,), or of indices."""
        return Rows(*(column[chosen] for column in vars(self).values()))

    def results(self, data: CocoSet) -> list[dict[str, Any]]:
        """COCO's results, with the ids of the data's file."""
        ids, categories = [image["id"] for image in data.images], data.category_ids
        columns = (self.image, self.labels, self.boxes, self.scores)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [
            {"image_id": ids[image], "category_id": categories[label], "bbox": box, "score": score}
            for image, label, box, score in rows
        ]

    @property
    def array(self) -> NDArray:
        """What hotcoco loads, (R, 7): image, x, y, width, height, score, class."""
        return np.column_stack([self.image, self.boxes, self.scores, self.labels])
