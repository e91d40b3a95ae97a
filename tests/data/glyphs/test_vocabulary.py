"""What a long-tailed set of scenes has of each class, against the scenes that are drawn."""

import numpy as np
import pytest

from p2s.data import glyphs
from p2s.data.glyphs import longtail, vocabulary
from p2s.spec import Glyphs

TAIL = Glyphs(seed=2, train=90, val=70, size=64, classes=60, imbalance="lvis")


@pytest.mark.parametrize("federated", [False, True])
def test_counts_are_those_of_the_scenes(tmp_path, federated):
    data = TAIL.model_copy(update={"federated": federated})
    train, _ = glyphs.load(data, tmp_path)
    found = vocabulary.counts(data)
    whole = glyphs.full_truth(train, "train")
    assert found["annotated"].tolist() == train.image_counts.tolist()
    assert found["images"].tolist() == whole.image_counts.tolist()
    boxes = np.concatenate([whole.boxes(i)[1] for i in range(len(whole))])
    assert found["objects"].tolist() == np.bincount(boxes, minlength=60).tolist()


def test_a_table_has_a_line_for_each_group_and_the_power_of_the_plan():
    lines = vocabulary.table(TAIL)
    assert [line["classes"] for line in lines] == ["frequent", "common", "rare"]
    assert [line["number"] for line in lines] == [
        len(longtail.groups(60)[name]) for name in vocabulary.GROUPS
    ]
    assert {line["power"] for line in lines} == {glyphs.plan(TAIL, "train").power}
    counts = vocabulary.counts(TAIL)["images"][longtail.groups(60)["r"]]
    assert lines[-1]["images, shown in"].startswith(f"{counts.min()} to {counts.max()}, median")


def test_without_groups_and_federation_there_is_one_line_of_images():
    data = TAIL.model_copy(update={"imbalance": "objects365"})
    [line] = vocabulary.table(data)
    assert (line["classes"], line["number"]) == ("all", 60) and "images, annotated in" not in line
    counts = vocabulary.counts(data)["images"]
    assert line["images, shown in"].startswith(f"{counts.min()} to {counts.max()}, median")
