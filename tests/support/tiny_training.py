"""A training small enough for tests of the engine: a tiny model, data and settings."""

import shutil
from types import SimpleNamespace

import torch
import yaml
from detectron2.structures import Boxes, Instances
from torch import nn

from p2s.spec import Spec
from p2s.study.project import TRAIN_EVAL, Project
from p2s.train import engine, folder, replay
from tests.support import ROOT

DATA = SimpleNamespace(fingerprint="f" * 64, classes=["cat", "dog"])
RECIPE = {"iterations": 12, "warmup": 3, "batch": 2, "rate": 0.1}
SCRATCH = {"norm": "BN", "frozen_stages": 0}
SPEC = Spec(num_classes=2).changed({"recipe": RECIPE, "backbone": SCRATCH})


class Tiny(nn.Module):
    """All that can break a resume: batch statistics, random numbers in a step, a shared weight."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.3)
        self.head = nn.Linear(4, 1)
        self.alias = self.head

    def preprocess_image(self, batch):
        return SimpleNamespace(tensor=torch.stack([one["image"] for one in batch]))

    def backbone(self, images):
        return {"p3": self.norm(self.conv(images)), "p4": images}

    def detect(self, batch):
        if not self.head.weight.isfinite().all():
            raise FloatingPointError("logits of p5 are not finite")

    def forward(self, batch):
        maps = self.backbone(self.preprocess_image(batch).tensor)["p3"]
        value = self.head(self.drop(maps.mean((2, 3))))
        return {"fit": (value - 1).square().mean(), "size": self.head.weight.square().mean()}


def batches(data, recipe, seed, iteration, part=slice(None)):
    draw = torch.Generator().manual_seed(1000 * seed + iteration)
    truth = Instances((8, 8), gt_boxes=Boxes(torch.ones(1, 4)), gt_classes=torch.zeros(1).long())
    return [
        {"image": torch.rand(3, 8, 8, generator=draw), "image_id": 10 + i, "instances": truth}
        for i in range(recipe.batch)
    ][part]


def install(monkeypatch):
    """Let the engine and the replay build the tiny model and draw its batches."""
    monkeypatch.setattr(engine, "train_batch", batches)
    monkeypatch.setattr(folder, "build", lambda spec: Tiny())
    monkeypatch.setattr(replay, "build", lambda spec: Tiny())


def study_of(folder, rows):
    """A project of one experiment, `t`, with these rows and scale smoke made tiny."""
    scales = yaml.safe_load((ROOT / "experiments" / "scales.yaml").read_text())
    changes = scales["smoke"]["changes"]
    changes["data"] |= {"train": 4, "val": 2, "size": 64, "classes": 2}
    changes["recipe"] |= {"iterations": 2, "batch": 2, "warmup": 1, "short_edge": [64]}
    table = {"name": "t", "title": "-", "question": "-", "claim": "-", "notebook": "t.ipynb"}
    (folder / "experiments").mkdir()
    (folder / "notebooks").mkdir()
    for name, content in (("scales", {"smoke": scales["smoke"]}), ("t", table | {"rows": rows})):
        (folder / "experiments" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    shutil.copy(ROOT / TRAIN_EVAL, folder / TRAIN_EVAL)
    return Project(folder, folder / ".p2s")
