"""Laws of the classes that count: EQL, and the set S of the federated loss."""

from collections import Counter
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torchvision.ops import sigmoid_focal_loss

from p2s.data.coco import CocoSet
from p2s.maths import federated
from p2s.maths.federated import (
    Frequencies,
    drawn_classes,
    equalized,
    is_label,
    set_of_batch,
    sets_of_images,
    sigmoid_ce,
)

COUNTS = torch.tensor([400, 100, 49, 16, 4, 1])  # images with an object of a class
ROOTS = COUNTS.sqrt()
NONE = torch.zeros(6, dtype=torch.bool)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def sets(draws, size, positive=NONE, weight=ROOTS):
    """How often each set S came out."""
    generator = seeded()
    drawn = (drawn_classes(positive, weight, size, generator) for _ in range(draws))
    return Counter(tuple(one.nonzero()[:, 0].tolist()) for one in drawn)


def successive(weight, size):
    """P(S) of draws one after the other, each in proportion to the weights that are left."""
    found = Counter()
    for order in permutations(range(len(weight)), size):
        left, p = sum(weight), 1.0
        for k in order:
            p *= weight[k] / left
            left -= weight[k]
        found[tuple(sorted(order))] += p
    return found


def likelihood(found, expected):
    """The p-value of how often sets came out, by how often they should."""
    draws = sum(found.values())
    return chisquare([found[key] for key in expected], [p * draws for p in expected.values()])[1]


def loss(logit, label, counted):
    return (counted * sigmoid_ce(logit, label)).sum() / len(label)


@given(st.lists(st.booleans(), min_size=1, max_size=80), st.integers(0, 80))
@settings(deadline=None, max_examples=60)
def test_s_has_all_positives_and_as_many_classes_as_asked_for(positive, size):
    positive = torch.tensor(positive)
    drawn = drawn_classes(positive, torch.rand(len(positive)) + 0.1, size)
    assert drawn[positive].all()
    assert drawn.sum() == max(min(size, len(positive)), positive.sum())


@given(st.lists(st.sampled_from([0, 1, 9, 2000]), min_size=1, max_size=60), st.integers(0, 60))
@settings(deadline=None, max_examples=60)
def test_a_class_of_weight_zero_is_no_negative(weight, size):
    weight = torch.tensor(weight).float()
    drawn = drawn_classes(torch.zeros(len(weight), dtype=torch.bool), weight, size)
    assert not drawn[weight == 0].any()
    assert drawn.sum() == min(size, (weight > 0).sum())


def test_a_single_draw_is_in_proportion_to_the_square_root_of_the_frequency():
    found = sets(20_000, 1)
    share = {power: COUNTS.double() ** power for power in (0, 0.5, 1)}
    share = {power: each / each.sum() for power, each in share.items()}
    p = {
        power: likelihood(found, {(k,): each[k] for k in range(6)}) for power, each in share.items()
    }
    assert p[0.5] > 1e-3
    assert max(p[0], p[1]) < 1e-9  # so the test can tell


@pytest.mark.parametrize("size", [2, 3, 5])
def test_sets_come_as_often_as_by_successive_draws(size):
    found, expected = sets(20_000, size), successive(ROOTS.tolist(), size)
    assert likelihood(found, expected) > 1e-3
    uniform = dict.fromkeys(expected, 1 / len(expected))
    assert likelihood(found, uniform) < 1e-9


def test_negatives_beside_a_positive_are_drawn_as_if_it_were_not_there():
    found = sets(20_000, 3, positive=is_label(torch.tensor([1]), 6)[0])
    others = [0, 2, 3, 4, 5]
    expected = successive(ROOTS[others].tolist(), 2)
    expected = {tuple(sorted([1, *(others[k] for k in key)])): p for key, p in expected.items()}
    assert likelihood(found, expected) > 1e-3


