"""Full-size detectors made small, and a project that trains in seconds."""

import pytest

from p2s.bench import desk, precision
from p2s.spec import Spec
from p2s.study.project import Project

TINY = {
    "num_classes": 12,
    "backbone": {"depth": 18, "width": 16, "norm": "BN", "frozen_stages": 0, "fpn_channels": 16},
    "first_stage": {"layers": 1, "pre_nms": 50, "proposals": 50},
    "second_stage": {"regions": 16, "channels": 16},
    "recipe": {"batch": 2, "short_edge": [64], "long_edge": 64},
    "test": {"proposals": 20, "detections": 5},
}


@pytest.fixture(params=["CenterNet2", "FasterRCNN-RPN"])
def spec(request):
    return Spec.named(request.param).changed(TINY)


@pytest.fixture
def tiny(monkeypatch):
    """Full-size detectors made small, with a trunk that detectron2's configuration knows too."""
    named = Spec.named
    small = {**TINY, "backbone": {**TINY["backbone"], "width": 64, "fpn_channels": 256}}
    monkeypatch.setattr(Spec, "named", lambda name: named(name).changed(small))


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A project whose scale smoke, which trains in seconds, stands in for desk."""
    monkeypatch.setattr(precision, "MODEL", precision.MODEL | {"scale": "smoke"})
    monkeypatch.setattr(desk, "MODEL", precision.MODEL)
    return Project(Project.at().root, tmp_path)
