"""Matching and coding answer as detectron2's do, to the bit, and ask a device nothing."""

import pytest
import torch
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher

from p2s.model.regions import Matching, Transform
from tests.support.pretend_gpu import PretendGpu
from tests.support.waits import Waits

SETTINGS = [([0.5], [0, 1]), ([0.3, 0.7], [0, -1, 1], True), ([0.7], [0, 1], True)]


def overlaps(truths, regions, seed):
    """With many ties and zeros."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(truths, regions, generator=generator) * 12 - 2).round().clamp(min=0) / 10


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("shape", [(3, 40), (1, 7), (5, 5), (0, 4), (4, 0)])
def test_regions_have_the_truths_and_labels_of_detectron2s_matcher(settings, shape):
    for seed in range(5):
        overlap = overlaps(*shape, seed)
        pairs = zip(Matching(*settings)(overlap), Matcher(*settings)(overlap), strict=True)
        for found, wanted in pairs:
            assert found.dtype == wanted.dtype and torch.equal(found, wanted)


@pytest.mark.parametrize("count", [0, 1, 5, 1003])
@pytest.mark.parametrize("weights", [(10, 10, 5, 5), (1 / 0.07, 1 / 0.07, 1 / 0.11, 1 / 0.11)])
def test_deltas_are_those_of_detectron2s_transform(count, weights):
    torch.manual_seed(0)
    boxes, truths = (
        torch.cat((corner, corner + 0.1 + 90 * torch.rand(count, 2)), 1)
        for corner in 800 * torch.rand(2, count, 2)
    )
    found = Transform(weights).get_deltas(boxes, truths)
    assert torch.equal(found, Box2BoxTransform(weights).get_deltas(boxes, truths))


def test_a_device_is_asked_nothing():
    with PretendGpu():
        overlap, boxes = overlaps(3, 9, 0).to("cuda"), torch.tensor([[1.0, 2, 5, 9]]).to("cuda")
        with Waits() as waits:
            Matching(*SETTINGS[1])(overlap)
            Transform((1.0, 1.0, 1.0, 1.0)).get_deltas(boxes, boxes)
    assert not waits.count
