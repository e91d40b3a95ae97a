"""Spec: named rows of the paper's tables, strict words, identities."""

import json

import pytest
from pydantic import ValidationError

from p2s.spec import NAMED, Spec, canonical_hash


@pytest.mark.parametrize("name", NAMED)
def test_every_named_spec_survives_its_json(name):
    spec = Spec.named(name)
    assert Spec.model_validate_json(spec.model_dump_json()) == spec


def test_centernet2_is_an_alias():
    assert Spec.named("CenterNet2") == Spec.named("CascadeRCNN-CenterNet")


@pytest.mark.parametrize(
    ("name", "levels", "proposals", "iou", "nms", "fusion"),
    [
        ("FasterRCNN-RPN", (2, 6), 1000, (0.5,), 0.5, "class"),
        ("CascadeRCNN-RPN", (2, 6), 1000, (0.5, 0.6, 0.7), 0.5, "class"),
        ("CascadeRCNN-RPN (P3-P7)", (3, 7), 1000, (0.5, 0.6, 0.7), 0.5, "class"),
        ("FasterRCNN-CenterNet", (3, 7), 256, (0.6,), 0.7, "product"),
        ("CascadeRCNN-CenterNet", (3, 7), 256, (0.6, 0.7, 0.8), 0.7, "product"),
    ],
)
def test_named_specs_carry_the_papers_section_5(name, levels, proposals, iou, nms, fusion):
    spec = Spec.named(name)
    assert (spec.levels, spec.test.proposals, spec.second_stage.iou) == (levels, proposals, iou)
    assert (spec.test.nms, spec.test.fusion) == (nms, fusion)


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
        {"first": "ga_rpn", "second": "faster", "second_stage": {"iou": [0.6]}},
    ],
)
def test_contradictions_are_refused(fields):
    with pytest.raises(ValidationError):
        Spec(**fields)


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


def test_rate_is_linear_in_the_batch():
    assert Spec(recipe={"batch": 4}).recipe.scaled_rate == pytest.approx(Spec().recipe.rate / 4)


def test_canonical_hash_ignores_the_order_of_keys():
    value = {"b": [1, 2.5], "a": None}
    assert canonical_hash(value) == canonical_hash(json.loads('{"a": null, "b": [1, 2.5]}'))
    assert canonical_hash(value) != canonical_hash({"b": [2.5, 1], "a": None})
