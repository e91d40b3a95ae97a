"""`p2s import`: a released file becomes a model that the other commands take."""

import json

import pytest
from PIL import Image

from tests.support.commands import p2s
from tests.support.released import small, write


@pytest.fixture
def data(tmp_path):
    Image.new("RGB", (96, 64), (200, 30, 60)).save(tmp_path / "1.png")
    categories = [{"id": k, "name": name} for k, name in enumerate("abcd")]
    images = [{"id": 1, "file_name": "1.png", "width": 96, "height": 64}]
    box = {"id": 1, "image_id": 1, "category_id": 2, "bbox": [9, 9, 40, 30], "area": 1200}
    tables = {"categories": categories, "images": images, "annotations": [box | {"iscrowd": 0}]}
    (tmp_path / "a.json").write_text(json.dumps(tables))
    return tmp_path


def test_what_is_imported_is_evaluated_and_predicts(data):
    file = write(small("CenterNet*"), data / "CenterNet-FPN.pth")
    done = p2s("import", file, "--classes", data / "a.json", "--output", data / "model")
    assert done.exit_code == 0, done.output
    assert f"{file} is CenterNet*: ResNet-18, 4 classes" in done.output
    assert "not needed: 3 of state of the training (first: optimizer)" in done.output
    model = ("--model", data / "model")
    images = ("--annotations", data / "a.json", "--images", data, "--set", "test.short_edge=64")
    assert "AP of c" in p2s("evaluate", *model, *images).output
    assert p2s("predict", *model, data / "1.png", "--output", data / "found").exit_code == 0


def test_a_file_of_something_else_is_refused_in_a_line(data):
    done = p2s("import", data / "1.png", "--as", "CenterNet2", "--output", data / "model")
    [line] = done.stderr.splitlines()
    assert done.exit_code == 2 and line.startswith(f"p2s: {data / '1.png'}: unknown format; valid:")
    assert not (data / "model").exists()
