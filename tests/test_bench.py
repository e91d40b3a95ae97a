"""The benchmark compares like with like: the same model, data and random numbers, two ways."""

import copy

import pytest
import torch
from detectron2.modeling.poolers import ROIPooler

from p2s.bench import noise_batch, stock, train
from p2s.pooler import FastROIPooler
from p2s.spec import Spec
from p2s.zoo import build

TINY = {
    "num_classes": 3,
    "backbone": {"depth": 18, "width": 16, "norm": "BN", "frozen_stages": 0, "fpn_channels": 16},
    "first_stage": {"layers": 1, "pre_nms": 50, "proposals": 50},
    "second_stage": {"regions": 16, "channels": 16},
    "recipe": {"batch": 2, "short_edge": [64], "long_edge": 64},
}


@pytest.fixture(params=["CenterNet2", "FasterRCNN-RPN"])
def spec(request):
    return Spec.named(request.param).changed(TINY)


def layouts(model):
    """How the kernels larger than 1x1 lie in memory; for 1x1 both layouts are the same."""
    kernels = [p for p in model.parameters() if p.ndim == 4 and p.shape[-1] > 1 and p.shape[1] > 1]
    return {p.is_contiguous(memory_format=torch.channels_last) for p in kernels}


def test_the_stock_way_is_nchw_with_torchvisions_roi_align(spec):
    ours = build(spec)
    theirs = stock(copy.deepcopy(ours))
    assert layouts(ours) == {True} and layouts(theirs) == {False}
    poolers = [model.roi_heads.box_pooler for model in (ours, theirs)]
    assert [type(each) for each in poolers] == [FastROIPooler, ROIPooler]
    assert [len(each.level_poolers) for each in poolers] == [len(poolers[0].scales)] * 2
    assert all(a is not b for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_both_ways_train_to_the_same_loss(spec):
    loss = train(spec, steps=2)["loss"]
    assert loss["ours"] == pytest.approx(loss["stock"], rel=1e-3)


def test_the_ratio_is_that_of_the_rates_and_the_threads_are_restored(spec):
    before = torch.get_num_threads()
    found = train(spec, steps=1, threads=1)
    assert found["ratio"] == pytest.approx(found["ours"] / found["stock"])
    assert found["machine"]["threads"] == 1
    assert torch.get_num_threads() == before


def test_a_noise_batch_is_a_function_of_its_seed_with_boxes_inside(spec):
    first, again, other = (noise_batch(spec, seed) for seed in (1, 1, 2))
    assert len(first) == spec.recipe.batch
    for a, b, c in zip(first, again, other, strict=True):
        assert torch.equal(a["image"], b["image"]) and not torch.equal(a["image"], c["image"])
        boxes = a["instances"].gt_boxes.tensor
        assert (boxes >= 0).all() and (boxes <= 64).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
