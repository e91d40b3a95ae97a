import math

import pytest
import torch
from detectron2.structures import Boxes, Instances
from torchvision.ops import batched_nms

from p2s.maths.geometry import locations, pairwise_iou
from p2s.model.first import dense, heads
from p2s.model.first.assign import as_assigned, near_center_positives
from p2s.model.first.coding import Distances

STRIDES = {"p3": 8, "p4": 16}
SIZES = [(4, 6), (2, 3)]
GRID = locations(SIZES, list(STRIDES.values()))
COUNT = len(GRID.points)


def head(towers=heads.shared_tower, num_classes=2, channels=8):
    torch.manual_seed(0)
    return heads.DenseHead(towers(channels, 2), channels, num_classes, len(SIZES))


def maps(images=2, channels=8, value=None):
    torch.manual_seed(1)
    shapes = [(images, channels, *size) for size in SIZES]
    return [torch.randn(s) if value is None else torch.full(s, value) for s in shapes]


def truths(boxes, classes):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    classes = torch.tensor(classes, dtype=torch.long)
    return Instances((32, 48), gt_boxes=Boxes(boxes), gt_classes=classes)


def predictions(images=2, num_classes=2):
    torch.manual_seed(2)
    logit = torch.randn(images, COUNT, num_classes) * 3
    return heads.Predictions(logit, torch.rand(images, COUNT, 4) * 2)


@pytest.mark.parametrize("towers", [heads.shared_tower, heads.separate_towers])
def test_an_untrained_head_says_one_percent_and_eight_strides(towers):
    logit, ltrb, _ = head(towers)(maps(value=0.0))
    assert logit.shape == (2, COUNT, 2) and ltrb.shape == (2, COUNT, 4)
    torch.testing.assert_close(logit.sigmoid(), torch.full_like(logit, 0.01), atol=1e-2, rtol=0)
    torch.testing.assert_close(ltrb, torch.full_like(ltrb, 8.0), atol=0.5, rtol=0)


def test_rows_of_the_head_follow_the_locations():
    net = head(lambda *_: [torch.nn.Identity()] * 3, channels=2)
    with torch.no_grad():
        for conv in (net.score, net.ltrb):
            conv.weight.zero_(), conv.bias.zero_()
        net.ltrb.weight[:2, :, 1, 1] = torch.eye(2)  # left and top copy channels 0 and 1
    parts = zip(GRID.points.split([24, 6]), SIZES, strict=True)
    rows = [part.reshape(1, *size, 2) for part, size in parts]
    _, ltrb, _ = net([each.permute(0, 3, 1, 2) for each in rows])
    assert torch.equal(ltrb[0, :, :2], GRID.points)


def test_each_level_has_its_own_scale():
    net = head()
    _, before, _ = net(maps())
    with torch.no_grad():
        net.scales[1] *= 2
    _, after, _ = net(maps())
    torch.testing.assert_close(after, before * torch.where(GRID.level == 1, 2, 1)[:, None])


def test_separate_towers_have_twice_the_tower():
    counts = [
        sum(p.numel() for p in head(towers).parameters())
        for towers in (heads.shared_tower, heads.separate_towers)
    ]
    tower = sum(p.numel() for p in heads.tower(8, 2).parameters())
    assert counts[1] - counts[0] == tower


@pytest.mark.parametrize("channels", [24, 7, 64])
def test_towers_of_any_width_normalise(channels):
    assert heads.tower(channels, 1)(torch.randn(1, channels, 4, 4)).shape == (1, channels, 4, 4)


def test_a_perfect_prediction_costs_nothing():
    truth = truths([[0, 0, 40, 24]], [1])
    targets = dense.Objective().assign(GRID, truth.gt_boxes.tensor, truth.gt_classes, 2)
    logit = torch.where(targets.peaks > 0, 50.0, -50.0)[None]
    side = (targets.boxes[:, 2:] - GRID.points, GRID.points - targets.boxes[:, :2])
    ltrb = torch.cat(side[::-1], -1)[None] / GRID.stride[:, None]
    for loss in dense.Objective()(GRID, heads.Predictions(logit, ltrb), [truth]).values():
        assert abs(loss.item()) < 1e-5


