"""Laws of choices: a part in Python, flat in records, and no field that does nothing."""

import json

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from p2s.files import canonical_hash
from p2s.spec import NAMED, Backbone, FirstStage, Recipe, SecondStage, Spec
from p2s.spec.first_stage import Gfl, Rpn
from p2s.spec.second_stage import Federated, Sigmoid
from tests.support import ROOT
from tests.support.random_specs import specs

OWNERS = [FirstStage, SecondStage, Recipe, Backbone]
KINDS = [
    (owner, name, kind, of_kind)
    for owner in OWNERS
    for name, kinds in owner.kinds().items()
    for kind, of_kind in kinds.items()
]
# Of the dumps of commit 0972268, in which all fields stood beside one another.
DUMPS = {
    "FasterRCNN-RPN": "5fd759b1ca2da7f7",
    "CascadeRCNN-RPN": "734f318cb4ecb923",
    "FasterRCNN-RPN (P3-P7)": "4fe605751cb04990",
    "CascadeRCNN-RPN (P3-P7)": "c37a98e8d692f21b",
    "RetinaNet": "861cb8c633aef202",
    "FasterRCNN-RetinaNet": "c175216efe5e87e8",
    "CascadeRCNN-RetinaNet": "c9398f297e3fe595",
    "GFL": "d7557b69635ff6fe",
    "FasterRCNN-GFL": "26be54d7aad36421",
    "CascadeRCNN-GFL": "11d8f72233c3cef6",
    "ATSS": "e1f75e6f9ab5aacc",
    "FasterRCNN-ATSS": "c0b99b35c3b71624",
    "CascadeRCNN-ATSS": "3d3cfe48a5be9c8b",
    "CenterNet*": "9845c02da0bede06",
    "FasterRCNN-CenterNet": "d2bf9d7fb0705141",
    "CascadeRCNN-CenterNet": "0fffe4e57938892e",
    "CenterNet2": "0fffe4e57938892e",
    "GA RPN": "adeb78f2afa67291",
    "Cascade RPN": "36da1db9528aec2a",
    "FCOS-RT": "b957c77b327e982c",
    "CenterNet2-X101-DCN": "3612774f75e19a32",
    "CenterNet*-X101-DCN": "6e90be6550148aed",
    "CascadeRCNN-X101-DCN": "c97d91eaec668389",
    "CenterNet2-R2-101-DCN-BiFPN": "b72bb6ca1dd64101",
    "CenterNet2-DLA-BiFPN-P3": "e8ab12922a08dc82",
    "CenterNet2-DLA-BiFPN-P5": "3481b57d8a92fb58",
    "FCOS-RT-DLA-BiFPN-P3": "7e1d7fdbcfdd774a",
    "CenterNet-DLA": "6f72186092dba4a0",
}


@given(specs())
@settings(deadline=None, max_examples=150)
def test_a_spec_is_that_of_its_dump(spec):
    dump = json.loads(spec.model_dump_json())
    again = Spec.model_validate(dump)
    assert again == spec and again.model_dump(mode="json") == dump
    assert Spec.model_validate(spec.nested()) == spec == spec.changed({})


@given(specs(), specs())
@settings(deadline=None, max_examples=100)
def test_the_dump_of_any_spec_has_the_same_keys(spec, other):
    ours, theirs = spec.model_dump(exclude={"data"}), other.model_dump(exclude={"data"})
    assert [*ours] == [*theirs]
    for part in ("first_stage", "second_stage", "recipe"):
        assert [*ours[part]] == [*theirs[part]]


CHOICES = [
    *(("first_stage", "design"), ("second_stage", "cls_loss")),
    *(("recipe", "optimizer"), ("recipe", "order")),
]


@pytest.mark.parametrize(("part", "choice"), CHOICES)
@given(specs(), specs())
@settings(deadline=None, max_examples=50)
def test_another_choice_is_another_training(part, choice, spec, other):
    ours, theirs = getattr(spec, part), getattr(getattr(other, part), choice)
    changed = spec.model_copy(update={part: ours.model_copy(update={choice: theirs})})
    assert (changed.training_fields() == spec.training_fields()) == (changed == spec)


@pytest.mark.parametrize("name", NAMED)
def test_the_dump_of_a_named_spec_never_changes(name):
    assert canonical_hash(Spec.named(name).model_dump(mode="json")) == DUMPS[name]


def test_every_committed_record_holds_the_dump_of_its_spec():
    for path in sorted((ROOT / "results" / "runs").glob("*/*.json")):
        recorded = json.loads(path.read_bytes())["spec"]
        dump = Spec.model_validate(recorded).model_dump(mode="json")
        assert recorded["backbone"] == dump["backbone"], path
        for part in ("first_stage", "second_stage", "recipe"):  # older records lack younger fields
            assert recorded[part].items() <= dump[part].items(), path
        assert {
            name: dump[name] for name in ("first", "second", "test")
        }.items() <= recorded.items()