def test_every_image_has_a_set_of_its_own_positives():
    truths = [torch.tensor([5, 5, 2]), torch.tensor([], dtype=torch.long), torch.arange(5)]
    found = sets_of_images(truths, ROOTS, 3, seeded())
    assert found.sum(1).tolist() == [3, 3, 5]
    assert found[0, [2, 5]].all() and torch.equal(found[2], torch.arange(6) < 5)
    apart = sets_of_images([truths[1]] * 50, ROOTS, 3, seeded())
    assert len({tuple(one.tolist()) for one in apart}) > 5


@pytest.mark.parametrize(("label", "classes"), [([1, 6, 1], 2), ([1, 0], 3), ([6, 6], 2)])
def test_background_is_one_of_the_set_of_a_batch(label, classes):
    found = set_of_batch(torch.tensor(label), ROOTS, 3, seeded())
    assert found.sum() == classes
    assert all(found[k] for k in label if k < 6)


def test_a_generator_repeats_its_draws_and_leaves_the_global_one_alone():
    before, truths = torch.get_rng_state(), [torch.tensor([0])] * 9
    first, again, other = (sets_of_images(truths, ROOTS, 3, seeded(k)) for k in (4, 4, 5))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_generator_the_global_seed_decides():
    truths, drawn = [torch.tensor([0])] * 9, []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        drawn.append(sets_of_images(truths, ROOTS, 3))
    assert torch.equal(*drawn[:2]) and not torch.equal(*drawn[1:])


def test_no_gradient_reaches_a_class_outside_of_s():
    logit = torch.randn(8, 6, requires_grad=True)
    label, image = torch.tensor([2, 6, 6, 2, 0, 6, 6, 0]), torch.arange(2).repeat_interleave(4)
    found = sets_of_images([torch.tensor([2]), torch.tensor([0])], ROOTS, 3, seeded())
    loss(logit, label, found[image]).backward()
    assert torch.equal(logit.grad != 0, found[image])


@pytest.mark.parametrize("size", [6, 50])
def test_if_s_is_all_classes_the_loss_is_sigmoid_ce(size):
    logit, label = torch.randn(9, 6), torch.randint(7, (9,))
    found = set_of_batch(label, ROOTS, size + 1), sets_of_images([label[:2]], ROOTS, size)
    for counted in found:
        assert torch.equal(loss(logit, label, counted), sigmoid_ce(logit, label).sum() / 9)


def test_sigmoid_ce_is_minus_the_log_of_each_probability():
    logit, label = torch.randn(5, 3), torch.tensor([0, 2, 3, 1, 3])  # 3: background
    p = logit.sigmoid()
    own = torch.tensor([[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 0]])
    torch.testing.assert_close(sigmoid_ce(logit, label), -torch.where(own == 1, p, 1 - p).log())


def test_sigmoid_ce_is_detectron2s_and_torchvisions():
    logit, label = 5 * torch.randn(40, 6), torch.randint(7, (40,))
    plain = SimpleNamespace(use_fed_loss=False)
    padded = torch.cat((logit, torch.randn(40, 1)), 1)  # a column for background
    wanted = FastRCNNOutputLayers.sigmoid_cross_entropy_loss(plain, padded, label)
    torch.testing.assert_close(sigmoid_ce(logit, label).sum() / 40, wanted)
    peer = sigmoid_focal_loss(logit, is_label(label, 6).float(), alpha=-1, gamma=0)
    torch.testing.assert_close(sigmoid_ce(logit, label), peer)


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_a_huge_logit_costs_its_size_if_it_is_wrong_and_nothing_if_right(size):
    logit = torch.tensor([[size, -size, -size], [-size, size, -size]], requires_grad=True)
    cost = sigmoid_ce(logit, torch.tensor([0, 3]))
    assert torch.equal(cost, torch.tensor([[0, 0, 0], [0, size, 0]]))
    cost.sum().backward()
    assert torch.equal(logit.grad, torch.tensor([[0, 0, 0], [0, 1.0, 0]]))


def test_regions_without_an_object_are_negatives_of_the_drawn_classes():
    logit, label = torch.zeros(4, 6), torch.full((4,), 6)
    counted = set_of_batch(label, ROOTS, 4, seeded())
    assert loss(logit, label, counted).item() == pytest.approx(3 * np.log(2))  # and background


