"""The one dense skeleton: head -> assign -> loss -> decode -> top-k -> NMS.

N images, L levels, A locations (all levels, concatenated), K classes, R regions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from detectron2.structures import ImageList, Instances
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from p2s.maths.finite import finite_rows, refuse_nonfinite
from p2s.maths.geometry import SQUARE, Grid, locations
from p2s.maths.selection import select
from p2s.model.first.candidates import Candidates, Selection, likeliest, rows_at, suppress
from p2s.model.first.heads import Predictions
from p2s.model.first.objective import Objective


def plain_score(predictions: Predictions) -> Tensor:
    """The logits of scores (N, A, K) as the head gives them."""
    return predictions.logit


def centered_score(predictions: Predictions) -> Tensor:
    """Logits of the product of score and centerness (ATSS, Sec. 5; FCOS), (N, A, K).

    1 - p q = (1 - p) + p (1 - q) keeps them finite where both are certain.
    """
    logit, _, extra = predictions
    log_p, log_q = logsigmoid(logit), logsigmoid(extra)
    return log_p + log_q - torch.logaddexp(logsigmoid(-logit), log_p + logsigmoid(-extra))


@dataclass(frozen=True)
class Anchors:
    """The anchors of a cell: width and height of each in units, and where in a cell they are."""

    shapes: tuple = SQUARE
    offset: float = 0.5  # of a cell, from its corner; d2's anchors: 0
    zoom: float = 1.0  # strides in a unit


class DenseProposer(nn.Module):
    """A head, its objective and its selections on the contract of detectron2's RPN.

    Subclasses say what leaves: `instances(image_size, candidates) -> Instances`.
    `selections` are those of training and test; None: nothing leaves in training but losses.
    `score` gives the logits that rank. `select` and `check` are what selects and what refuses
    values that are not finite; another of their like may take their place.
    """

    select = staticmethod(select)
    check = staticmethod(refuse_nonfinite)

    def __init__(
        self,
        head: nn.Module,
        strides: dict[str, int],
        objective: Objective,
        selections: tuple[Selection | None, Selection],
        score: Callable = plain_score,
        anchors: Anchors = Anchors(),
    ):
        super().__init__()
        self.head, self.objective, self.score, self.anchors = head, objective, score, anchors
        self.train_selection, self.test_selection = selections
        self.in_features = list(strides)
        self.register_buffer(
            "strides", torch.tensor(list(strides.values()), dtype=torch.float32), False
        )

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        gt_instances: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """A list of N Instances, without gradient, and the losses: none outside of training.

        FloatingPointError, naming level and image, if a candidate is not finite.
        """
        grid, predictions = self.predict(features)
        losses = self.objective(grid, predictions, gt_instances) if self.training else {}
        selection = self.train_selection if self.training else self.test_selection
        if selection is None:
            return [], losses
        with torch.no_grad():
            candidates = self.candidates(grid, predictions, selection.pre_nms)
            chosen = [
                self.instances(size, suppress(candidates[n], size, selection, self.select))
                for n, size in enumerate(images.image_sizes)
            ]
        return chosen, losses

    def predict(self, features: dict[str, Tensor]) -> tuple[Grid, Predictions]:
        """The Grid of the images' locations, and what the head predicts there."""
        maps = [features[name] for name in self.in_features]
        return self.grid(maps), self.head(maps)

    def grid(self, maps: list[Tensor]) -> Grid:
        """The locations of the maps of all levels."""
        sizes = [level.shape[-2:] for level in maps]
        anchors = self.anchors
        return locations(sizes, self.strides, anchors.shapes, anchors.offset, anchors.zoom)

    def candidates(self, grid: Grid, predictions: Predictions, count: int) -> Candidates:
        """The `count` likeliest of each level of N images, decoded; FloatingPointError as above."""
        best = likeliest(self.score(predictions), grid.counts, count)
        cells = grid.at(best.location)
        boxes = self.objective.coding.decode(cells, rows_at(predictions.box, best.location))
        self.refuse_nonfinite(best.logit, boxes, cells.stride)
        return Candidates(boxes, best.logit, best.classes, cells.stride.log2().long())

    def refuse_nonfinite(self, logit: Tensor, boxes: Tensor, stride: Tensor) -> None:
        """FloatingPointError unless logits (N, R) and boxes (N, R, 4) are finite.

        It names level and image; strides are (N, R) or, of all images, (R,).
        """
        finite = finite_rows(logit[..., None], boxes)
        self.check(finite, lambda bad: _first_bad(bad, stride.expand_as(bad)))


def _first_bad(bad, stride):
    image, row = bad.nonzero()[0].tolist()
    return f"score or box at level p{int(stride[image, row].log2())}, image {image}"