def test_losses_of_a_batch_are_normalised_by_its_positives():
    logit, ltrb, _ = predictions()
    pair = [truths([[0, 0, 40, 24]], [1]), truths([[8, 8, 30, 30], [0, 0, 9, 9]], [0, 1])]
    whole = dense.Objective()(GRID, heads.Predictions(logit, ltrb), pair)
    parts = [
        dense.Objective()(
            GRID, heads.Predictions(logit[n : n + 1], ltrb[n : n + 1]), pair[n : n + 1]
        )
        for n in (0, 1)
    ]
    name = "loss_dense_positive"
    torch.testing.assert_close(whole[name], (parts[0][name] + 2 * parts[1][name]) / 3)


def test_all_losses_are_multiplied_by_the_weight_once():
    pair = [truths([[0, 0, 40, 24]], [1])] * 2
    one = dense.Objective()(GRID, predictions(), pair)
    two = dense.Objective(weight=2.0)(GRID, predictions(), pair)
    for name, loss in one.items():
        torch.testing.assert_close(two[name], 2 * loss)


def test_box_losses_weigh_twice_a_score():
    losses = dense.Objective(coding=Distances(lambda a, b: torch.ones(len(a))))(
        GRID, predictions(), [truths([[0, 0, 40, 24]], [1])] * 2
    )
    assert losses["loss_dense_box"].item() == 2


