"""`p2s train --start`: a training that begins with the weights of another one."""

import json
import shutil

import pytest
import torch

from p2s.data import glyphs
from p2s.model.start import start
from p2s.model.zoo import build
from p2s.spec import Glyphs, Spec
from p2s.spec.identity import training_id
from p2s.train.engine import load
from tests.support.commands import p2s, words_of_train

AS_IT_IS = ("--set", "recipe.rate=1.0e-12", "--set", "recipe.weight_decay=0")


def scenes(folder, classes):
    return glyphs.prepare(Glyphs(train=6, val=3, size=64, classes=classes), folder)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A trained model of two classes."""
    folder = tmp_path_factory.mktemp("first")
    done = p2s(*words_of_train(scenes(folder / "data", 2), folder / "model"))
    assert done.exit_code == 0, done.output
    return folder / "model"


def started(first, tmp_path, classes, *more):
    files = scenes(tmp_path / "data", classes)
    data = ("--train", files.train, "--val", files.val, "--images", files.images)
    return p2s(
        "train", *data, "--output", tmp_path / "out", "--iterations", 4, "--start", first, *more
    )


def test_its_weights_are_where_the_training_begins(first, tmp_path):
    done = started(first, tmp_path, 2, *AS_IT_IS)
    assert done.exit_code == 0, done.output
    before, after = load(first)[0].state_dict(), load(tmp_path / "out")[0].state_dict()
    learnt = [name for name, _ in load(first)[0].named_parameters()]
    for name in learnt:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6)


def test_classes_are_kept_by_their_names_and_told(first, tmp_path):
    shutil.copytree(first, tmp_path / "model")
    names = json.loads((first / "classes.json").read_text())
    (tmp_path / "model" / "classes.json").write_text(json.dumps([names[1], "ant"]))
    done = started(tmp_path / "model", tmp_path, 3, *AS_IT_IS)
    assert done.exit_code == 0, done.output
    other = json.loads((tmp_path / "out" / "classes.json").read_text())[2]
    told = f"classes kept: {names[1]}; new: {names[0]}, {other}; left behind: ant"
    assert told in done.output.splitlines()
    before, after = load(first)[0].state_dict(), load(tmp_path / "out")[0].state_dict()
    for name, _ in load(tmp_path / "out")[0].named_parameters():
        of, to = ([0, 2], [1, 3]) if "cls_score" in name else ([...], [...])  # and no class
        torch.testing.assert_close(after[name][to], before[name][of], rtol=0, atol=1e-6)


def test_its_net_and_size_are_those_of_the_model(first, tmp_path):
    done = started(first, tmp_path, 2)
    assert done.exit_code == 0 and f"from {first} on 6 images" in done.output
    ours, theirs = (
        json.loads((folder / "spec.json").read_text()) for folder in (tmp_path / "out", first)
    )
    assert ours["backbone"] == theirs["backbone"] and ours["recipe"]["start"] == str(first)


@pytest.mark.parametrize(
    "option", [("--detector", "CenterNet*"), ("--weights", __file__), ("--backbone", "lite0")]
)
def test_another_detector_or_trunk_beside_it_is_refused(first, tmp_path, option):
    done = started(first, tmp_path, 2, *option)
    assert done.exit_code == 2 and f"{option[0]} with --start" in done.stderr


def test_weights_of_another_net_are_refused_with_their_names(first, tmp_path):
    other = load(first)[1].changed({"recipe": {"start": first}, "backbone": {"width": 32}})
    with pytest.raises(ValueError, match="model.safetensors does not fit its Spec: .* of another"):
        build(other)


def test_the_identity_is_of_the_weights_and_not_of_their_place(first, tmp_path):
    spec = Spec.named("CenterNet2")
    ids = [
        training_id(spec.changed({"recipe": {"start": place}}), "data", 0, root)
        for place, root in ((first, ""), (first.name, first.parent))
    ]
    assert ids[0] == ids[1] != training_id(spec, "data", 0)


def test_the_identity_is_of_the_names_of_its_classes_too(first, tmp_path):
    shutil.copytree(first, tmp_path / "model")
    (tmp_path / "model" / "classes.json").write_text('["b", "a"]')
    places = [{"recipe": {"start": folder}} for folder in (first, tmp_path / "model")]
    one, other = (training_id(Spec.named("CenterNet2").changed(e), "data", 0) for e in places)
    assert one != other


def test_numbers_that_are_not_finite_are_refused(first, tmp_path):
    from safetensors.torch import load_file, save_file

    tensors = load_file(first / "model.safetensors")
    name = "roi_heads.box_head.0.fc1.weight"
    tensors[name] = torch.full_like(tensors[name], torch.nan)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=f"{name}: not finite"):
        start(load(first)[0], tmp_path)


def test_what_is_of_the_other_trainings_images_and_length_is_left_behind(first, tmp_path):
    shutil.copytree(first, tmp_path / "model")
    spec = json.loads((first / "spec.json").read_text())
    spec["recipe"] |= {"edges": "range", "short_edge": [64, 80], "cycles": 3}
    (tmp_path / "model" / "spec.json").write_text(json.dumps(spec))
    assert started(tmp_path / "model", tmp_path, 2).exit_code == 0
    recipe = load(tmp_path / "out")[1].recipe
    assert (recipe.steps, recipe.edges, recipe.crop.kind) == (4, "choice", "whole")
