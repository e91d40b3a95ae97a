"""Orders of images: their frequencies by law, by brute force, by chance, and beside their peers."""

from collections import Counter
from fractions import Fraction
from functools import partial
from itertools import combinations
from math import ceil, lcm, sqrt
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from p2s.data import sampling
from p2s.data.coco import CocoSet
from p2s.data.loader import batch_indices, train_batch
from p2s.spec import Recipe, Spec
from p2s.spec.identity import training_id

LEAST_P = 1e-3  # of a test by chance, whose seeds are fixed
REPEATED = partial(sampling.repeat_factor, threshold=0.5)
ORDERS = {"shuffled": sampling.shuffled, "repeat_factor": REPEATED}
ORDERS["class_aware"] = sampling.class_aware
# The classes of each image: 0 is frequent, 3 is rare, 4 has no image, one image has no object.
LABELS = ((0,), (0, 0, 1), (0,), (), (0, 2), (0, 1), (0,), (1, 3), (0, 2), (0,))


def coco_set(labels, classes=5):
    """Images of one size, with a box for each label."""
    images = [{"id": k, "file_name": "", "width": 9, "height": 9} for k in range(len(labels))]
    boxes = [[{"category_id": c, "bbox": [0, 0, 5, 5]} for c in each] for each in labels]
    names = tuple("abcdefgh"[:classes])
    return CocoSet(Path(), images, boxes, names, tuple(range(classes)), "")


@pytest.fixture(scope="module")
def data():
    return coco_set(LABELS)


def shares(order, data, epochs, seed=0):
    """How often an epoch has each image, on average."""
    shown = Counter(i for epoch in range(epochs) for i in order(data, seed, epoch).tolist())
    return np.array([shown[i] for i in range(len(data))]) / epochs


