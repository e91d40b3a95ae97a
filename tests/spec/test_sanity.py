"""Settings that cannot train are refused in a line; see also tests/train/test_engine.py."""

import pytest

from p2s.spec import Spec
from p2s.spec.sanity import refuse_fixed_statistics

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
