"""Rows: what an evaluator is given is what was found, column by column."""

import numpy as np
import torch
from detectron2.structures import Boxes, Instances

from p2s.measure.rows import Rows


def detected(count, seed):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 4, generator=generator)
    return Instances(
        (50, 50),
        pred_boxes=Boxes(torch.cat((corners[:, :2], corners[:, :2] + corners[:, 2:]), 1)),
        scores=torch.rand(count, generator=generator),
        pred_classes=torch.arange(count) % 3,
    )


def test_the_array_has_a_line_for_each_box_in_the_order_of_images_and_boxes():
    detections = [detected(2, 0), detected(0, 1), detected(3, 2)]
    wanted = [
        [image, x, y, np.float32(x2) - np.float32(x), np.float32(y2) - np.float32(y), score, label]
        for image, found in enumerate(detections)
        for (x, y, x2, y2), score, label in zip(
            found.pred_boxes.tensor.tolist(),
            found.scores.tolist(),
            found.pred_classes.tolist(),
            strict=True,
        )
    ]
    rows = Rows.of_detections(detections)
    assert len(rows) == 5 and rows.array.dtype == np.float64
    assert rows.array.tolist() == wanted


def test_rows_of_no_class_are_of_class_0():
    rows = Rows.of_image(7, torch.tensor([[1.0, 2, 4, 6]]), torch.tensor([0.5]))
    assert rows.array.tolist() == [[7, 1, 2, 3, 4, 0.5, 0]]


def test_no_images_and_no_boxes_are_rows_too():
    for rows in (Rows.joined([]), Rows.of_detections([detected(0, 0)])):
        assert len(rows) == 0 and rows.array.shape == (0, 7)


def test_chosen_rows_keep_all_their_columns():
    rows = Rows.of_detections([detected(4, 3), detected(4, 4)])
    for chosen in (rows.scores > 0.4, np.array([5, 0, 2])):
        assert np.array_equal(rows.where(chosen).array, rows.array[chosen])
