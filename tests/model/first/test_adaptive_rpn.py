"""What holds for GA RPN and Cascade RPN alike, beside test_first_stage.py."""

import math

import pytest
import torch
from detectron2.utils.events import EventStorage
from torch import nn
from torchvision.ops import clip_boxes_to_image

from p2s.maths.geometry import pairwise_iou
from p2s.model.first.adaptive_rpn import Adapted, Steps
from p2s.model.zoo import first_stage
from p2s.spec import Spec
from tests.support.tiny_rpn import (
    ALL,
    CASCADE,
    CHANNELS,
    CROWDED,
    EVERY,
    GRID,
    GUIDED,
    SIZES,
    STRIDES,
    TWO,
    network,
    random_steps,
    run,
    says,
    scene,
)

networks = pytest.mark.parametrize("name", [GUIDED, CASCADE])


PUBLISHED = {  # mmdetection: deviations of anchors and boxes, IoU thresholds, first dilation
    GUIDED: ([0.07, 0.07, 0.14, 0.14], [0.07, 0.07, 0.11, 0.11], [0.3, 0.7], 1),
    CASCADE: ([0.1, 0.1, 0.5, 0.5], [0.05, 0.05, 0.1, 0.1], [0.7], 3),
}


@networks
def test_the_numbers_are_those_of_mmdetection(name):
    net, (anchor, box, thresholds, dilation) = network(name), PUBLISHED[name]
    assert [1 / each for each in net.rpn_head.transform.weights] == pytest.approx(anchor)
    assert [1 / each for each in net.box2box_transform.weights] == pytest.approx(box)
    assert net.anchor_matcher.thresholds[1:-1] == thresholds
    assert net.rpn_head.conv.dilation == net.rpn_head.conv.padding == (dilation, dilation)
    assert (net.batch_size_per_image, net.positive_fraction) == (256, 0.5)


@networks
def test_untouched_anchors_are_the_squares_that_they_start_from(name):
    net = network(name, **ALL).eval()
    for each in net.parameters():
        nn.init.zeros_(each)
    for found, size in zip(run(net)[0], SIZES, strict=True):
        squares = clip_boxes_to_image(GRID.anchors, size)
        expected = squares[(squares[:, 2:] > squares[:, :2]).all(1)].tolist()
        assert sorted(found.proposal_boxes.tensor.tolist()) == sorted(expected)


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_features_adapted_to_no_offsets_are_a_convolution(groups, dtype):
    torch.manual_seed(0)
    adapted, x = Adapted(CHANNELS), torch.randn(2, CHANNELS, 5, 7).to(dtype)
    found = adapted(x, x.new_zeros(2, 18 * groups, 5, 7))
    assert found.dtype == dtype and found.min() == 0
    torch.testing.assert_close(found, adapted.conv(x.float()).relu().to(dtype))


STOPPED = {  # what no loss of the second step reaches, and none of the first
    GUIDED: ({"location", "shape"}, {"offset", "adapted", "objectness", "deltas"}),
    CASCADE: ({"anchor"}, {"adapted", "objectness", "deltas"}),
}


@networks
def test_each_step_learns_from_its_own_losses_and_all_weights_learn(name):
    net = network(name)
    _, losses = run(net, *TWO)
    second = {"loss_rpn_cls", "loss_rpn_loc"}
    weights = dict(net.rpn_head.named_parameters())
    for which, stopped in zip((second, set(losses) - second), STOPPED[name], strict=True):
        total = sum(losses[each] for each in which)
        grads = torch.autograd.grad(total, weights.values(), allow_unused=True, retain_graph=True)
        for path, grad in zip(weights, grads, strict=True):
            if path.split(".")[0] in stopped:
                assert grad is None, path
            else:
                assert grad.isfinite().all() and grad.any(), path


@networks
def test_losses_of_a_batch_are_the_mean_of_those_of_its_images(name):
    net = network(name)
    net.batch_size_per_image = EVERY  # nothing is drawn
    together = run(net, *TWO)[1]
    features = scene()[1]
    for key, loss in together.items():
        alone = []
        for n, truth in enumerate(TWO):
            maps = {level: each[n : n + 1] for level, each in features.items()}
            with EventStorage():
                alone.append(net(scene(1)[0], maps, [truth])[1][key])
        torch.testing.assert_close(loss, sum(alone) / 2)


@networks
@pytest.mark.parametrize("field", Steps._fields)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_step_that_is_not_finite_is_told_by_level_and_image(name, field, value):
    bad = getattr(random_steps(), field).detach()
    bad[1, (GRID.level == 1).nonzero()[5]] = value
    for training in (True, False):
        net = says(network(name), **{field: bad}).train(training)
        with pytest.raises(FloatingPointError, match="level p3, image 1"):
            run(net, *TWO)


@networks
def test_a_short_training_proposes_every_object(name):
    torch.manual_seed(0)
    net = first_stage(Spec.named(name), STRIDES, CHANNELS)
    optimiser = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(60):
        _, losses = run(net, CROWDED)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
    best = run(net.eval())[0][0].proposal_boxes.tensor[:20]
    assert pairwise_iou(CROWDED.gt_boxes.tensor, best).amax(1).min() > 0.6
