"""Spec: named rows of the paper's tables, strict words, identities."""

import json
import re

import pytest
from pydantic import ValidationError

from p2s.files import canonical_hash
from p2s.spec import NAMED, Spec

FULL = {"kind": "glyphs", "classes": 80, "imbalance": "lvis"}


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("CenterNet2", {"second_stage": {"cls_loss": "annotated"}, "data": FULL}, "absent classes"),
        (
            "CenterNet2",
            {
                "second_stage": {"cls_loss": "annotated"},
                "data": FULL | {"federated": True, "unannotated": "labelled"},
            },
            "absent classes",
        ),
        ("GFL", {"data": FULL | {"federated": True, "unannotated": "boxes"}}, "first stage alone"),
    ],
)
def test_what_a_data_set_cannot_tell_is_refused(name, changes, told):
    with pytest.raises(ValidationError, match=told):
        Spec.named(name).changed(changes)


@pytest.mark.parametrize("name", NAMED)
def test_every_named_spec_survives_its_json(name):
    spec = Spec.named(name)
    assert Spec.model_validate_json(spec.model_dump_json()) == spec


def test_centernet2_is_an_alias():
    assert Spec.named("CenterNet2") == Spec.named("CascadeRCNN-CenterNet")


# By the publications: the paper (Sec. 5) and its authors' code, detectron2, mmdetection.
TRAINING = {  # layers and weight of the first stage; candidates a level, proposals and their NMS;
    # regions of the second stage, and the rate
    "probabilistic": (4, 0.5, 4000, 2000, 0.9, 512, 0.02),
    "by class": (1, 1, 2000, 2000, 0.7, 512, 0.02),
    "guided": (1, 1, 2000, 300, 0.7, 256, 0.02),
    "two steps": (1, 0.7, 2000, 300, 0.8, 256, 0.02),
    # There are no proposals, nor regions: these are the defaults.
    "alone": (4, 1, 4000, 2000, 0.9, 512, 0.01),
    "RetinaNet": (4, 1, 4000, 2000, 0.9, 512, 0.01),
    "one layer": (1, 1, 4000, 2000, 0.9, 512, 0.01),
    "real-time": (4, 0.5, 4000, 2000, 0.9, 512, 0.02),
}
TEST = {  # fusion; candidates a level, proposals, their NMS and floor; NMS and threshold
    "probabilistic": ("product", 1000, 256, 0.9, 1e-4, 0.7, 0.05),
    "by class": ("class", 1000, 1000, 0.7, 0, 0.5, 0.05),
    "guided": ("class", 1000, 300, 0.7, 0, 0.5, 1e-3),
    "two steps": ("class", 1000, 300, 0.8, 0, 0.5, 1e-3),
    "alone": ("product", 1000, 256, 0.9, 1e-4, 0.6, 0.05),
    "RetinaNet": ("product", 1000, 256, 0.9, 1e-4, 0.5, 0.05),
    "one layer": ("product", 1000, 256, 0.9, 1e-4, 0.6, 0.05),
    "real-time": ("product", 1000, 128, 0.9, 1e-4, 0.7, 0.05),
}
ROWS = {  # first and second stage, levels, positive IoU, and which settings
    "FasterRCNN-RPN": ("rpn", "faster", (2, 6), (0.5,), "by class"),
    "CascadeRCNN-RPN": ("rpn", "cascade", (2, 6), (0.5, 0.6, 0.7), "by class"),
    "FasterRCNN-RPN (P3-P7)": ("rpn", "faster", (3, 7), (0.5,), "by class"),
    "CascadeRCNN-RPN (P3-P7)": ("rpn", "cascade", (3, 7), (0.5, 0.6, 0.7), "by class"),
    "RetinaNet": ("retinanet", "none", (3, 7), None, "RetinaNet"),
    "FasterRCNN-RetinaNet": ("retinanet", "faster", (3, 7), (0.6,), "probabilistic"),
    "CascadeRCNN-RetinaNet": ("retinanet", "cascade", (3, 7), (0.6, 0.7, 0.8), "probabilistic"),
    "GFL": ("gfl", "none", (3, 7), None, "alone"),
    "FasterRCNN-GFL": ("gfl", "faster", (3, 7), (0.6,), "probabilistic"),
    "CascadeRCNN-GFL": ("gfl", "cascade", (3, 7), (0.6, 0.7, 0.8), "probabilistic"),
    "ATSS": ("atss", "none", (3, 7), None, "alone"),
    "FasterRCNN-ATSS": ("atss", "faster", (3, 7), (0.6,), "probabilistic"),
    "CascadeRCNN-ATSS": ("atss", "cascade", (3, 7), (0.6, 0.7, 0.8), "probabilistic"),
    "CenterNet*": ("centernet", "none", (3, 7), None, "alone"),
    "FasterRCNN-CenterNet": ("centernet", "faster", (3, 7), (0.6,), "probabilistic"),
    "CascadeRCNN-CenterNet": ("centernet", "cascade", (3, 7), (0.6, 0.7, 0.8), "probabilistic"),
    "CenterNet2": ("centernet", "cascade", (3, 7), (0.6, 0.7, 0.8), "probabilistic"),
    "GA RPN": ("ga_rpn", "faster", (2, 6), (0.6,), "guided"),
    "Cascade RPN": ("cascade_rpn", "faster", (2, 6), (0.65,), "two steps"),
    "FCOS-RT": ("fcos", "none", (3, 7), None, "alone"),
    "CenterNet2-X101-DCN": ("centernet", "cascade", (3, 7), (0.6, 0.7, 0.8), "probabilistic"),
    "CenterNet*-X101-DCN": ("centernet", "none", (3, 7), None, "alone"),
    "CascadeRCNN-X101-DCN": ("rpn", "cascade", (2, 6), (0.5, 0.6, 0.7), "by class"),
    "CenterNet2-R2-101-DCN-BiFPN": (
        *("centernet", "cascade", (3, 7), (0.6, 0.7, 0.8)),
        "probabilistic",
    ),
    "CenterNet2-DLA-BiFPN-P3": ("centernet", "cascade", (3, 5), (0.6, 0.7, 0.8), "real-time"),
    "CenterNet2-DLA-BiFPN-P5": ("centernet", "cascade", (3, 7), (0.6, 0.7, 0.8), "real-time"),
    "FCOS-RT-DLA-BiFPN-P3": ("fcos", "none", (3, 5), None, "alone"),
    "CenterNet-DLA": ("centernet", "none", (2, 2), None, "one layer"),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_name_has_the_stages_that_it_says(name):
    spec = Spec.named(name)
    first, second, levels, iou, _ = ROWS[name]
    assert (spec.first, spec.second, spec.levels) == (first, second, levels)
    assert second == "none" or spec.second_stage.iou == iou


@pytest.mark.parametrize("name", NAMED)
def test_a_name_is_trained_as_published(name):
    spec = Spec.named(name)
    stage, regions = spec.first_stage, spec.second_stage.regions
    proposals = stage.pre_nms, stage.proposals, stage.nms
    found = stage.layers, stage.weight, *proposals, regions, spec.recipe.rate
    assert found == TRAINING[ROWS[name][-1]]
    dump = spec.model_dump()["first_stage"]
    variant = dump["anchors"], dump["norm"], dump["weighting"], spec.second_stage.objective
    assert variant == ("rpn", None, "focal", "sampled")


@pytest.mark.parametrize("name", NAMED)
def test_a_name_is_trained_by_the_papers_schedule(name):
    found = Spec.named(name).recipe.model_dump(exclude={"rate"})
    assert found.pop("drops") == pytest.approx((2 / 3, 8 / 9))
    assert found.pop("short_edge") == (640, 672, 704, 736, 768, 800)
    steps = {"iterations": 90_000, "batch": 16, "warmup": 4000, "momentum": 0.9, "clip": 1}
    steps |= {"optimizer": "sgd"}
    images = {"long_edge": 1333, "flip": True, "order": "shuffled", "repeat_threshold": 1e-3}
    assert found == steps | {"weight_decay": 1e-4} | images


@pytest.mark.parametrize("name", NAMED)
def test_a_name_is_tested_as_published(name):
    test = Spec.named(name).test
    proposals = test.pre_nms, test.proposals, test.proposal_nms, test.proposal_floor
    found = test.fusion, *proposals, test.nms, test.score_threshold
    assert found == TEST[ROWS[name][-1]]


def test_unknown_word_lists_the_valid_ones():
    with pytest.raises(ValidationError, match=r"unknown nmss; valid: .*\bnms\b"):
        Spec.named("CenterNet2").changed({"test": {"nmss": 0.5}})


def test_unknown_name_lists_the_valid_ones():
    with pytest.raises(ValueError, match=r"CenterNet3.*CenterNet\*"):
        Spec.named("CenterNet3")


@pytest.mark.parametrize(
    "fields",
    [
        {"first": "rpn", "second": "none"},
        {"second": "faster"},
        {"levels": (3, 6)},
        {"recipe": {"rate": float("nan")}},
        {"test": {"nms": 1.5}},
        {"first": "atss", "first_stage": {"anchors": "retinanet"}},
        {"first": "rpn", "first_stage": {"norm": "GN"}},
        {"first": "gfl", "first_stage": {"extra_positives": False}},
        {"first": "retinanet", "first_stage": {"ignore_above": 0.85}},
        {"first_stage": {"ignore_above": 0.85, "weighting": "none"}},
        {"first": "ga_rpn", "second": "faster", "second_stage": {"iou": [0.6]}},  # of 4 layers
        {"first": "gfl", "first_stage": {"design": "atss"}},
        {"second_stage": {"boxes": "by_class"}},  # of a cascade
        {
            "second": "faster",
            "second_stage": {"iou": [0.6], "boxes": "by_class", "objective": "B1"},
        },
        {"levels": (2, 6), "backbone": {"p6_from": "res5"}},
        {"backbone": {"pixels": {"std": (0, 1, 1)}}},
        {"first": "rpn", "first_stage": {"weighting": "none"}},
        {"second_stage": {"objective": "exact"}},  # of a cascade
        {"first": "gfl", "second": "faster", "second_stage": {"iou": [0.6], "objective": "B1"}},
        {"second_stage": {"cls_loss": "focal"}},
        {"second": "none", "second_stage": {"cls_loss": "sigmoid"}},
        {"second": "faster", "second_stage": {"iou": [0.6], "cls_loss": "eql", "objective": "B1"}},
        {"second_stage": {"eql_tail": "share"}},
        {"second_stage": {"cls_loss": "federated", "eql_tail": "images"}},
        {"second_stage": {"federated_classes": 10}},
        {"second_stage": {"cls_loss": "sigmoid", "federated_power": 1}},
        {"second_stage": {"cls_loss": "eql", "federated_sets": "per_batch"}},
        {"second_stage": {"cls_loss": "federated", "federated_classes": -1}},
    ],
)
def test_contradictions_are_refused(fields):
    with pytest.raises(ValidationError):
        Spec(**fields)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"levels": (2, 6), "backbone": {"neck": "bifpn"}},
            r"levels \(2, 6\) with backbone.neck bifpn; valid: \(3, 7\), \(3, 5\)$",
        ),
        ({"levels": (3, 6)}, r"neck fpn; valid: \(2, 6\), \(3, 7\), \(3, 5\)$"),
        (
            {"levels": (3, 5), "first": "retinanet"},
            r"levels \(3, 5\) with first retinanet, whose anchors are of five levels; "
            r"valid: \(2, 6\), \(3, 7\)$",
        ),
        (
            {"levels": (2, 2), "backbone": {"neck": "dla_up"}},
            "backbone.neck dla_up with trunk resnet; valid: trunk dla, or neck fpn, bifpn$",
        ),
        ({"backbone": {"trunk": "dla"}}, "backbone.depth 50 with trunk dla; valid: 18, 34$"),
        (
            {"backbone": {"depth": 18, "deformable_stages": 1}},
            "deformable_stages 1 with a ResNet-18; valid: 0, or trunk resnet of depth 50 or 101",
        ),
        (
            {"backbone": {"trunk": "dla", "depth": 34, "stride_in": "1x1"}},
            "stride_in 1x1 does nothing with trunk dla; valid: resnet, resnext, res2net$",
        ),
        ({"backbone": {"trunk": "vgg"}}, "'resnet', 'resnext', 'res2net', 'dla'"),
        (
            {"backbone": {"bifpn_layers": 3}},
            "bifpn_layers does nothing with neck fpn; valid: bifpn$",
        ),
        (
            {"backbone": {"neck": "bifpn", "p6_from": "res5"}},
            r"p6_from res5; valid levels: \(3, 7\), of neck fpn$",
        ),
        (
            {"first": "rpn", "first_stage": {"deformable": True}},
            "deformable does nothing with first rpn; valid: centernet, atss, gfl, fcos$",
        ),
        (
            {"second_stage": {"pooled": (2, 4)}},
            r"second_stage.pooled \(2, 4\) with levels \(3, 7\); valid: two of 3 to 7, the finest",
        ),
        (
            {"second": "faster", "second_stage": {"iou": [0.6], "pooled": (5, 4)}},
            r"pooled \(5, 4\) with levels",
        ),
    ],
)
def test_what_a_trunk_or_neck_cannot_give_is_told_in_a_line(fields, told):
    with pytest.raises(ValidationError) as error:
        Spec(**fields)
    [problem] = error.value.errors()
    assert re.search(told, problem["msg"]) and len(problem["msg"].splitlines()) == 1


