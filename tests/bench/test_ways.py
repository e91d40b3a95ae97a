"""Ways are those that were asked for."""

from p2s.bench import ways


def test_classes_and_proposals_are_those_asked_for(tiny):
    asked = ways.with_classes(["CenterNet2"], [5, 365, 1203])
    asked |= ways.with_proposals(["CenterNet2"], [7])
    assert [way.columns["count"] for way in asked.values()] == [5, 365, 1203, 7]
    *specs, proposals = (way.spec for way in asked.values())
    assert [spec.num_classes for spec in specs] == [5, 365, 1203]
    assert [spec.test.detections for spec in specs] == [5, 300, 300]
    assert proposals.test.proposals == 7
    assert next(iter(ways.detectors())) == "CenterNet2"
