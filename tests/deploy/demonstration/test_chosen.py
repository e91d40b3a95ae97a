"""What is shown to begin with is the best that is at hand, and large enough to be looked at."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from p2s.data import glyphs
from p2s.data.catalogue import model_folder, read_catalogue
from p2s.deploy.demonstration import chosen as module
from p2s.deploy.demonstration.beside import Beside
from p2s.deploy.demonstration.chosen import chosen, larger
from p2s.spec import Glyphs
from p2s.train import shelf
from tests.support.tiny import lively_folder, photo

SCENES = {"data": {"kind": "glyphs", "size": 64}}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A project without any model, and the folder of one that has learnt scenes."""
    folder = tmp_path_factory.mktemp("models")
    return folder, lively_folder(folder / "glyphs", changes=SCENES)


@pytest.fixture
def with_example(models, monkeypatch):
    monkeypatch.setattr(module, "EXAMPLES", {"glyphs": models[1]})
    monkeypatch.setitem(shelf.EXAMPLES, "glyphs", models[1])


def test_a_photograph_and_a_fetched_detector_come_first(with_example, tmp_path):
    assert module.FETCHED in read_catalogue()
    lively_folder(model_folder(tmp_path, module.FETCHED))
    assert "on a synthetic scene" in chosen(tmp_path, tmp_path).told  # no photograph yet
    photos = [photo(tmp_path / "datasets/highway/valid/images" / f"{k}.jpg") for k in range(2)]
    (tmp_path / "datasets/highway/a.json").write_text("{}")
    seen = [chosen(tmp_path, tmp_path, number=k) for k in range(3)]
    assert [one.picture for one in seen] == [*photos, photos[0]]
    assert seen[0].told == "CenterNet2_R50_1x on 0.jpg" and seen[0].test == {}
    assert "CC BY 4.0" in seen[0].credit  # the page may be published
    assert chosen(tmp_path, tmp_path, picture=str(photos[0])).credit == ""
    assert len(seen[0].detector.predict(seen[0].picture)) > 0


def test_else_a_large_scene_and_the_detector_that_comes_along(with_example, tmp_path):
    detector, picture, test, told, credit = chosen(tmp_path, tmp_path, number=3)
    assert credit == ""
    assert told == "The detector that comes with p2s, on a synthetic scene"
    assert picture.shape == (128, 128, 3) and test == {"short_edge": 128, "long_edge": 192}
    again, other = (chosen(tmp_path, tmp_path, number=k).picture for k in (3, 4))
    assert (again == picture).all() and (other != picture).any()
    assert detector.predict(picture, test=test).size == (128, 128)
    own = photo(tmp_path / "own.png")
    assert chosen(tmp_path, tmp_path, picture=str(own)).picture == own


def test_objects_of_a_large_scene_are_as_large_and_more_than_those_of_training():
    data = Glyphs(size=96, objects=4, size_median=0.33, size_spread=0.8, largest=1.0)
    sizes, counts = [], []
    for kind in (data, larger(data)):
        scenes = [glyphs.scene(kind, "val", k)[1] for k in range(60)]
        sides = [np.sqrt(np.prod(item["bbox"][2:])) for items in scenes for item in items]
        sizes.append(np.median(sides))
        counts.append(len(sides) / 60)
    assert abs(np.log(sizes[1] / sizes[0])) < 0.35 and 2 < counts[1] / counts[0] < 4


def test_else_a_small_one_is_trained_once(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "has_example", lambda name: False)
    first = chosen(tmp_path, tmp_path / "cache", steps=2)
    assert first.told == "A small detector, trained here in 2 steps, on a synthetic scene"
    [kept] = (tmp_path / "cache/demonstration").glob("*/training.json")
    before = json.loads(kept.read_text())["seconds"], kept.stat().st_mtime_ns
    assert chosen(tmp_path, tmp_path / "cache", steps=2).detector.classes == ("A", "R", "K")
    assert before == (json.loads(kept.read_text())["seconds"], kept.stat().st_mtime_ns)


def test_a_picture_stands_beside_its_table_with_words_and_escaped():
    shown = Beside(Image.new("RGB", (8, 8)), 'a "box"', pd.DataFrame({"class": ["<b>"]}))
    html = shown._repr_html_()
    assert 'alt="a &quot;box&quot;"' in html and "&lt;b&gt;" in html and "<b>" not in html
    assert re.search(r'src="data:image/jpeg;base64,/9j/', html) and "credit" not in html
    credited = Beside(Image.new("RGB", (8, 8)), "", pd.DataFrame(), "A. & B.")._repr_html_()
    assert '<p class="credit" data-photographs="1">Photograph: A. &amp; B.</p>' in credited