def test_the_shuffled_order_is_that_of_the_first_records():
    data = coco_set([(0,) if k in (0, 2, 3, 5, 6, 8, 9) else () for k in range(10)])
    first = [[0, 8, 9, 3], [6, 2, 5, 3], [5, 6, 2, 0], [9, 8, 9, 5]]
    assert [batch_indices(data, 4, 7, iteration) for iteration in range(4)] == first


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_batches_of_any_size_walk_along_the_same_chain_of_epochs(order, data):
    chain = [i for epoch in range(9) for i in order(data, 3, epoch).tolist()]
    for batch in (1, 4, 12):
        walk = [i for it in range(24 // batch) for i in batch_indices(data, batch, 3, it, order)]
        assert walk == chain[:24]


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_a_training_resumes_in_the_same_order(order, data):
    whole = [batch_indices(data, 4, 1, iteration, order) for iteration in range(20)]
    again = coco_set(LABELS)  # nothing is kept of another set
    assert [batch_indices(again, 4, 1, iteration, order) for iteration in (19, 7)] == [
        whole[19],
        whole[7],
    ]
    assert [batch_indices(data, 4, 2, iteration, order) for iteration in range(20)] != whole


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_images_without_objects_never_train(order, data):
    assert shares(order, data, 50)[3] == 0
    with pytest.raises(ValueError, match="no image has an object"):
        batch_indices(coco_set([(), ()]), 2, 0, 0, order)


@pytest.mark.parametrize("order", ["shuffled", "repeat_factor"])
def test_images_without_objects_train_where_a_recipe_says_so(order, data):
    orders = [sampling.order_of(Recipe(order=order, empty=empty)) for empty in (True, False)]
    assert sorted(orders[0](data, 0, 0).tolist()) == list(range(len(data)))
    assert sorted(orders[1](data, 0, 0).tolist()) == list(data.trainable)


def test_an_image_without_objects_is_not_repeated_and_shows_no_class(data):
    with_empty = sampling.repeat_factors(data, 0.5, empty=True)
    assert with_empty[3] == 1 and len(with_empty) == len(data)
    batch_order = sampling.order_of(Recipe(order="class_aware"))
    assert 3 not in shares(batch_order, data, 5).nonzero()[0]
    with pytest.raises(ValueError, match="empty does nothing with order class_aware; valid: shuf"):
        Recipe(order="class_aware", empty=True)


@pytest.mark.parametrize("threshold", [0, 1e-3, 0.2, 0.5, 1])
def test_repeat_factors_are_those_of_the_rarest_class(data, threshold):
    labels = [set(each) for each in LABELS if each]
    share = {c: sum(c in each for each in labels) / len(labels) for c in range(4)}
    by_hand = [max(max(1, sqrt(threshold / share[c])) for c in each) for each in labels]
    assert sampling.repeat_factors(data, threshold) == pytest.approx(by_hand)


def test_an_epoch_repeats_an_image_by_its_share_rounded_down_or_up(data):
    factors = sampling.repeat_factors(data, 0.5)
    share = factors * ceil(factors.sum()) / factors.sum()
    for epoch in range(100):
        shown = np.bincount(REPEATED(data, 0, epoch), minlength=len(LABELS))[list(data.trainable)]
        assert len(REPEATED(data, 0, epoch)) == shown.sum() == ceil(factors.sum())
        assert (shown >= np.floor(share)).all() and (shown <= np.ceil(share)).all()
    assert share.min() >= 1 > share.min() - 0.2 and share.max() > 1.9


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_image_is_shown_in_proportion_to_its_repeat_factor(data, seed):
    epochs, factors = 4000, sampling.repeat_factors(data, 0.5)
    shown = shares(REPEATED, data, epochs, seed)[list(data.trainable)]
    wanted = factors * ceil(factors.sum()) / factors.sum()
    spread = np.sqrt((wanted % 1) * (1 - wanted % 1) / epochs)  # of rounding by chance
    assert (abs(shown - wanted) < 4 * spread + 1e-9).all()


def test_any_two_images_are_repeated_in_the_same_epoch():
    data = coco_set([(0,), (1,), (2,), (3,)])  # each factor is sqrt(.5625 / .25) = 1.5
    epochs = [sampling.repeat_factor(data, 0, epoch, threshold=0.5625) for epoch in range(100)]
    pairs = {tuple(np.flatnonzero(np.bincount(epoch) == 2).tolist()) for epoch in epochs}
    assert pairs == set(combinations(range(4), 2))


def test_without_rare_classes_repeat_factor_shows_each_image_once(data):
    order = partial(sampling.repeat_factor, threshold=0.1)
    epochs = [order(data, 0, epoch).tolist() for epoch in range(50)]
    assert all(sorted(epoch) == list(data.trainable) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 50


def test_class_aware_shows_each_class_once_an_epoch_and_its_images_in_turn():
    labels = [(0,)] * 5 + [(1,)] * 3 + [(3,)]
    data, classes = coco_set(labels), np.array([c for (c,) in labels])
    epochs = [sampling.class_aware(data, 0, epoch) for epoch in range(15)]
    assert all(sorted(classes[epoch]) == [0, 1, 3] for epoch in epochs)
    once = 1 / np.bincount(classes)[classes]
    assert shares(sampling.class_aware, data, 15) == pytest.approx(once)
    for size, of_class in ((5, 0), (3, 1)):
        turns = [i for epoch in epochs for i in epoch.tolist() if classes[i] == of_class]
        cycles = [tuple(turns[k : k + size]) for k in range(0, 15, size)]
        assert all(len(set(cycle)) == size for cycle in cycles) and len(set(cycles)) > 1


def test_the_first_image_of_a_class_aware_training_is_of_any_class_alike():
    data = coco_set([(0,)] * 20 + [(1,)] * 4 + [(2,)] + [(3,)] * 9)
    first = [batch_indices(data, 1, seed, 0, sampling.class_aware)[0] for seed in range(2000)]
    classes = np.bincount([data.annotations[i][0]["category_id"] for i in first])
    assert chisquare(classes).pvalue > LEAST_P
    assert chisquare(np.bincount(first, minlength=34)[:20]).pvalue > LEAST_P  # and any of it


def test_class_aware_frequencies_of_images_with_many_classes_are_exact(data):
    present = [set(each) for each in LABELS]
    images = {c: sum(c in each for each in present) for c in range(4)}
    exact = [float(sum(Fraction(1, images[c]) for c in each)) for each in present]
    assert shares(sampling.class_aware, data, lcm(*images.values())) == pytest.approx(exact)


def test_class_aware_frequencies_are_those_of_the_authors_sampler(data):
    pytest.importorskip("centernet", reason="the authors' package is missing: make setup")
    from centernet.data.custom_dataset_dataloader import ClassAwareSampler

    peer = ClassAwareSampler([{"annotations": data.annotations[i]} for i in data.trainable], 0)
    shown = shares(sampling.class_aware, data, lcm(8, 3, 2))[list(data.trainable)]
    assert shown / shown.sum() == pytest.approx((peer.weights / peer.weights.sum()).numpy())


def test_a_recipe_names_its_order_and_old_trainings_keep_their_identity(data):
    for name, order in ORDERS.items():
        threshold = {"repeat_threshold": 0.5} if name == "repeat_factor" else {}
        asked = sampling.order_of(Recipe(order=name, **threshold))
        assert (asked(data, 5, 2) == order(data, 5, 2)).all()
    spec = Spec()
    assert not {"order", "repeat_threshold"} & set(spec.training_fields()["recipe"])
    other = spec.changed({"recipe": {"order": "class_aware"}})
    assert training_id(spec, "", 0) != training_id(other, "", 0)
    with pytest.raises(ValueError, match="repeat_threshold does nothing with order shuffled"):
        Recipe(repeat_threshold=0.01)


def test_a_batch_has_the_images_of_its_recipes_order(data, monkeypatch):
    monkeypatch.setattr(CocoSet, "_pixels", lambda self, row: np.zeros((9, 9, 3), np.uint8))
    sizes = {"batch": 4, "short_edge": (9,), "long_edge": 9}
    for name, order in ORDERS.items():
        threshold = {"repeat_threshold": 0.5} if name == "repeat_factor" else {}
        batch = train_batch(data, Recipe(order=name, **threshold, **sizes), 0, 5)
        assert [one["image_id"] for one in batch] == batch_indices(data, 4, 0, 5, order)
