"""The long tail: its curve, its exact counts, and the laws of federated annotation."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from detectron2.data.datasets.lvis_v1_category_image_count import LVIS_CATEGORY_IMAGE_COUNT
from detectron2.structures import Boxes, Instances

from p2s.data import coco, glyphs, lvis
from p2s.data.glyphs import ink, layout, longtail
from p2s.measure.lvis import lvis_numbers
from p2s.spec import Glyphs
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT

TAIL = Glyphs(seed=2, train=90, val=70, size=64, classes=60, imbalance="lvis")
FEDERATED = TAIL.model_copy(update={"federated": True})
DESK, DESK_365 = (
    Study.load(Project.at(ROOT), "desk").runs([name])[0].spec.data for name in ("table7", "table8")
)


def spread(frequency):
    return np.sort(frequency)[::-1]


def test_the_curve_is_that_of_lvis():
    real = [row["image_count"] for row in LVIS_CATEGORY_IMAGE_COUNT]
    images = spread(longtail.frequencies("lvis", 1203))
    assert images.round(6).tolist() == sorted(real, reverse=True)
    few = spread(longtail.frequencies("lvis", 60))
    assert (few[0], few[-1]) == pytest.approx((max(real), min(real)))
    assert np.log(few).mean() == pytest.approx(np.log(real).mean(), rel=0.02)


def test_groups_are_those_of_the_real_counts():
    images, groups = longtail.frequencies("lvis", 1203), longtail.groups(1203)
    assert {name: len(classes) for name, classes in groups.items()} == longtail.LVIS_GROUPS
    assert groups == lvis.groups(images.round())


@pytest.mark.parametrize("classes", [1, 2, 3, 60, 365])
def test_groups_part_the_classes_in_the_order_of_frequency(classes):
    groups, images = longtail.groups(classes), longtail.frequencies("lvis", classes)
    assert sorted(sum(groups.values(), [])) == list(range(classes))
    levels = [images[classes] for classes in groups.values() if classes]
    assert all(high.min() > low.max() for high, low in pairwise(levels))


def test_objects365_falls_by_one_factor_from_rank_to_rank():
    images = spread(longtail.frequencies("objects365", 365))
    assert images[1:] / images[:-1] == pytest.approx(np.full(364, 10 ** (-4 / 364)))


@pytest.mark.parametrize("imbalance", ["lvis", "objects365"])
@pytest.mark.parametrize("slots", [1300, 6000, 29_000, 10**7])
def test_the_power_is_the_highest_that_leaves_every_class_its_least(imbalance, slots):
    frequency = longtail.frequencies(imbalance, 1203)
    power = longtail.power(frequency, slots, least=1)
    for hundredths in range(101):
        weight = frequency ** (hundredths / 100)
        assert (slots * weight / weight.sum() >= 1).all() == (hundredths <= round(100 * power))


def test_quotas_are_the_shares_to_within_one_and_add_up():
    rng = np.random.default_rng(0)
    for classes, slots in ((1, 7), (5, 3), (40, 40), (300, 12_345)):
        weight = rng.random(classes) ** 3
        quotas, shares = longtail.quotas(weight, slots), slots * weight / weight.sum()
        assert quotas.sum() == slots and (abs(quotas - shares) < 1).all()
        up = quotas > shares
        assert (shares % 1)[up].min(initial=1) >= (shares % 1)[~up].max(initial=0)


def objects(plan):
    return np.bincount(np.concatenate([np.array(row, int) for row in plan.labels]))


def test_at_desk_size_every_class_is_in_training_and_five_times_in_validation():
    train, val = (glyphs.plan(DESK, split) for split in glyphs.SPLITS)
    assert train.power == 0.61 and val.power == 0
    assert objects(train).shape == (1203,) and objects(train).min() == 1
    assert objects(train).max() > 100 * objects(train).min()
    assert objects(val).min() == 5 and objects(val).max() == 6
    places = [{k for row in plan.federation.positives for k in row} for plan in (train, val)]
    assert places == [set(range(1203))] * 2


def test_at_desk_size_each_of_365_classes_is_in_training_and_five_times_in_validation():
    train, val = (objects(glyphs.plan(DESK_365, split)) for split in glyphs.SPLITS)
    assert len(train) == len(val) == 365 and train.min() >= 1 and val.min() >= 5
    assert train.max() > 100 * train.min() and val.max() - val.min() == 1


def test_a_positive_set_is_as_large_as_in_lvis():
    positives = glyphs.plan(DESK, "train").federation.positives
    assert np.mean([len(row) for row in positives]) == pytest.approx(360_952 / 100_170, rel=0.02)


def test_counts_follow_the_frequencies_in_training_only():
    train, val = (objects(glyphs.plan(TAIL, split)) for split in glyphs.SPLITS)
    order = np.argsort(longtail.ranks(TAIL.classes))
    assert (np.diff(train[order]) <= 0).all() and train.max() > 20 * train.min()
    assert val.max() - val.min() == 1


@pytest.mark.parametrize("split", glyphs.SPLITS)
def test_scenes_hold_what_is_planned(split):
    plan = glyphs.plan(TAIL, split)
    for index in range(60):
        _, items = glyphs.scene(TAIL, split, index)
        assert Counter(item["label"] for item in items) == Counter(plan.labels[index])


def test_a_planned_object_without_a_place_becomes_smaller():
    crowding, shown = layout.Crowding(mean=14, median=0.5), {}
    for planned in (None, [0] * 30):
        rngs = [np.random.default_rng(seed) for seed in range(20)]
        shown[planned is None] = [
            layout.arrange(r, ink.Ground(96, 128), 4, planned, crowding)[1] for r in rngs
        ]
    wanted = [layout.count(np.random.default_rng(seed), crowding) for seed in range(20)]
    assert list(map(len, shown[False])) == wanted
    assert sum(map(len, shown[True])) < sum(wanted)


def test_no_pixel_tells_what_is_annotated():
    for split in glyphs.SPLITS:
        for index in range(4):
            image, items = glyphs.scene(FEDERATED, split, index)
            same, drawn = glyphs.scene(TAIL, split, index)
            assert image.tobytes() == same.tobytes()
            assert [{k: v for k, v in one.items() if k != "annotated"} for one in items] == drawn


@pytest.mark.parametrize(
    ("settings", "split"), [(FEDERATED, "train"), (DESK, "train"), (DESK, "val")]
)
def test_annotation_keeps_the_laws_of_lvis(settings, split):
    plan = glyphs.plan(settings, split)
    told, repeats = plan.federation, 0
    for image, labels in enumerate(plan.labels):
        known = told.annotated(image, labels)
        assert not told.negatives[image] & set(labels)  # nothing of a negative class is there
        assert told.not_exhaustive[image] <= told.positives[image] <= set(labels)
        assert {k for k, here in zip(labels, known, strict=True) if here} == told.positives[image]
        for label in told.positives[image]:
            there = [here for k, here in zip(labels, known, strict=True) if k == label]
            wanted = 1 if label in told.not_exhaustive[image] else len(there)
            assert sum(there) == wanted
            repeats += wanted < len(there)
    assert repeats > 0 or split == "val"


def test_positive_and_negative_sets_have_their_sizes():
    plan = glyphs.plan(FEDERATED, "train")
    shown, positive, negative = (
        Counter(k for row in rows for k in set(row))
        for rows in (plan.labels, plan.federation.positives, plan.federation.negatives)
    )
    for k in range(FEDERATED.classes):
        assert positive[k] == -(-shown[k] // 2)
        assert negative[k] == 6 * FEDERATED.train // FEDERATED.classes


def test_a_class_in_nearly_every_image_has_the_negatives_that_are_left():
    told = longtail.federate(np.random.default_rng(0), [[0], [0], [1], []], 2)
    assert [0 in row for row in told.negatives] == [False, False, True, True]


def test_prepared_scenes_are_healthy_lvis_and_hold_the_full_truth(tmp_path):
    files = glyphs.prepare(FEDERATED, tmp_path)
    assert lvis.check(files.train, files.images) == lvis.check(files.val, files.images) == []
    known, whole = glyphs.load(FEDERATED, tmp_path), glyphs.load(TAIL, tmp_path)
    truth = [glyphs.full_truth(known[0], split) for split in glyphs.SPLITS]
    for split, here, full, plain in zip(glyphs.SPLITS, known, truth, whole, strict=True):
        told = glyphs.plan(FEDERATED, split).federation
        assert list(map(set, here.negatives)) == told.negatives
        assert list(map(set, here.not_exhaustive)) == told.not_exhaustive
        flags = [[one.pop("annotated") for one in items] for items in full.annotations]
        assert full.annotations == plain.annotations
        pairs = zip(full.annotations, flags, strict=True)
        kept = [[one for one, flag in zip(*pair, strict=True) if flag] for pair in pairs]
        assert here.annotations == kept and here.fingerprint != plain.fingerprint
        assert here.groups == longtail.groups(FEDERATED.classes)


def boxes_of(sample):
    rows = zip(sample["boxes"].tolist(), sample["classes"].tolist(), strict=True)
    return sorted((box, label) for box, label in rows)


def test_training_may_be_told_of_all_objects_and_validation_never_is(tmp_path):
    labelled = FEDERATED.model_copy(update={"unannotated": "labelled"})
    (hidden, val), (train, same) = (glyphs.load(each, tmp_path) for each in (FEDERATED, labelled))
    whole, _ = glyphs.load(TAIL, tmp_path)
    assert all(boxes_of(train.sample(i)) == boxes_of(whole.sample(i)) for i in range(len(whole)))
    assert same.annotations == val.annotations and same.fingerprint == val.fingerprint
    assert len({each.fingerprint for each in (hidden, train, whole)}) == 3
    assert hidden.folder == train.folder  # drawn once


def test_the_boxes_of_unannotated_objects_come_last_without_their_class(tmp_path):
    told = FEDERATED.model_copy(update={"unannotated": "boxes"})
    (hidden, _), (train, val) = (glyphs.load(each, tmp_path) for each in (FEDERATED, told))
    whole, _ = glyphs.load(TAIL, tmp_path)
    for index in hidden.trainable[:20]:
        less, more, every = (each.sample(index) for each in (hidden, train, whole))
        kept = more["fields"]["gt_annotated"]
        assert (more["boxes"][kept] == less["boxes"]).all() and kept.sum() == len(less["boxes"])
        assert (more["classes"][kept] == less["classes"]).all()
        assert sorted(more["boxes"].tolist()) == sorted(every["boxes"].tolist())
        assert not more["classes"][~kept].any()
    assert train.trainable == hidden.trainable and not val.unannotated
    assert (train.image_counts == hidden.image_counts).all()


def test_a_class_has_its_group_in_the_file(tmp_path):
    tables, _ = coco.tables(glyphs.prepare(TAIL, tmp_path).val)
    groups = longtail.groups(TAIL.classes)
    for k, row in enumerate(tables["categories"]):
        assert k in groups[row["frequency"]] and row["name"] == glyphs.names(TAIL)[k]


def test_found_all_that_is_annotated_and_nothing_else_is_100(tmp_path):
    _, val = glyphs.load(FEDERATED, tmp_path)
    found = []
    for index in range(len(val)):
        boxes, classes, _ = (torch.as_tensor(each) for each in val.boxes(index))
        fields = {"pred_boxes": Boxes(boxes), "scores": torch.ones(len(boxes))}
        found.append(Instances((64, 64), pred_classes=classes, **fields))
    lists = val.negatives, val.not_exhaustive, longtail.groups(FEDERATED.classes)
    numbers = lvis_numbers(val, found, *lists)
    assert [numbers[name] for name in ("AP", "APr", "APc", "APf")] == pytest.approx([100] * 4)


def test_too_few_scenes_for_the_classes_are_refused_with_what_is_needed():
    for split, least in longtail.LEAST.items():
        few = TAIL.model_copy(update={split: 3})
        with pytest.raises(ValueError, match=f"valid: {60 * least} or more, {least} of each of 60"):
            glyphs.scene(few, split, 0)


def test_settings_that_exclude_each_other_are_refused():
    with pytest.raises(ValueError, match="federated without imbalance; valid: lvis, objects365"):
        Glyphs(federated=True)
    with pytest.raises(ValueError, match="unannotated boxes without federated; valid: hidden"):
        Glyphs(unannotated="boxes")
    with pytest.raises(ValueError, match="imbalance lvis with chances; valid: None"):
        Glyphs(imbalance="lvis", classes=2, chances=((1, 1), (1, 0)))


def test_fingerprints_tell_imbalance_and_annotation_apart_and_old_ones_stand():
    other = TAIL.model_copy(update={"imbalance": "objects365"})
    even = TAIL.model_copy(update={"imbalance": None})
    seen = {glyphs.fingerprint(each, "train") for each in (TAIL, FEDERATED, other, even)}
    assert len(seen) == 4
    assert glyphs.fingerprint(Glyphs(), "train") == "0fafd92fc29fd971"  # of the first records