def test_no_regions_cost_nothing():
    logit, label = torch.zeros(0, 6, requires_grad=True), torch.zeros(0, dtype=torch.long)
    assert set_of_batch(label, ROOTS, 2).sum() == 2
    for counted in (equalized(label, NONE), set_of_batch(label, ROOTS, 2)):
        assert (counted * sigmoid_ce(logit, label)).sum() == 0


def test_eql_is_its_equation():
    label, tail = torch.randint(7, (60,)), torch.tensor([0, 0, 1, 1, 0, 1])
    is_object, own = (label < 6).long()[:, None], torch.eye(7)[label][:, :6]
    weight = 1 - is_object * tail * (1 - own)
    assert torch.equal(equalized(label, tail.bool()).float(), weight)


def test_eql_takes_background_for_a_negative_of_every_class_and_an_object_of_no_rare_one():
    logit, tail = torch.randn(3, 6, requires_grad=True), torch.arange(6) >= 3
    label = torch.tensor([6, 0, 4])  # background, a frequent class, a rare one
    loss(logit, label, equalized(label, tail)).backward()
    learnt = logit.grad != 0
    assert learnt[0].all()
    assert learnt[1].tolist() == [True, True, True, False, False, False]
    assert learnt[2].tolist() == [True, True, True, False, True, False]


def test_eql_without_a_tail_is_sigmoid_ce():
    label = torch.randint(7, (9,))
    assert equalized(label, NONE).all()


@pytest.mark.parametrize(("classes", "rare"), [(1203, 900), (365, 273), (401, 300), (10, 7)])
def test_the_tail_by_rank_is_the_same_share_of_any_vocabulary(classes, rare):
    counts = torch.randperm(classes)
    tail = federated.least_frequent(Frequencies(counts, classes))
    assert torch.equal(tail, counts < rare)


def test_the_tail_by_rank_has_its_size_also_among_equals():
    tail = federated.least_frequent(Frequencies(torch.tensor([5, 1, 5, 5, 5]), 9))
    assert tail.tolist() == [True, True, True, True, False]


def test_the_tails_by_images_are_below_200_and_below_lambda():
    found = Frequencies(torch.tensor([1, 176, 177, 199, 200, 5000]), 100_000)
    assert federated.in_few_images(found).sum() == 4
    assert federated.in_small_share(found).sum() == 2  # .00177 of the images are 177


def test_frequencies_count_a_class_once_an_image_and_no_image_without_any():
    items = [[{"category_id": k} for k in each] for each in ((7, 7, 9), (7,), (), (9, 7))]
    data = CocoSet("", [{}] * 4, items, ("a", "b", "c"), (7, 8, 9), "")
    counts, images = federated.frequencies(data)
    assert (counts.tolist(), images) == ([3, 0, 2], 3)


@pytest.mark.parametrize("label", [[6, 6, 2, 0, 2], [1, 3], [6], list(range(7))])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_the_set_and_the_loss_of_a_batch_are_those_of_the_authors(label, size):
    authors = pytest.importorskip("centernet.modeling.roi_heads.custom_fast_rcnn")
    label, padded = torch.tensor(label), torch.randn(len(label), 7)
    torch.manual_seed(size)
    ours = set_of_batch(label, ROOTS, size)
    torch.manual_seed(size)
    theirs = authors.get_fed_loss_inds(label, size, 6, weight=ROOTS)
    assert set(theirs.tolist()) - {6} == set(ours.nonzero()[:, 0].tolist())
    peer = SimpleNamespace(use_fed_loss=True, fed_loss_num_cat=size, freq_weight=ROOTS)
    torch.manual_seed(size)
    wanted = authors.CustomFastRCNNOutputLayers.sigmoid_cross_entropy_loss(peer, padded, label)
    torch.testing.assert_close(loss(padded[:, :-1], label, ours), wanted)
