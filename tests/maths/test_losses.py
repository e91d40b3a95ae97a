import math

import pytest
import torch
from fvcore.nn import giou_loss as fvcore_giou
from fvcore.nn import sigmoid_focal_loss as focal
from torch.autograd import gradcheck
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, smooth_l1_loss

from p2s.maths import geometry, losses


def logits(*shape, scale=4.0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype) * scale


def test_peak_focal_of_a_hard_target_agrees_with_fvcore():
    logit = logits(50, 3, dtype=torch.float32)
    target = (logit.flip(0) > 0).float()
    expected = focal(logit, target, alpha=0.25, gamma=2.0)
    torch.testing.assert_close(losses.peak_focal(logit, target, target), expected)


def test_peak_focal_has_its_closed_forms():
    p, heat = 0.3, 0.6
    logit = torch.tensor([math.log(p / (1 - p))] * 3, dtype=torch.float64)
    loss = losses.peak_focal(logit, torch.tensor([1.0, heat, 1.0]), torch.tensor([1.0, 0.0, 0.0]))
    positive = -0.25 * (1 - p) ** 2 * math.log(p)
    negative = -0.75 * (1 - heat) ** 4 * p**2 * math.log(1 - p)
    torch.testing.assert_close(loss.tolist(), [positive, negative, 0.0], atol=1e-7, rtol=1e-6)


def test_two_objects_on_one_element_count_twice():
    logit, heat, peak = torch.tensor([0.5]), torch.ones(1), torch.ones(1)
    twice = losses.peak_focal(logit, heat, 2 * peak)
    torch.testing.assert_close(twice, 2 * losses.peak_focal(logit, heat, peak))


def test_negatives_above_the_bound_cost_nothing_and_positives_still_do():
    logit = torch.tensor([3.0, 1.0, 3.0])  # p: .95, .73, .95
    heat = peaks = torch.tensor([0.0, 0.0, 1.0])
    plain, ignoring = (losses.peak_focal(logit, heat, peaks, bound) for bound in (1.0, 0.85))
    assert ignoring.tolist() == [0.0, plain[1].item(), plain[2].item()]


def test_no_negative_is_ignored_by_default_however_probable():
    loss = losses.peak_focal(torch.tensor([1e4]), torch.zeros(1), torch.zeros(1))
    assert loss.item() == pytest.approx(0.75e4)


def test_the_plain_likelihood_of_a_hard_target_is_cross_entropy():
    logit, target = logits(50, 3), (logits(50, 3).flip(0) > 0).double()
    expected = binary_cross_entropy_with_logits(logit, target, reduction="none")
    torch.testing.assert_close(losses.plain_likelihood(logit, target, target), expected)


@pytest.mark.parametrize(
    ("heat", "peaks", "hits", "misses"),  # log-likelihoods of an object and of none
    [
        (1.0, 1.0, 1, 0),
        (0.0, 0.0, 0, 1),
        (0.6, 0.0, 0, 1),  # near a centre: as any other
        (1.0, 0.0, 0, 0),  # ignored
        (1.0, 2.0, 2, 0),  # two objects
        (0.6, 1.0, 0.6, 0.4),  # GFL: an IoU of .6
        (0.0, 1.0, 0, 1),  # and of 0
    ],
)
def test_the_plain_likelihood_has_its_closed_form(heat, peaks, hits, misses):
    p = 0.3
    found = losses.plain_likelihood(probability(p), torch.tensor([heat]), torch.tensor([peaks]))
    expected = -hits * math.log(p) - misses * math.log(1 - p)
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_the_plain_likelihood_falls_towards_the_quality_and_is_least_there():
    p = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    logit, quality = p.logit().requires_grad_(), torch.full_like(p, 0.6)
    losses.plain_likelihood(logit, quality, torch.ones_like(p)).sum().backward()
    torch.testing.assert_close(logit.grad, p - quality)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_huge_logits_give_finite_values_and_gradients(dtype, target):
    logit = torch.tensor([-1e4, -100.0, 0.0, 100.0, 1e4], dtype=dtype, requires_grad=True)
    targets = torch.full_like(logit, target)
    total = losses.peak_focal(logit, targets, targets)
    total = total + losses.plain_likelihood(logit, targets, targets)
    total.sum().backward()
    assert total.isfinite().all() and logit.grad.isfinite().all()


