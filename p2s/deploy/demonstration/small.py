"""Small: a detector that is trained in a minute, for where no other is at hand."""

from pathlib import Path

import torch

from p2s.data import glyphs
from p2s.model.zoo import build
from p2s.spec import Spec
from p2s.spec.identity import training_id
from p2s.train import engine

SEED = 0
SMALL = {  # a thin ResNet-18, three classes and no hard negatives: it compares nothing
    "num_classes": 3,
    "second_stage": {"regions": 32, "channels": 64},
    "backbone": {"depth": 18, "width": 16, "norm": "BN", "frozen_stages": 0, "fpn_channels": 32},
    "first_stage": {"layers": 2, "pre_nms": 200, "proposals": 64},
    "recipe": {"batch": 8, "optimizer": "adamw", "rate": 0.004, "short_edge": [96], "flip": False},
    "test": {"pre_nms": 100, "proposals": 32, "short_edge": 96, "long_edge": 96},
    "data": {"kind": "glyphs", "train": 200, "val": 1, "size": 96, "classes": 3, "fragments": 0},
}


def trained(cache: Path, steps: int) -> Path:
    """The folder of the small detector, trained if the cache lacks it; stopped, it goes on."""
    recipe = {"iterations": steps, "warmup": steps // 10}
    spec = Spec.named("CenterNet2").changed(SMALL).changed({"recipe": recipe})
    data, _ = glyphs.load(spec.data, cache / "data")
    identity = training_id(spec, data.fingerprint, SEED)
    folder = cache / "demonstration" / identity
    if not engine.finished(folder, identity):
        torch.manual_seed(SEED)
        engine.train(build(spec), spec, data, folder, seed=SEED)
    return folder
