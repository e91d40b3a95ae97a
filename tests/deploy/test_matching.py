"""Detections of two ways are matched by class, box and score."""

import torch
from detectron2.structures import Boxes, Instances

from p2s.deploy.matching import unmatched


def instances(boxes, scores, classes):
    found = Instances((100, 100), pred_boxes=Boxes(torch.tensor(boxes).reshape(-1, 4).float()))
    found.scores, found.pred_classes = torch.tensor(scores), torch.tensor(classes)
    return found


def test_detections_are_matched_one_to_one_by_class_box_and_score():
    box = [1.0, 2, 30, 40]
    twice = instances([box, box], [0.9, 0.9], [1, 1])
    moved = instances([box, [1.05, 2, 30, 40]], [0.9, 0.8995], [1, 1])
    once = instances([box], [0.9], [1])
    assert unmatched(twice, moved) == (0, 0)
    assert unmatched(twice, once) == (1, 0)  # at the end of the list: as low as the lowest
    other = instances([box, box], [0.9, 0.5], [2, 1])
    assert unmatched(other, instances([box, box], [0.9, 0.5], [1, 1])) == (2, 2)
    far = instances([[1.2, 2, 30, 40], box], [0.9, 0.5], [1, 1])
    assert unmatched(far, instances([box, box], [0.9, 0.5], [1, 1])) == (2, 2)