def test_gradients_of_the_score_losses_are_those_of_their_values():
    logit = logits(8).requires_grad_()
    heat, peaks = logits(8).sigmoid(), (logits(8) > 2).double()
    assert gradcheck(lambda x: losses.peak_focal(x, heat, peaks), logit)
    assert gradcheck(lambda x: losses.plain_likelihood(x, heat, peaks), logit)


def paired_boxes(dtype):
    corner, size = logits(2, 20, 2, scale=10), logits(2, 20, 2).abs() + 1
    return torch.cat((corner, corner + size), -1).to(dtype).unbind(0)


def test_giou_loss_agrees_with_fvcore():
    pred, target = paired_boxes(torch.float32)
    torch.testing.assert_close(losses.giou_loss(pred, target), fvcore_giou(pred, target))


def test_giou_loss_has_its_closed_form_for_apart_boxes():
    pred, target = torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([[2.0, 0, 3, 1]])
    torch.testing.assert_close(losses.giou_loss(pred, target), torch.tensor([4 / 3]))


def test_gradients_of_giou_loss_are_those_of_its_values():
    pred, target = paired_boxes(torch.float64)
    assert gradcheck(lambda x: losses.giou_loss(x, target), pred.requires_grad_())


def probability(p):
    return torch.tensor([p], dtype=torch.float64).logit()


@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize(("p", "quality"), [(0.3, 0.6), (0.9, 0.6), (0.3, 0.0), (0.3, 1.0)])
def test_quality_focal_has_its_closed_form(p, quality, beta):
    entropy = -quality * math.log(p) - (1 - quality) * math.log(1 - p)
    loss = losses.quality_focal(probability(p), torch.tensor([quality]).double(), beta)
    assert loss.item() == pytest.approx(abs(quality - p) ** beta * entropy, rel=1e-6)


def test_quality_focal_of_a_hard_target_is_focal_without_alpha():
    logit = logits(50, dtype=torch.float32)
    target = (logit.flip(0) > 0).float()
    expected = 2 * focal(logit, target, alpha=0.5)
    torch.testing.assert_close(losses.quality_focal(logit, target), expected)


@pytest.mark.parametrize("quality", [0.05, 0.5, 0.8])
def test_quality_focal_falls_towards_the_quality_and_is_zero_there(quality):
    p = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    logit = p.logit().requires_grad_()
    loss = losses.quality_focal(logit, torch.full_like(p, quality))
    loss.sum().backward()
    there = (p - quality).abs() < 1e-6
    assert torch.equal(logit.grad[~there].sign(), (p - quality)[~there].sign())
    assert [loss[there].item(), logit.grad[there].item()] == pytest.approx([0, 0], abs=1e-12)


BINS = 17


def split(side):
    """The two bins that enclose a side, as probabilities (B,)."""
    lengths = torch.arange(BINS, dtype=torch.float64)
    return (1 - (lengths - side).abs()).clamp(min=0)


sides = pytest.mark.parametrize("side", [0.0, 0.25, 7.0, 9.9, 15.5, 16.0])


@sides
def test_distribution_focal_is_cross_entropy_with_the_two_bins(side):
    bins = logits(5, BINS)
    expected = cross_entropy(bins, split(side).expand(5, -1), reduction="none")
    loss = losses.distribution_focal(bins, torch.full((5,), side, dtype=torch.float64))
    torch.testing.assert_close(loss, expected)


