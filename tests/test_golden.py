"""Golden loss traces: 20 steps, one thread, fp32. A change that moves one must raise
`records.NUMERICS_VERSION`, which makes older records stale; `python tests/test_golden.py` then
writes the traces anew. Any other refactoring leaves hours of results valid.
"""

import json
from pathlib import Path

import pytest
import torch

from p2s import records
from p2s.data import coco, glyphs
from p2s.engine import train
from p2s.spec import Spec
from p2s.zoo import build

GOLDEN = Path(__file__).parent / "data" / "golden_traces.json"
NAMES = ("CascadeRCNN-RPN (P3-P7)", "CenterNet*", "FasterRCNN-CenterNet", "CascadeRCNN-CenterNet")
TINY = {
    "num_classes": 3,
    "backbone": {"depth": 18, "width": 8, "norm": "BN", "fpn_channels": 16, "frozen_stages": 0},
    # No NMS and no sampling: a rounding error of another processor may not choose other regions.
    "first_stage": {"nms": 1.0},
    "second_stage": {"regions": 512, "positive_share": 1.0, "channels": 32},
    "recipe": {
        "iterations": 20,
        "batch": 2,
        "warmup": 0,
        "rate": 0.01,
        "short_edge": (64,),
        "long_edge": 64,
    },
    "data": {"kind": "glyphs", "train": 8, "val": 1, "size": 64, "classes": 3},
}


def trace(name, folder):
    """The losses of 20 steps by name, from a fresh model at seed 0."""
    spec = Spec.named(name).changed(TINY)
    files = glyphs.prepare(spec.data, folder / "data")
    torch.manual_seed(0)
    train(build(spec), spec, coco.read(files.train, files.images), folder / "run", seed=0)
    return json.loads((folder / "run" / "curve.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_those_of_this_numerics_version(name, tmp_path):
    golden = json.loads(GOLDEN.read_text())
    assert golden["numerics_version"] == records.NUMERICS_VERSION
    measured = trace(name, tmp_path)
    assert measured.keys() == golden[name].keys()
    for loss, values in golden[name].items():
        assert measured[loss] == pytest.approx(values, rel=1e-3), loss


if __name__ == "__main__":
    import tempfile

    torch.set_num_threads(1)
    traces = {name: trace(name, Path(tempfile.mkdtemp())) for name in NAMES}
    golden = {"numerics_version": records.NUMERICS_VERSION, **traces}
    GOLDEN.write_text(json.dumps(golden, indent=0) + "\n")