def test_extra_positives_are_a_passed_in_refinement():
    truth = truths([[0, 0, 40, 24]], [1])
    logit, *_ = predictions(1)
    sides = torch.cat((GRID.points, torch.tensor([40.0, 24.0]) - GRID.points), -1)
    ltrb = (sides / GRID.stride[:, None]).clamp(min=0)[None]
    plain, more = (
        dense.Objective(refine=refine)(GRID, heads.Predictions(logit, ltrb), [truth])
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
    dense.Objective(refine=refine)(
        GRID, heads.Predictions(logit, ltrb), [truths([[0, 0, 40, 24]], [1])] * 2
    )


@pytest.mark.parametrize("boxes", [[], [[16, 16, 17, 17]], [[-500, -500, 900, 900]]])
@pytest.mark.parametrize("refine", [as_assigned, near_center_positives])
def test_any_number_and_size_of_truths_trains(boxes, refine):
    net = head()
    logit, ltrb, _ = net(maps())
    pair = [truths(boxes, [0] * len(boxes)), truths([], [])]
    losses = dense.Objective(refine=refine)(GRID, heads.Predictions(logit, ltrb), pair)
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_huge_predictions_have_finite_losses():
    logit, ltrb, _ = predictions()
    pair = [truths([[0, 0, 40, 24]], [1])] * 2
    losses = dense.Objective()(GRID, heads.Predictions(logit * 1e4, ltrb * 1e6), pair)
    assert all(loss.isfinite() for loss in losses.values())


def test_top_candidates_are_the_best_of_each_level():
    logit, ltrb, _ = predictions()
    found = dense.top_candidates(GRID, logit, ltrb, Distances().decode, 5)
    for n in range(2):
        for level, rows in ((3, slice(0, 24)), (4, slice(24, 30))):
            best = logit[n, rows].flatten().sort(descending=True).values[:5]
            assert torch.equal(found[n].logit[found[n].level == level], best)


def test_candidates_carry_the_box_and_class_of_their_logit():
    logit, ltrb, _ = predictions()
    found = dense.top_candidates(GRID, logit, ltrb, Distances().decode, 100)[1]
    assert len(found.logit) == COUNT * 2
    for box, value, kind in zip(found.boxes, found.logit, found.classes, strict=True):
        location = (logit[1, :, kind] == value).nonzero().item()
        side = ltrb[1, location] * GRID.stride[location]
        point = GRID.points[location]
        expected = torch.cat((point - side[:2], point + side[2:]))
        torch.testing.assert_close(box, expected)


@pytest.mark.parametrize("where", ["logit", "ltrb"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_nonfinite_prediction_is_named_by_level_and_image(where, value):
    logit, ltrb, _ = predictions()
    logit[1, 25] = 99.0
    {"logit": logit, "ltrb": ltrb}[where][1, 25] = value
    with pytest.raises(FloatingPointError, match="level p4, image 1"):
        dense.top_candidates(GRID, logit, ltrb, Distances().decode, 5)


def candidates(count=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 60 - 20
    boxes = torch.cat((corner, corner + torch.rand(count, 2, generator=generator) * 30), 1)
    logit = torch.randn(count, generator=generator) * 3
    classes = torch.randint(2, (count,), generator=generator)
    return dense.Candidates(boxes, logit, classes, torch.full((count,), 3))


@pytest.mark.parametrize("seed", range(3))
def test_what_leaves_is_sorted_clipped_likely_and_apart(seed):
    found = dense.suppress(candidates(seed=seed), (32, 48), dense.Selection(0.1, 99, 0.4, 15))
    assert 0 < len(found.logit) <= 15
    assert (found.logit.diff() <= 0).all() and (found.logit.sigmoid() > 0.1).all()
    assert (found.boxes >= 0).all() and (found.boxes <= torch.tensor([48.0, 32, 48, 32])).all()
    same = found.classes[:, None] == found.classes
    overlap = (pairwise_iou(found.boxes, found.boxes) * same).fill_diagonal_(0)
    assert (overlap <= 0.4 + 1e-5).all()


def test_each_suppressed_box_overlaps_a_likelier_one_of_its_class():
    every = candidates()
    kept = dense.suppress(candidates(), (32, 48), dense.Selection(0.0, 99, 0.4, 99))
    all_boxes = dense.suppress(every, (32, 48), dense.Selection(0.0, 99, 1.0, 99))
    for n, value in enumerate(all_boxes.logit):
        if value not in kept.logit:
            rivals = (kept.logit > value) & (kept.classes == all_boxes.classes[n])
            overlap = pairwise_iou(all_boxes.boxes[n : n + 1], kept.boxes[rivals])
            assert overlap.max() > 0.4


@pytest.mark.parametrize(("floor", "some"), [(0.0, True), (1.0, False)])
def test_floors_of_zero_and_one_keep_all_and_none(floor, some):
    found = dense.suppress(candidates(), (32, 48), dense.Selection(floor, 99, 1.0, 99))
    inside = dense.suppress(candidates(), (1000, 1000), dense.Selection(floor, 99, 1.0, 99))
    assert (len(found.logit) > 0) == some
    assert len(inside.logit) >= len(found.logit)


def test_logits_of_probabilities_are_exact_to_the_ends():
    assert [dense.to_logit(p) for p in (0.0, 0.5, 1.0)] == [-math.inf, 0.0, math.inf]
    assert dense.to_logit(1e-8) == pytest.approx(math.log(1e-8), rel=1e-9)


@pytest.mark.parametrize("count", [0, 1, 100, 5000])
@pytest.mark.parametrize("rows", [0, 1, 50, 3000])
def test_the_first_that_nms_keeps_are_those_of_all_that_it_keeps(rows, count):
    corner, size = 500 * torch.rand(rows, 2), 1 + 200 * torch.rand(rows, 2)
    boxes, classes = torch.cat([corner, corner + size], 1), torch.randint(3, (rows,))
    scores = torch.randperm(rows) / max(rows, 1)  # without ties, whose order NMS leaves open
    for iou in (0.3, 0.7):
        kept = batched_nms(boxes, scores, classes, iou)
        assert torch.equal(dense.first_kept(boxes, scores, classes, iou, count), kept[:count])


def test_boxes_that_are_not_clipped_keep_their_corners():
    beyond = torch.tensor([[-5.0, -5, 40, 50]])
    one = dense.Candidates(beyond, torch.ones(1), torch.zeros(1).long(), torch.ones(1).long())
    chosen = [
        dense.suppress(one, (30, 30), dense.Selection(0.1, 9, 0.5, 9, clip)).boxes.tolist()
        for clip in (True, False)
    ]
    assert chosen == [[[0, 0, 30, 30]], [[-5, -5, 40, 50]]]
