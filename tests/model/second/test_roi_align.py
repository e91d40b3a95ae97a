"""RoIAlign against torchvision's, value and gradient, for odd regions too."""

import pytest
import torch
from detectron2.layers import ROIAlign
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes
from torchvision.ops import roi_align as torchvision_roi_align

from p2s.model.second import pooler
from p2s.model.second import roi_align as module
from p2s.model.second.pooler import FastROIPooler
from p2s.model.second.roi_align import RoIAlign, roi_align

ODD = {  # on a map of 12 x 17 cells, 8 pixels a cell: 96 x 136 pixels
    "inside": [10, 20, 50, 70],
    "whole map": [0, 0, 136, 96],
    "tiny": [40, 40, 40.01, 40.01],
    "a point": [40, 40, 40, 40],
    "a line": [10, 40, 90, 40],
    "inverted": [60, 60, 20, 30],
    "partly outside": [-50, -30, 60, 40],
    "beyond the far corner": [100, 80, 220, 170],
    "wholly outside": [300, 300, 400, 400],
    "on the border": [-4, -4, 140, 100],
    "larger than the map": [-700, -600, 900, 800],
}


def regions(images, count, generator):
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([136, 96]) - 10
    size = 80 * torch.rand(count, 2, generator=generator) ** 2
    image = torch.randint(images, (count, 1), generator=generator)
    return torch.cat([image, corner, corner + size], 1)


def values_and_gradient(pool, features, rois, *arguments):
    features = features.detach().requires_grad_()
    pooled = pool(features, rois, *arguments)
    gradient = torch.linspace(-1, 1, pooled.numel(), dtype=pooled.dtype).reshape(pooled.shape)
    pooled.backward(gradient)
    return pooled.detach(), features.grad


def assert_equal_to_torchvision(features, rois, *arguments):
    ours = values_and_gradient(roi_align, features, rois, *arguments)
    peer = values_and_gradient(torchvision_roi_align, features, rois, *arguments)
    for mine, other in zip(ours, peer, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def features(generator):
    return torch.randn(3, 5, 12, 17, generator=generator)


@pytest.fixture
def bags(monkeypatch):
    """Our own algorithm, however small the task."""
    monkeypatch.setattr(module, "bags_are_faster", lambda *_: True)
    monkeypatch.setattr(pooler, "bags_are_faster", lambda *_: True)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ODD)
def test_an_odd_region_equals_torchvisions(bags, features, name, ratio, aligned):
    rois = torch.tensor([[1.0, *ODD[name]]])
    assert_equal_to_torchvision(features, rois, 7, 1 / 8, ratio, aligned)


@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_many_regions_equal_torchvisions(bags, features, generator, ratio, layout, dtype):
    features = features.to(dtype).contiguous(memory_format=layout)
    rois = torch.cat([regions(3, 60, generator), torch.tensor([[0.0, *ODD[n]] for n in ODD])])
    assert_equal_to_torchvision(features, rois.to(dtype), (7, 4), 1 / 8, ratio, True)


def test_adaptive_and_fixed_samples_differ(bags, features, generator):
    rois = regions(3, 20, generator)
    adaptive, fixed = (roi_align(features, rois, 3, 1 / 8, ratio) for ratio in (0, 2))
    assert (adaptive - fixed).abs().max() > 0.1


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (2, 1)])
def test_a_map_of_one_row_or_cell_is_enough(bags, generator, size):
    features = torch.randn(2, 4, *size, generator=generator)
    rois = torch.tensor([[0, 0, 0, 128, 128], [1, 30, -60, 200, 250.0]])
    assert_equal_to_torchvision(features, rois, 7, 1 / 128, 0, True)


def test_a_gradient_flows_to_features_only_and_is_exact(bags, features):
    features = features[:2, :1, :4, :5].double().requires_grad_()
    rois = torch.tensor([[0, 3, 5, 30, 25], [1, -9, 8, 50, 20.0]]).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda f: roi_align(f, rois, 2, 1 / 8), features)
    roi_align(features, rois, 2, 1 / 8).sum().backward()
    assert rois.grad is None


def test_a_permutation_of_regions_permutes_the_result(bags, features, generator):
    rois, order = regions(3, 40, generator), torch.randperm(40, generator=generator)
    pooled = roi_align(features, rois, 7, 1 / 8)
    torch.testing.assert_close(roi_align(features, rois[order], 7, 1 / 8), pooled[order])


def test_a_constant_map_pools_to_the_constant(bags, generator):
    inside = torch.tensor([[0.0, *ODD[name]] for name in ("inside", "tiny", "whole map")])
    pooled = roi_align(torch.full((1, 2, 12, 17), 3.5), inside, 5, 1 / 8)
    torch.testing.assert_close(pooled, torch.full((3, 2, 5, 5), 3.5))


