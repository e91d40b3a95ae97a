"""Laws of a dense objective: what losses weigh, and what costs nothing."""

import pytest
import torch

from p2s.model.first import heads
from p2s.model.first.assign import as_assigned, near_center_positives
from p2s.model.first.coding import Distances
from p2s.model.first.objective import Objective
from tests.support.tiny_dense import GRID, head, maps, predictions, truths


def test_a_perfect_prediction_costs_nothing():
    truth = truths([[0, 0, 40, 24]], [1])
    targets = Objective().assign(GRID, truth.gt_boxes.tensor, truth.gt_classes, 2)
    logit = torch.where(targets.peaks > 0, 50.0, -50.0)[None]
    side = (targets.boxes[:, 2:] - GRID.points, GRID.points - targets.boxes[:, :2])
    ltrb = torch.cat(side[::-1], -1)[None] / GRID.stride[:, None]
    for loss in Objective()(GRID, heads.Predictions(logit, ltrb), [truth]).values():
        assert abs(loss.item()) < 1e-5


def test_losses_of_a_batch_are_normalised_by_its_positives():
    logit, ltrb, _ = predictions()
    pair = [truths([[0, 0, 40, 24]], [1]), truths([[8, 8, 30, 30], [0, 0, 9, 9]], [0, 1])]
    whole = Objective()(GRID, heads.Predictions(logit, ltrb), pair)
    parts = [
        Objective()(GRID, heads.Predictions(logit[n : n + 1], ltrb[n : n + 1]), pair[n : n + 1])
        for n in (0, 1)
    ]
    name = "loss_dense_positive"
    torch.testing.assert_close(whole[name], (parts[0][name] + 2 * parts[1][name]) / 3)


def test_all_losses_are_multiplied_by_the_weight_once():
    pair = [truths([[0, 0, 40, 24]], [1])] * 2
    one = Objective()(GRID, predictions(), pair)
    two = Objective(weight=2.0)(GRID, predictions(), pair)
    for name, loss in one.items():
        torch.testing.assert_close(two[name], 2 * loss)


def test_box_losses_weigh_twice_a_score():
    losses = Objective(coding=Distances(lambda a, b: torch.ones(len(a))))(
        GRID, predictions(), [truths([[0, 0, 40, 24]], [1])] * 2
    )
    assert losses["loss_dense_box"].item() == 2


def test_extra_positives_are_a_passed_in_refinement():
    truth = truths([[0, 0, 40, 24]], [1])
    logit, *_ = predictions(1)
    sides = torch.cat((GRID.points, torch.tensor([40.0, 24.0]) - GRID.points), -1)
    ltrb = (sides / GRID.stride[:, None]).clamp(min=0)[None]
    plain, more = (
        Objective(refine=refine)(GRID, heads.Predictions(logit, ltrb), [truth])
        for refine in (as_assigned, near_center_positives)
    )
    assert plain["loss_dense_positive"] != more["loss_dense_positive"]
    assert plain["loss_dense_box"] == more["loss_dense_box"]


def test_refinements_see_boxes_without_gradient():
    def refine(targets, pred_boxes, logit):
        assert not pred_boxes.requires_grad and not logit.requires_grad
        return targets

    logit, ltrb, _ = head()(maps())
    assert ltrb.requires_grad
    Objective(refine=refine)(
        GRID, heads.Predictions(logit, ltrb), [truths([[0, 0, 40, 24]], [1])] * 2
    )


@pytest.mark.parametrize("boxes", [[], [[16, 16, 17, 17]], [[-500, -500, 900, 900]]])
@pytest.mark.parametrize("refine", [as_assigned, near_center_positives])
def test_any_number_and_size_of_truths_trains(boxes, refine):
    net = head()
    logit, ltrb, _ = net(maps())
    pair = [truths(boxes, [0] * len(boxes)), truths([], [])]
    losses = Objective(refine=refine)(GRID, heads.Predictions(logit, ltrb), pair)
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_huge_predictions_have_finite_losses():
    logit, ltrb, _ = predictions()
    pair = [truths([[0, 0, 40, 24]], [1])] * 2
    losses = Objective()(GRID, heads.Predictions(logit * 1e4, ltrb * 1e6), pair)
    assert all(loss.isfinite() for loss in losses.values())