@pytest.mark.parametrize(("owner", "name", "kind", "of_kind"), KINDS)
def test_a_choice_may_be_written_as_its_kind_alone(owner, name, kind, of_kind):
    beside = {"layers": 1} if owner is FirstStage else {}
    if owner is Backbone:
        beside = {"depth": 50 if kind == "lite0" else 34}
        beside |= {"trunk": "dla"} if kind == "dla_up" else {}
    assert owner.model_validate({name: kind, **beside}) == owner(**{name: of_kind()}, **beside)


@pytest.mark.parametrize(("owner", "name", "kind", "of_kind"), KINDS)
def test_a_field_of_another_kind_is_refused_in_both_forms(owner, name, kind, of_kind):
    # No default is .123; what the field itself takes is not looked at.
    others = [other for other in owner.kinds()[name].values() if other is not of_kind]
    words = {(flat, field) for other in others for flat, field in other.recorded().items()}
    for flat, field in {pair for pair in words if pair[1] not in of_kind.model_fields}:
        with pytest.raises(ValidationError, match=f"{flat} does nothing with {name} {kind}; valid"):
            owner.model_validate({name: kind, flat: 0.123})
        with pytest.raises(ValidationError, match=f"{field} does nothing with {name} {kind}; va"):
            owner.model_validate({name: {"kind": kind, field: 0.123}})


PAIRS = [  # of settings: as they are written, and as records have them
    (
        {"second_stage": {"cls_loss": {"kind": "eql", "tail": "share"}}},
        {"second_stage": {"cls_loss": "eql", "eql_tail": "share"}},
    ),
    (
        {"second_stage": {"cls_loss": {"kind": "federated", "classes": 9, "power": 1}}},
        {"second_stage": {"cls_loss": "federated", "federated_classes": 9, "federated_power": 1}},
    ),
    (
        {"recipe": {"order": {"kind": "repeat_factor", "threshold": 0.1}}},
        {"recipe": {"order": "repeat_factor", "repeat_threshold": 0.1}},
    ),
    (
        {"first": {"kind": "retinanet", "norm": "GN"}},
        {"first": "retinanet", "first_stage": {"norm": "GN"}},
    ),
    ({"recipe": {"optimizer": {"momentum": 0.5}}}, {"recipe": {"momentum": 0.5}}),
    ({"first": {"ignore_above": 0.85}}, {"first_stage": {"ignore_above": 0.85}}),
    ({"first_stage": {"design": "gfl"}}, {"first": "gfl"}),
    (
        {"backbone": {"neck": {"kind": "bifpn", "layers": 7}}},
        {"backbone": {"neck": "bifpn", "bifpn_layers": 7}},
    ),
    (
        {"backbone": {"trunk": {"kind": "resnext", "groups": 64}}},
        {"backbone": {"trunk": "resnext", "resnext_groups": 64}},
    ),
]


@pytest.mark.parametrize(("written", "recorded"), PAIRS)
def test_both_forms_are_the_same_setting(written, recorded):
    assert Spec(**written) == Spec(**recorded) == Spec().changed(written)
    assert Spec().changed(recorded) == Spec(**written) != Spec()


def test_another_kind_keeps_nothing_of_the_one_before():
    few = Spec().changed({"second_stage": {"cls_loss": {"kind": "federated", "classes": 9}}})
    assert few.changed({"second_stage": {"cls_loss": "sigmoid"}}).second_stage.cls_loss == Sigmoid()
    bare = Spec(first={"ignore_above": 0.85, "weighting": "focal"}, first_stage={"layers": 2})
    other = bare.changed({"first": "gfl"}).first_stage
    assert (other.design, other.layers) == (Gfl(), 2)


def test_the_same_kind_keeps_its_other_fields():
    few = Spec().changed({"second_stage": {"cls_loss": {"kind": "federated", "classes": 9}}})
    again = few.changed({"second_stage": {"cls_loss": "federated"}})
    more = again.changed({"second_stage": {"cls_loss": {"power": 1}}})
    assert again == few and more.second_stage.cls_loss == Federated(classes=9, power=1)


def test_first_and_the_design_of_the_first_stage_are_one():
    assert Spec(first="rpn", first_stage={"layers": 1}).first_stage.design == Rpn()
    assert Spec(first_stage=FirstStage(design=Rpn())).first == "rpn"
    with pytest.raises(ValidationError, match=r"first rpn, but first_stage.design centernet"):
        Spec(first="rpn", first_stage=FirstStage())


@pytest.mark.parametrize("design", FirstStage.kinds()["design"].values())
def test_likelihoods_need_a_first_stage_of_one_label_a_location(design):
    layers = {"first_stage": {"layers": 1}, "first": design().kind}
    stages = {"second": "faster", "second_stage": {"iou": [0.6], "objective": "exact"}}
    if design().kind in ("retinanet", "centernet", "atss"):
        assert Spec(**layers, **stages).second_stage.objective == "exact"
    else:
        with pytest.raises(ValidationError, match="first retinanet, centernet, atss"):
            Spec(**layers, **stages)