def test_a_point_with_adaptive_samples_pools_to_zero(bags, features):
    assert roi_align(features, torch.tensor([[0.0, *ODD["a point"]]]), 7, 1 / 8).eq(0).all()


@pytest.mark.parametrize("images", [0, 2])
def test_no_regions_give_an_empty_result_with_a_zero_gradient(images):
    features, none = torch.randn(images, 4, 6, 6), torch.zeros(0, 5)
    pooled, gradient = values_and_gradient(roi_align, features, none, 7, 1 / 8)
    assert pooled.shape == (0, 4, 7, 7)
    assert gradient.eq(0).all()


def test_an_image_without_regions_gets_a_zero_gradient(bags, features, generator):
    rois = regions(3, 20, generator)
    rois[:, 0] = 1
    _, gradient = values_and_gradient(roi_align, features, rois, 7, 1 / 8)
    assert gradient[0].eq(0).all() and gradient[2].eq(0).all() and gradient[1].ne(0).any()


def ours_is_chosen(shape, count, trains=True, cells=8.0):
    features = torch.zeros(shape, requires_grad=trains)
    rois = torch.tensor([[0, 0.5, 0.5, 0.5 + cells, 0.5 + cells]]).repeat(count, 1)
    regions = module.to_regions(rois, torch.zeros(count, dtype=torch.long), 1)
    return module.bags_are_faster([features], module.lay_bins([features], regions, 7, 0))


def test_size_and_gradient_choose_the_algorithm():
    assert ours_is_chosen((1, 64, 20, 20), 512)
    assert ours_is_chosen((1, 256, 100, 136), 512, trains=False)
    assert not ours_is_chosen((1, 64, 3, 3), 20, trains=False)
    assert not ours_is_chosen((1, 8, 3, 3), 1)


def test_a_choice_without_gradients_ignores_that_features_could_have_one():
    with torch.no_grad():
        assert not ours_is_chosen((1, 64, 3, 3), 64, trains=True)


def test_torchvisions_is_chosen_where_ours_would_need_too_much_memory():
    assert ours_is_chosen((1, 64, 100, 136), 512, cells=100)
    assert not ours_is_chosen((1, 64, 400, 400), 2000, cells=400)


def test_a_region_far_larger_than_the_map_equals_torchvisions(bags):
    rois = torch.tensor([[0, -40_000.0, -40_000, 50_000, 50_000]])
    assert_equal_to_torchvision(torch.randn(1, 8, 60, 60), rois, 7, 1 / 8, 2, True)


def test_the_small_task_left_to_torchvision_has_its_very_numbers(features):
    rois, arguments = torch.tensor([[0, *ODD["inside"]]]) * 1.0, (7, 1 / 8, 0, True)
    assert torch.equal(
        roi_align(features, rois, *arguments), torchvision_roi_align(features, rois, *arguments)
    )


def test_the_module_is_a_drop_in_for_detectron2s(bags, features, generator):
    rois, arguments = regions(3, 30, generator), (7, 1 / 8, 0, True)
    ours, peer = RoIAlign(*arguments), ROIAlign(*arguments)
    torch.testing.assert_close(ours(features, rois), peer(features, rois), atol=1e-5, rtol=1e-5)
    assert repr(ours).lower() == repr(peer).lower()


@pytest.mark.parametrize("counts", [(50, 30), (40, 0), (0, 0), (1, 0)])
@pytest.mark.parametrize("ratio", [0, 2])
def test_the_pooler_equals_detectron2s(bags, generator, counts, ratio):
    maps = [torch.randn(2, 4, 64 // 2**i, 80 // 2**i, generator=generator) for i in range(3)]
    boxes = [Boxes(512 * torch.rand(n, 4, generator=generator).sort(1).values) for n in counts]
    scales, found = [1 / 8, 1 / 16, 1 / 32], []
    for each in (FastROIPooler(7, scales, ratio), ROIPooler(7, scales, ratio, "ROIAlignV2")):
        leaves = [m.clone().requires_grad_() for m in maps]
        pooled = each(leaves, boxes)
        (pooled * torch.linspace(-1, 1, pooled.numel()).reshape(pooled.shape)).sum().backward()
        found.append([pooled.detach(), *(leaf.grad for leaf in leaves)])
    for ours, peer in zip(*found, strict=True):
        torch.testing.assert_close(ours, peer, atol=1e-4, rtol=1e-4)


def test_the_pooler_goes_map_by_map_where_that_is_faster(monkeypatch, generator):
    monkeypatch.setattr(pooler, "bags_are_faster", lambda *_: False)
    maps, boxes = [torch.randn(1, 4, 8, 8, generator=generator)], [Boxes([[3, 5, 40, 50.0]])]
    peer = ROIPooler(7, [1 / 8], 0, "ROIAlignV2")
    assert torch.equal(FastROIPooler(7, [1 / 8])(maps, boxes), peer(maps, boxes))
