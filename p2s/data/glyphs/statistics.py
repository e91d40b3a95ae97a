"""Statistics of boxes: how a data set compares with COCO at 800 px, in cells of the network.

A cell is one location of the finest level, stride 8; a box's size is the root of its area.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

CELL = 8  # pixels: the stride of P3
SMALL, LARGE = 32, 96  # pixels of the picture as stored: COCO's bounds of AP_S, AP_M and AP_L
OVERLAP = 0.1  # IoU

_DESIGN = "measured on COCO boxes at 800 px, maps of about 100x136 cells"
_SITE = "cocodataset.org, detection evaluation; segmented, not box area"
_PHOTOS = "measured on 137 COCO 2017 photographs, short edge 800 px"
COCO = {  # quantity: (value, source)
    "objects_per_image": (7.0, _DESIGN),
    "covered_share": (0.56, _DESIGN),
    "size_median_cells": (10.0, _DESIGN),
    "size_lower_quartile_cells": (4.7, _PHOTOS),
    "size_upper_quartile_cells": (24.6, _PHOTOS),
    "under_3_cells_share": (0.12, _DESIGN),
    "small_share": (0.41, _SITE),
    "medium_share": (0.34, _SITE),
    "large_share": (0.24, _SITE),
    "overlapping_share": (0.39, _PHOTOS),
    "single_object_share": (None, "not measured"),
    "cells_per_image": (13_600.0, _DESIGN),
    "proposals_per_object": (256 / 7, "256 proposals (Sec. 5) for 7 objects"),
}
# What still differs in synthetic scenes, and which way it may bend a claim that the study makes.
BIASES = {
    "size_median_cells": "The fewer cells an object spans, the fewer are on P6 and P7: the use of "
    "many levels and of size ranges is understated, and so is AP at high IoU for all detectors.",
    "small_share": "Bounds are of pixels as stored, other cells than COCO's 6.7 and 20 at 800 px: "
    "AP_S, AP_M and AP_L are not COCO's, whose mask area puts more objects among the small.",
    "large_share": "Few objects are above 96 px: AP_L rests on few and its interval is wide.",
    "cells_per_image": "Far fewer locations: the same number of proposals covers far more of "
    "them, recall saturates, and a better first stage gains less than on COCO.",
    "proposals_per_object": "Equal only for 256 proposals; a scale that cuts them cuts every "
    "detector's alike. The more are left, the less the first stage's ranking matters.",
    "classes": "Fewer than COCO's 80, equally frequent, without a long tail: classification is "
    "easier, which understates the second stage.",
    "boxes": "Never cut by the border, no crowds, and exact but for `looseness`: strict IoU is "
    "easier to reach, which may favour the cascade.",
    "background": "Texture, fragments, and unlabelled things where `strangers` are: less than "
    "photographs have. P(O) can be nearly certain, which may favour the product. Table 5's cells "
    "are run with none, default and double fragments.",
}


def statistics(
    boxes: Sequence[ArrayLike],
    sizes: Sequence[tuple[int, int]],
    proposals: int = 256,
    short_edge: int | None = None,
) -> dict[str, float]:
    """COCO's quantities, of images with boxes (G, 4) xyxy and sizes (width, height) in pixels.

    `short_edge` is that of the network's input, None if images go in as they are. Raises
    ValueError if there is no box at all.
    """
    if not any(map(len, boxes)):
        raise ValueError("no boxes to measure")
    zoom = [1.0 if short_edge is None else short_edge / min(size) for size in sizes]
    boxes = [np.asarray(box, float).reshape(-1, 4) for box in boxes]
    counts = np.array([len(box) for box in boxes])
    pixels = np.sqrt(np.concatenate([_area(box) for box in boxes]))
    cells = pixels * np.repeat(zoom, counts) / CELL
    lower, median, upper = np.quantile(cells, (0.25, 0.5, 0.75))
    grid = [w * h * (z / CELL) ** 2 for (w, h), z in zip(sizes, zoom, strict=True)]
    return {
        "objects_per_image": counts.mean(),
        "covered_share": np.mean([covered(b, s) for b, s in zip(boxes, sizes, strict=True)]),
        "size_median_cells": median,
        "size_lower_quartile_cells": lower,
        "size_upper_quartile_cells": upper,
        "under_3_cells_share": (cells < 3).mean(),
        "small_share": (pixels < SMALL).mean(),
        "medium_share": ((pixels >= SMALL) & (pixels < LARGE)).mean(),
        "large_share": (pixels >= LARGE).mean(),
        "overlapping_share": np.concatenate([_best_iou(box) > OVERLAP for box in boxes]).mean(),
        "single_object_share": (counts == 1).mean(),
        "cells_per_image": np.mean(grid),
        "proposals_per_object": proposals / counts.mean(),
    }


def beside_coco(measured: dict[str, float]) -> list[dict]:
    """Rows {quantity, here, coco, source, bias}: a table to print; None where no number is."""
    rows = []
    for quantity in COCO | BIASES:
        value, source = COCO.get(quantity, (None, ""))
        numbers = {"here": measured.get(quantity), "coco": value, "source": source}
        rows.append({"quantity": quantity} | numbers | {"bias": BIASES.get(quantity, "")})
    return rows


def covered(boxes: ArrayLike, size: tuple[int, int]) -> float:
    """The share of an image (width, height) inside the union of its boxes (G, 4), exactly."""
    boxes = np.asarray(boxes, float).reshape(-1, 4).clip(0, np.tile(size, 2))
    x, y = np.unique(boxes[:, 0::2]), np.unique(boxes[:, 1::2])
    inside = np.zeros((max(len(y) - 1, 0), max(len(x) - 1, 0)), bool)
    left, right = np.searchsorted(x, boxes[:, 0::2]).T
    top, bottom = np.searchsorted(y, boxes[:, 1::2]).T
    for x1, y1, x2, y2 in zip(left, top, right, bottom, strict=True):
        inside[y1:y2, x1:x2] = True
    return float((np.diff(y)[:, None] * np.diff(x) * inside).sum() / (size[0] * size[1]))


def numpy_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of (G, 4) and (R, 4) boxes xyxy, -> (G, R)."""
    upper = np.minimum(boxes[:, None, 2:], others[:, 2:])
    lower = np.maximum(boxes[:, None, :2], others[:, :2])
    common = np.maximum(upper - lower, 0)
    common = common[..., 0] * common[..., 1]  # (G, R)
    union = _area(boxes)[:, None] + _area(others) - common
    return common / np.maximum(union, 1e-9)


def _area(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _best_iou(boxes):
    """The IoU of each box with the one it overlaps most, (G, 4) -> (G,)."""
    iou = numpy_iou(boxes, boxes)
    np.fill_diagonal(iou, 0)
    return iou.max(1, initial=0)