def test_a_spec_is_frozen():
    with pytest.raises(ValidationError):
        Spec().first = "rpn"


def test_changed_is_nested_and_leaves_the_rest():
    spec = Spec.named("CenterNet2")
    changed = spec.changed({"test": {"fusion": "class"}})
    assert changed.test == spec.test.model_copy(update={"fusion": "class"})
    assert changed.changed({"test": {"fusion": "product"}}) == spec


def test_test_fields_leave_the_training_alone():
    spec = Spec.named("CenterNet2")
    changed = spec.changed({"test": {"fusion": "class"}})
    assert changed.training_fields() == spec.training_fields()
    assert changed.test_fields() != spec.test_fields()


def test_data_folders_are_no_part_of_an_identity():
    data = {"kind": "coco", "train": "a.json", "val": "b.json", "images": "c"}
    spec = Spec.named("CenterNet2")
    assert spec.changed({"data": data}).training_fields() == spec.training_fields()


def test_a_classification_loss_and_each_of_its_choices_is_another_training():
    chosen = [
        {},
        *({"cls_loss": loss} for loss in ("sigmoid", "eql", "federated")),
        *({"cls_loss": "eql", "eql_tail": tail} for tail in ("images", "share")),
        {"cls_loss": "federated", "federated_classes": 10},
        {"cls_loss": "federated", "federated_power": 1},
        {"cls_loss": "federated", "federated_sets": "per_batch"},
    ]
    fields = [Spec().changed({"second_stage": each}).training_fields() for each in chosen]
    assert len({canonical_hash(each) for each in fields}) == len(chosen)
    assert not [name for name in fields[0]["second_stage"] if name.startswith(("eql", "federated"))]


def test_rate_is_linear_in_the_batch():
    assert Spec(recipe={"batch": 4}).recipe.scaled_rate == pytest.approx(Spec().recipe.rate / 4)


def test_canonical_hash_ignores_the_order_of_keys():
    value = {"b": [1, 2.5], "a": None}
    assert canonical_hash(value) == canonical_hash(json.loads('{"a": null, "b": [1, 2.5]}'))
    assert canonical_hash(value) != canonical_hash({"b": [2.5, 1], "a": None})
