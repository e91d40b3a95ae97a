"""Every way is measured on the same network and image, part by part."""

import pytest

from p2s.bench import inference, nets, ways
from p2s.spec import Spec

SIZE = (64, 96)


def test_every_way_of_a_detector_is_measured_on_the_same_network(tiny):
    every = ways.means("CascadeRCNN-CenterNet", SIZE)
    chosen = [
        name
        for name, way in every.items()
        if way.runtime != "torchvision" and way.means != "compiled"
    ]
    found = inference.inference_times({name: every[name] for name in chosen}, SIZE, rounds=1)
    assert [row["way"] for row in found["rows"]] == chosen
    for row in found["rows"]:
        assert row["valid"], row
        assert row["unmatched_inside"] == 0 or row["precision"] == "int8", row
        assert row["ratio"] == pytest.approx(found["rows"][0]["total"] / row["total"])
    assert len({row["operations"] for row in found["rows"]}) == 1
    staged = [row for row in found["rows"] if "first" in row]
    assert len(staged) == len(chosen) - 2  # onnxruntime runs a whole graph
    parts = [sum(row[part] for part in inference.PHASES[:-1]) for row in staged]
    assert parts == pytest.approx([row["total"] for row in staged], rel=0.05)


def test_a_one_stage_detector_has_no_second_stage(tiny):
    spec = Spec.named("CenterNet*")
    plain = {"plain": ways.Way(lambda: nets.lively(spec), "CenterNet*", spec)}
    [row] = inference.inference_times(plain, SIZE, rounds=1)["rows"]
    assert row["valid"] and row["second"] < 0.1 * row["first"]
