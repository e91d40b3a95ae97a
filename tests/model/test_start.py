"""A detector that begins with another one's weights: classes are carried over by their names."""

import itertools
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from p2s.model.start import carried, class_tensors, start
from p2s.model.zoo import build
from p2s.spec import Spec, merge
from tests.support.tiny import CLASSES, SMALL_PICTURES, TINY, lively_folder, scene

SIGMOIDS = {"second_stage": {"cls_loss": {"kind": "federated", "classes": 2}}}
DETECTORS = {  # a softmax, sigmoids, a one-stage detector with and without anchors
    "softmax": ("CenterNet2", {}),
    "sigmoids": ("CenterNet2", SIGMOIDS),
    "anchors": ("RetinaNet", {}),
    "centres": ("CenterNet*", {}),
}
ONE_STAGE = ("RetinaNet", "CenterNet*", "ATSS", "GFL", "FCOS-RT-DLA-BiFPN-P3", "CenterNet-DLA")
every_kind = pytest.mark.parametrize("name, changes", DETECTORS.values(), ids=DETECTORS)


def spec_of(name, changes, count):
    return (
        Spec.named(name)
        .changed(merge(TINY, changes))
        .changed(SMALL_PICTURES | {"num_classes": count})
    )


def begun(folder, name, changes, classes):
    """A detector of these classes that begins with the one in a folder."""
    torch.manual_seed(1)
    place = {"recipe": {"start": folder}, "backbone": {"weights": None}}
    return build(spec_of(name, changes, len(classes)).changed(place), classes).eval()


@torch.no_grad()
def answers(model):
    """Class, score and box of every detection in a picture, the likeliest first."""
    found = model([scene(0)])[0]["instances"]
    return found.pred_classes, found.scores, found.pred_boxes.tensor


@every_kind
def test_classes_in_another_order_have_the_same_scores_by_name(tmp_path, name, changes):
    folder = lively_folder(tmp_path, name, changes)
    classes, scores, boxes = answers(begun(folder, name, changes, CLASSES))
    assert len(classes.unique()) > 1
    for order in itertools.permutations(range(3)):
        names = [CLASSES[number] for number in order]
        theirs = answers(begun(folder, name, changes, names))
        assert [names[number] for number in theirs[0]] == [CLASSES[number] for number in classes]
        torch.testing.assert_close(theirs[1:], (scores, boxes), rtol=1e-4, atol=1e-4)


@every_kind
def test_a_class_that_both_have_keeps_its_rows_and_a_new_one_is_fresh(tmp_path, name, changes):
    folder, names = lively_folder(tmp_path, name, changes), ["emu", "owl", "ant", "cat"]
    torch.manual_seed(1)
    fresh = build(spec_of(name, changes, 4)).state_dict()
    ours = begun(folder, name, changes, names).state_dict()
    given = begun(folder, name, changes, CLASSES).state_dict()
    for tensor in class_tensors(ours):
        rows, theirs = ours[tensor], given[tensor]
        for cell in range(len(theirs) // 3):  # of no class is less than one more
            for mine, known in ((1, 2), (3, 0)):
                assert torch.equal(rows[4 * cell + mine], theirs[3 * cell + known])
            for mine in (0, 2):
                assert torch.equal(rows[4 * cell + mine], fresh[tensor][4 * cell + mine])
        if "cls_score" in tensor:  # what says that there is no class
            assert torch.equal(rows[-1], theirs[-1])
    others = ours.keys() - class_tensors(ours)
    assert all(torch.equal(ours[each], given[each]) for each in others)


@pytest.mark.parametrize(
    "name, changes", [*((name, {}) for name in ONE_STAGE), *DETECTORS.values()]
)
def test_what_has_other_rows_with_other_classes_is_what_tells_them(name, changes):
    two, five = (build(spec_of(name, changes, count)).state_dict() for count in (2, 5))
    differ = [tensor for tensor in two if two[tensor].shape != five[tensor].shape]
    assert sorted(differ) == sorted(class_tensors(two)) and differ


def test_none_in_common_keeps_but_the_row_of_no_class():
    own = {"roi_heads.box_predictor.0.cls_score.bias": torch.zeros(3)}
    given = {"roi_heads.box_predictor.0.cls_score.bias": torch.tensor([1.0, 2, 3, 4])}
    [made] = carried(own, given, ["a", "b"], ["c", "d", "e"]).values()
    assert made.tolist() == [0, 0, 4]


def test_a_list_of_names_that_is_not_of_the_weights_is_refused(tmp_path):
    folder = lively_folder(tmp_path)
    (folder / "classes.json").write_text(json.dumps(["cat", "dog"]))
    model = build(spec_of("CenterNet2", {}, 4))
    with pytest.raises(ValueError, match="does not fit its Spec: .*cls_score"):
        start(model, folder, ["cat", "dog", "owl", "emu"])


@every_kind
def test_rows_of_classes_that_are_no_floats_are_refused(tmp_path, name, changes):
    path = lively_folder(tmp_path, name, changes) / "model.safetensors"
    tensors = load_file(path)
    told = next(key for key in class_tensors(tensors) if key.endswith("weight"))
    save_file(tensors | {told: tensors[told].long()}, path)
    with pytest.raises(ValueError, match=f"model.safetensors does not fit .*{told} is torch.int64"):
        begun(tmp_path, name, changes, CLASSES)
