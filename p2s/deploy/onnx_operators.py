"""Two operators that exist in ONNX graphs only, where torch's have a data-dependent shape.

`OPERATORS` tells the exporter what they are in ONNX. R boxes, G groups of boxes that compete in
NMS, C channels.
"""

from collections.abc import Sequence

import torch
from onnxscript import opset18 as op

# NMS of boxes (R, 4) within each group, by scores (G, R) above the floor: the best `keep` scores
# of all groups, and their rows, (keep, 2): a group and a box.
torch.library.define(
    "p2s::nms_by_group",
    "(Tensor boxes, Tensor scores, float iou, float floor, int keep) -> (Tensor, Tensor)",
)
# RoIAlign of boxes (R, 4) with `side` cells a side, each on the map (1, C, H, W) of its level (R,).
torch.library.define(
    "p2s::pool_by_level",
    "(Tensor[] maps, Tensor boxes, Tensor level, float[] scales, int side) -> Tensor",
)


@torch.library.register_fake("p2s::nms_by_group")
def _(boxes, scores, iou, floor, keep):
    return scores.new_empty(keep), scores.new_empty((keep, 2), dtype=torch.long)


@torch.library.register_fake("p2s::pool_by_level")
def _(maps, boxes, level, scales, side):
    return boxes.new_empty((len(boxes), maps[0].shape[1], side, side))


def _nms_in_onnx(boxes, scores, iou: float, floor: float, keep: int):
    image = (op.Unsqueeze(boxes, [0]), op.Unsqueeze(scores, [0]))
    rows = op.NonMaxSuppression(*image, [keep], [iou], [floor])
    rows = op.Slice(rows, [1], [3], [1])  # a group and a box, without the image
    scores = op.Pad(op.GatherND(scores, rows), [0, keep], -torch.inf)
    scores, order = op.TopK(scores, [keep])
    return scores, op.Gather(op.Pad(rows, [0, 0, keep, 0]), order)


def _pool_in_onnx(maps, boxes, level, scales: Sequence[float], side: int):
    shape = {"output_height": side, "output_width": side, "sampling_ratio": 0}
    pooled, rows = [], []
    for index, (features, scale) in enumerate(zip(maps, scales, strict=True)):
        row = op.Squeeze(op.NonZero(op.Equal(level, index)), [0])
        places = (op.Gather(boxes, row), op.Sub(row, row))  # all in image 0
        aligned = {"coordinate_transformation_mode": "half_pixel", "spatial_scale": scale}
        pooled.append(op.RoiAlign(features, *places, **aligned, **shape))
        rows.append(row)
    row = op.Concat(*rows, axis=0)
    _, order = op.TopK(row, op.Shape(row), largest=0)
    return op.Gather(op.Concat(*pooled, axis=0), order)


OPERATORS = {
    torch.ops.p2s.nms_by_group.default: _nms_in_onnx,
    torch.ops.p2s.pool_by_level.default: _pool_in_onnx,
}
