"""Settings that cannot train are refused in a line; see also tests/train/test_engine.py."""

from pathlib import Path

import pytest

from p2s.spec import Spec
from p2s.spec.sanity import refuse_absurd, refuse_fixed_statistics

SCRATCH = {"norm": "FrozenBN", "frozen_stages": 0}


@pytest.mark.parametrize(
    ("name", "title"),
    [("CenterNet2", "ResNet-50"), ("CenterNet2-DLA-BiFPN-P3", "DLA-34")],
)
def test_statistics_that_nobody_learns_are_refused(name, title):
    spec = Spec.named(name).changed({"backbone": SCRATCH})
    told = f"^backbone.norm FrozenBN of a {title} without backbone.weights: .* BN or GN$"
    with pytest.raises(ValueError, match=told):
        refuse_fixed_statistics(spec)
    for change in ({"norm": "BN"}, {"weights": "trunk.pth"}):
        refuse_fixed_statistics(spec.changed({"backbone": change}))


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"recipe": {"pseudo_scenes": 9}}, r"recipe.pseudo_scenes 9 \(valid: 0, but for a row"),
        ({"recipe": {"pseudo_scenes": 9, "start": Path("m")}}, r"recipe.pseudo_scenes 9 \(valid"),
        (
            {"recipe": {"start": Path("m")}, "backbone": {"weights": Path("r50.pth")}},
            "backbone.weights with recipe.start, which brings its own",
        ),
    ],
)
def test_a_start_that_does_nothing_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        refuse_absurd(Spec.named("CenterNet2").changed(changes), 1)
