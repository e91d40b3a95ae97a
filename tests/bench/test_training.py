"""The stock way and ours are the same network on the same noise."""

import copy

import pytest
import torch
from detectron2.modeling.poolers import ROIPooler

from p2s.bench import training
from p2s.bench.training import noise_batch, stock
from p2s.model.second.pooler import FastROIPooler
from p2s.model.zoo import build
from p2s.study.project import Project


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


@pytest.mark.parametrize("optimizer", [{"kind": "sgd"}, {"kind": "adamw"}], ids=lambda o: o["kind"])
def test_both_ways_train_to_the_same_losses(spec, optimizer):
    spec = spec.changed({"recipe": {"optimizer": optimizer}})
    found = training.training_steps("CenterNet2", spec, steps=2)
    by_way = {row["way"]: row for row in found["rows"]}
    assert by_way["ours"]["loss"] == pytest.approx(by_way["stock"]["loss"], rel=1e-3)
    assert found["loss_difference"] < 1e-3 and len(by_way["ours"]["loss"]) == 3
    assert by_way["stock"]["ratio"] == 1


def test_the_reference_step_is_the_desk_profile_wider_and_in_larger_batches():
    spec = training.reference_step(Project.at(), "CascadeRCNN-CenterNet")
    assert (spec.backbone.width, spec.recipe.batch, spec.second_stage.regions) == (32, 16, 128)


def test_a_noise_batch_is_a_function_of_its_seed_with_boxes_inside(spec):
    first, again, other = (noise_batch(spec, seed) for seed in (1, 1, 2))
    assert len(first) == spec.recipe.batch
    for a, b, c in zip(first, again, other, strict=True):
        assert torch.equal(a["image"], b["image"]) and not torch.equal(a["image"], c["image"])
        boxes = a["instances"].gt_boxes.tensor
        assert (boxes >= 0).all() and (boxes <= 64).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
