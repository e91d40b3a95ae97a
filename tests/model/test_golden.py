"""Golden traces: some steps of training, one thread, fp32, then the detections in one scene. A
change that moves one must raise `identity.NUMERICS_VERSION`, which makes older records stale;
`python -m tests.model.test_golden` then writes all traces anew, with names those alone. Any
other refactoring leaves hours of results valid.
"""

import json
from pathlib import Path

import pytest
import torch

from p2s.data import coco, glyphs
from p2s.measure.coco import detect
from p2s.model.zoo import build
from p2s.spec import NAMED, Spec, identity
from p2s.train.engine import train
from tests.support import ROOT

GOLDEN = ROOT / "tests" / "data" / "golden_traces.json"
# No NMS, no sampling, no best so many: a rounding error of another processor may not choose other
# regions. Nor may it grow: hence the low rates.
ALL = 100_000
TINY = {
    "num_classes": 3,
    # Narrower, the gradient of a strided 1x1 convolution may write past its memory (oneDNN #6035).
    "backbone": {"depth": 18, "width": 16, "fpn_channels": 16, "frozen_stages": 0},
    "first_stage": {"pre_nms": ALL, "proposals": ALL, "nms": 1.0},
    "second_stage": {"regions": ALL, "positive_share": 1.0, "channels": 32},
    "recipe": {
        "iterations": 20,
        "drops": (0.4, 0.7),
        "rate": 0.01,
        "batch": 2,
        "warmup": 5,
        "short_edge": (128, 176),
        "long_edge": 160,  # so 176 is cut
    },
    "test": {
        "pre_nms": ALL,
        "proposals": ALL,
        "proposal_nms": 1.0,
        "nms": 1.0,
        "score_threshold": 0.0,
        "detections": ALL,
        "short_edge": 128,
    },
    # This seed has objects for P4 too.
    "data": {"kind": "glyphs", "seed": 1, "train": 8, "val": 1, "size": 192, "classes": 3},
}
# 20 steps: each norm, each fusion, both pyramids; floors amid the proposals' P(O).
LONG = {
    "FasterRCNN-RPN": {
        "recipe": {"short_edge": (96, 144), "long_edge": 128},  # P2 has most anchors
        "test": {"proposal_floor": 0.49},
    },
    "CascadeRCNN-RPN (P3-P7)": {"backbone": {"norm": "GN"}, "test": {"proposal_floor": 0.498}},
    "CenterNet*": {"backbone": {"norm": "BN"}, "recipe": {"rate": 0.005}},
    "FasterRCNN-CenterNet": {"test": {"fusion": "released", "proposal_floor": 0.013}},
    "CascadeRCNN-CenterNet": {"test": {"proposal_floor": 0.013}},
}
# Of all others a few steps on smaller images: each design alone, and under each second stage.
BRIEF = {
    "recipe": {"iterations": 5, "warmup": 2, "short_edge": (64, 96), "long_edge": 96},
    "test": {"short_edge": 96},
}
ALIASES = {"CenterNet2"}
DETECTORS = LONG | {name: BRIEF for name in NAMED if name not in {*LONG, *ALIASES}}


def measure(name, folder):
    """The losses of each step, from a fresh model at seed 0, and the deciles of what it detects."""
    spec = Spec.named(name).changed(TINY).changed(DETECTORS[name])
    files = glyphs.prepare(spec.data, folder / "data")
    torch.manual_seed(0)
    data = coco.read_coco(files.train, files.images)
    model = train(build(spec), spec, data, folder / "run", seed=0)
    (found,), _ = detect(model, coco.read_coco(files.val, files.images), spec.test)
    losses = json.loads((folder / "run" / "curve.json").read_text())
    return {"losses": losses, "detections": deciles(found)}


def deciles(found):
    """How many were found and how each of their numbers is spread: near ties may change places."""
    low, high = found.pred_boxes.tensor.split(2, 1)
    columns = {"score": found.scores, "p_object": found.p_object, "p_class": found.p_class}
    places = torch.cat(((low + high) / 2, high - low), 1).T
    columns |= zip(("x", "y", "width", "height"), places, strict=True)
    spread = {key: each.quantile(torch.linspace(0, 1, 11)) for key, each in columns.items()}
    rounded = {key: [float(f"{value:.6g}") for value in each] for key, each in spread.items()}
    return {"count": [len(found)], **rounded}


@pytest.fixture(scope="module", params=DETECTORS)
def golden_and_measured(request, tmp_path_factory):
    golden = json.loads(GOLDEN.read_text())
    assert golden["numerics_version"] == identity.NUMERICS_VERSION
    return golden[request.param], measure(request.param, tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize(("part", "tolerance"), [("losses", 1e-3), ("detections", 1e-2)])
def test_numbers_are_those_of_this_numerics_version(golden_and_measured, part, tolerance):
    golden, measured = (each[part] for each in golden_and_measured)
    assert measured.keys() == golden.keys()
    for name, values in golden.items():
        assert measured[name] == pytest.approx(values, rel=tolerance), name


if __name__ == "__main__":
    import sys
    import tempfile

    torch.set_num_threads(1)
    names = sys.argv[1:] or DETECTORS
    traces = {name: measure(name, Path(tempfile.mkdtemp())) for name in names}
    golden = json.loads(GOLDEN.read_text()) | traces
    golden["numerics_version"] = identity.NUMERICS_VERSION
    GOLDEN.write_text(json.dumps(golden, indent=0) + "\n")
