"""What every exported detector answers, whichever engine runs its file."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from detectron2.modeling import detector_postprocess
from detectron2.structures import Boxes, Instances

FIELDS = ("pred_boxes", "scores", "pred_classes", "p_object", "p_class", "level")
OUTPUTS = (*FIELDS, "count", "finite")  # of a file, in this order


class Exported(ABC):
    """An exported file as a detector, which takes and answers what ours do in evaluation.

    ValueError for outputs of something else or an image of another size, FloatingPointError where a
    score or box is not finite.
    """

    def __init__(self, path: str | Path, outputs: Sequence[str], size: tuple[int, int]):
        if tuple(outputs) != OUTPUTS:
            raise ValueError(f"{path} is no detector that p2s exported")
        self.path, self.size = path, size

    @abstractmethod
    def answers(self, image: np.ndarray) -> Sequence[np.ndarray]:
        """The values of OUTPUTS for an image (3, H, W)."""

    def __call__(self, batched_inputs: list[dict]) -> list[dict]:
        """The detections of each image, one after the other."""
        return [{"instances": self._detect(inputs)} for inputs in batched_inputs]

    def _detect(self, inputs):
        shape, wanted = tuple(inputs["image"].shape), (3, *self.size)
        if shape != wanted:
            raise ValueError(f"image of shape {shape}; {self.path} takes {wanted}")
        found = self.answers(torch.as_tensor(inputs["image"]).float().numpy())
        *fields, count, finite = map(torch.from_numpy, map(np.asarray, found))
        if not finite:
            raise FloatingPointError(f"non-finite score or box in {self.path}")
        rows = Instances(self.size, **dict(zip(FIELDS, fields, strict=True)))[: int(count)]
        rows.pred_boxes = Boxes(rows.pred_boxes)
        height, width = self.size
        return detector_postprocess(rows, inputs.get("height", height), inputs.get("width", width))
