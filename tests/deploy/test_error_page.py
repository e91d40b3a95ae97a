"""Error page: one file that needs no network, in which no text of the data is markup."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances

from p2s.data.coco import CocoSet
from p2s.deploy.error_page import page, write_errors
from p2s.measure.coco import coco_numbers

EVIL = "<script>alert('1')</script>", '"><img src=x onerror=y>{{ 7 * 7 }}'
NAME = "a&b</figure><iframe src='http://x'>.jpg"


class Data(CocoSet):
    def sample(self, index):
        return {"image": np.full((100, 100, 3), 255, np.uint8)}


def case(classes=EVIL, count=1):
    images = [{"id": i, "file_name": NAME, "width": 100, "height": 100} for i in range(count)]
    items = [[{"bbox": [0, 0, 20, 20], "category_id": 1}] for _ in images]
    ids = tuple(range(1, len(classes) + 1))
    found = Instances(
        (100, 100),
        pred_boxes=Boxes(torch.tensor([[0.0, 0, 20, 20], [60, 60, 80, 80]])),
        scores=torch.tensor([0.9, 0.8]),
        pred_classes=torch.tensor([1, 0]),
    )
    data = Data(None, images, items, tuple(classes), ids, "f")
    detections = [found] * count
    return data, detections, coco_numbers(data, detections)


class Reader(HTMLParser):
    """Tags with their attributes, and the texts between them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_no_text_of_the_data_is_markup():
    read = Reader(page(*case()))
    tags = {tag for tag, _ in read.tags}
    assert not tags & {"script", "iframe"} and "table" in tags
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]
    assert {*EVIL} <= {*read.texts}
    [picture] = [attributes for tag, attributes in read.tags if tag == "img"]
    assert picture["alt"] == f"{NAME}: 1 missed, 2 wrong, 0 found"


def test_the_page_needs_nothing_from_elsewhere():
    text = page(*case())
    places = re.findall(r"(?:src|href)=\"([^\"]*)\"", text)
    assert places and all(place.startswith("data:image/jpeg;base64,") for place in places)
    assert "default-src 'none'" in text and "@import" not in text and "url(" not in text


def test_the_numbers_are_those_of_the_evaluation(tmp_path):
    data, detections, metrics = case(("cat", "dog"))
    path = write_errors(tmp_path / "new", data, detections, metrics)
    assert path == tmp_path / "new" / "errors.html"
    text = path.read_text()
    assert f"AP {metrics['AP']:.1f}, AP50 {metrics['AP50']:.1f}" in text
    lost = f"{metrics['TIDE_Cls']:.2f}"
    assert re.search(rf"<th>Cls</th>.*?<td>1</td>\s*<td>{lost}</td>", text, re.DOTALL)
    assert re.search(r"<th>dog</th><td>-</td>", text)  # AP of a class without objects


@pytest.mark.parametrize("count, has_matrix", [(25, True), (26, False)])
def test_many_classes_have_a_list_in_place_of_a_matrix(count, has_matrix):
    text = page(*case([f"class {k}" for k in range(count)]))
    assert ("detected as</th><th>class 0" in text.replace("\n", "")) is has_matrix
    assert '<th>class 0</th><td class="words">class 1</td><td>1</td>' in text


def test_no_more_pictures_are_shown_than_fit_a_page():
    assert page(*case(count=20)).count("<figure>") == 12
