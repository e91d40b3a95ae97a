import math

import pytest
import torch
from fvcore.nn import giou_loss as fvcore_giou
from fvcore.nn import sigmoid_focal_loss as fvcore_focal
from torch.autograd import gradcheck

from p2s import losses


def logits(*shape, scale=4.0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype) * scale


def test_sigmoid_focal_agrees_with_fvcore():
    logit = logits(50, 3, dtype=torch.float32)
    target = (logits(50, 3).flip(0) > 0).float()
    expected = fvcore_focal(logit, target, alpha=0.25, gamma=2.0)
    torch.testing.assert_close(losses.sigmoid_focal(logit, target), expected)


def test_peak_focal_of_a_hard_target_is_focal():
    logit = logits(50)
    target = (logits(50).flip(0) > 0).double()
    expected = losses.sigmoid_focal(logit, target)
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_huge_logits_give_finite_values_and_gradients(dtype, target):
    logit = torch.tensor([-1e4, -100.0, 0.0, 100.0, 1e4], dtype=dtype, requires_grad=True)
    targets = torch.full_like(logit, target)
    total = losses.peak_focal(logit, targets, targets) + losses.sigmoid_focal(logit, targets)
    total.sum().backward()
    assert total.isfinite().all() and logit.grad.isfinite().all()


def test_gradients_of_the_focal_losses_are_those_of_their_values():
    logit = logits(8).requires_grad_()
    heat, peaks = logits(8).sigmoid(), (logits(8) > 2).double()
    assert gradcheck(lambda x: losses.peak_focal(x, heat, peaks), logit)
    assert gradcheck(lambda x: losses.sigmoid_focal(x, peaks), logit)


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
