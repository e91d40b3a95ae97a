"""The model in the package, where there is one: small, of its record, and finding the same."""

import numpy as np
import pytest

import p2s
from p2s.data import glyphs
from p2s.files import file_sha256
from p2s.spec import Glyphs
from p2s.study import records
from p2s.study.example import card as cards
from p2s.study.example import made
from p2s.study.project import Project
from p2s.train.shelf import EXAMPLES, has_example
from tests.support import ROOT

CLEAR = 0.1  # scores above it are compared
PIXELS, SCORE = 1.0, 0.02  # by which fp16, and a record's rounding, may move a detection
SHARE = 0.9  # of them; where boxes overlap by just the limit of NMS, another one stays

every_example = pytest.mark.parametrize(
    "folder",
    [
        pytest.param(
            folder, id=name, marks=pytest.mark.skipif(not has_example(name), reason="not made yet")
        )
        for name, folder in EXAMPLES.items()
    ],
)


def record_of(card):
    return records.read(Project.at(ROOT).records(card.scale) / f"{card.record}.json")


@every_example
def test_its_card_is_that_of_its_record_and_its_file(folder):
    card, path = cards.read(folder), folder / "model.safetensors"
    here = {"sha256": file_sha256(path), "bytes": path.stat().st_size, "precision": card.precision}
    assert card == cards.Card.of(record_of(card), **here) and card.bytes <= made.MOST


@every_example
def test_it_finds_in_the_records_scenes_what_the_record_says(folder):
    record, detector = record_of(cards.read(folder)), p2s.load(folder, device="cpu")
    assert detector.spec.model_dump(mode="json") == record.spec
    again = []
    for scene in record.scenes:
        image, _ = glyphs.scene(Glyphs(**record.spec["data"]), "val", scene["image_id"])
        found = detector.predict(image)
        again += [is_in(found, *row[:6]) for row in scene["detections"] if row[4] > CLEAR]
    assert len(again) > 4 and np.mean(again) >= SHARE


def is_in(found, *row):
    """Whether a row of a record, x1, y1, x2, y2, score, class, is among detections."""
    *box, score, label = row
    near = np.abs(found.boxes - box).max(1, initial=0) <= PIXELS
    return (near & (np.abs(found.score - score) <= SCORE) & (found.class_index == label)).any()