@sides
def test_distribution_focal_is_least_at_the_split_whose_mean_is_the_side(side):
    best = split(side).clamp(min=1e-30).log().requires_grad_()
    wanted = torch.tensor(side, dtype=torch.float64)
    loss = losses.distribution_focal(best, wanted)
    loss.backward()
    assert (best.softmax(-1) @ torch.arange(BINS).double()).item() == pytest.approx(side)
    torch.testing.assert_close(best.grad, torch.zeros(BINS).double(), atol=1e-12, rtol=0)
    assert (losses.distribution_focal(logits(99, BINS), wanted.expand(99)) > loss).all()


def test_distribution_focal_takes_any_leading_dimensions():
    bins, side = logits(2, 3, 4, BINS), 16 * logits(2, 3, 4).sigmoid()
    rows = losses.distribution_focal(bins.flatten(0, 2), side.flatten())
    assert torch.equal(losses.distribution_focal(bins, side).flatten(), rows)


@pytest.mark.parametrize(
    ("width", "expected"), [(20, 0), (18, 0.1**2 / 0.4), (10, 0.5 - 0.1), (60, 2 / 3 - 0.1)]
)
def test_bounded_iou_loss_has_its_closed_form(width, expected):
    found = losses.bounded_iou_loss(torch.tensor([[width, 8.0]]), torch.tensor([[20.0, 8]]))
    assert found.item() == pytest.approx(expected, abs=1e-7)


def test_bounded_iou_loss_of_one_wrong_side_is_that_of_the_overlap():
    wanted, share = 1 + logits(50, 2).abs(), logits(50).exp()
    sides = torch.stack((wanted[:, 0] * share, wanted[:, 1]), 1)
    iou = geometry.paired_iou(*(torch.cat((-each, each), 1) / 2 for each in (sides, wanted)))
    expected = smooth_l1_loss(1 - iou, torch.zeros_like(iou), beta=0.2, reduction="none")
    for pair in ((sides, wanted), (wanted, sides), (sides.flip(1), wanted.flip(1))):
        torch.testing.assert_close(losses.bounded_iou_loss(*pair), expected)


def test_bounded_iou_loss_does_not_depend_on_the_unit_and_is_bounded():
    one, other = logits(2, 50, 2).exp()
    loss = losses.bounded_iou_loss(one, other)
    torch.testing.assert_close(losses.bounded_iou_loss(16 * one, 16 * other), loss)
    assert (loss >= 0).all() and (loss < 2 * 0.9).all()


EXTREME = [-1e4, -100.0, 0.0, 100.0, 1e4]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("loss", "values"),
    [
        (lambda x: losses.quality_focal(x, torch.full_like(x, 0.0)), EXTREME),
        (lambda x: losses.quality_focal(x, torch.full_like(x, 0.5)), EXTREME),
        (lambda x: losses.quality_focal(x, torch.full_like(x, 1.0)), EXTREME),
        (lambda x: losses.plain_likelihood(x, *x.new_tensor([0.5, 1.0])), EXTREME),
        (lambda x: losses.distribution_focal(x, x.new_tensor(3.5)), EXTREME),
        (lambda x: losses.distribution_focal(x, x.new_tensor(4.0)), EXTREME),
        (lambda x: losses.bounded_iou_loss(x, x.new_tensor([1.0, 1e5])), [[0, 0], [1e-9, 1e9]]),
    ],
)
def test_extreme_predictions_give_finite_values_and_gradients(loss, values, dtype):
    values = torch.tensor(values, dtype=dtype, requires_grad=True)
    total = loss(values)
    total.sum().backward()
    assert total.isfinite().all() and values.grad.isfinite().all()


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: losses.quality_focal(x, logits(8, 3).flip(0).sigmoid()),
        lambda x: losses.distribution_focal(x, logits(8).sigmoid() * 2),
        lambda x: losses.bounded_iou_loss(x.exp(), logits(8, 3).flip(0).exp()),
    ],
)
def test_gradients_of_the_other_losses_are_those_of_their_values(loss):
    assert gradcheck(loss, logits(8, 3, scale=1.0).requires_grad_())
