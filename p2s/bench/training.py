"""Steps a second of a training: our way against the stock way, in the same run.

Ours is channels_last with the CPU-fast RoIAlign; the stock way is detectron2's as it comes: NCHW
with torchvision's RoIAlign, a map at a time. All have the same weights, images and random
numbers, and take turns; images are in memory for all. On a GPU each way trains in bf16 too, and the
authors' package beside them where it has the detector.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from p2s.bench.nets import Autocast
from p2s.bench.timing import CPU, ceiling, medians, now, rate, turns
from p2s.data.loader import pinned
from p2s.model.device import place
from p2s.model.second.pooler import FastROIPooler
from p2s.model.zoo import build
from p2s.spec import Spec
from p2s.study import experiments
from p2s.study.project import Project
from p2s.train.descent import optimizer

WIDER = {"backbone": {"width": 32}, "recipe": {"batch": 16}}  # changes of the desk profile


@dataclass(frozen=True)
class Trained:
    """A model to train, and whose program in which precision that is."""

    model: Callable  # a batch -> losses by name
    runtime: str
    precision: str = "fp32"


def reference_step(project: Project, detector: str, scale: str = "desk") -> Spec:
    """The Spec of the step that is measured: that of a scale; desk's wider, in larger batches.

    A file of weights is left out: a step takes as long with random ones.
    """
    scales = experiments.load_scales(project)
    experiments.refuse_unknown("scale", [scale], scales)
    row = experiments.Row(name=detector, detector=detector)
    spec = experiments.resolve(row, None, scales[scale], project.root)
    if isinstance(spec.backbone.weights, Path):
        spec = spec.without_weights()
    return spec.changed(WIDER) if scale == "desk" else spec


def training_steps(
    detector: str, spec: Spec, steps: int = 20, seed: int = 0, device: torch.device = CPU
) -> dict[str, Any]:
    """Measure training steps of a detector on noise images, all ways in turns: a row each.

    A row holds the median seconds of a step, "ratio", the steps a second over the stock way's,
    "loss", the total loss of every step, and "share", its operations a second over those of one
    convolution; on a GPU "rate", images a second. "most" is the ratio of a step that is nothing but
    its operations at that pace. The first step of each is not counted.
    """
    torch.manual_seed(seed)
    model = build(spec)
    work, ways = _operations(copy.deepcopy(model), spec), _ways(model, spec, device)
    trainings = {way: _Training(each.model, spec, seed, device) for way, each in ways.items()}
    conv, of_conv = ceiling(torch.float32, device)
    seconds = turns(trainings | {"ceiling": conv}, steps, warmup=1, device=device)
    peak = of_conv / medians(seconds.pop("ceiling"))["total"]
    base, rows = medians(seconds["stock"])["total"], []
    for way, each in ways.items():
        middle = medians(seconds[way])["total"]
        row = {"way": way, "detector": detector}
        row |= {"runtime": each.runtime, "precision": each.precision}
        row |= {"total": middle, "ratio": base / middle, **rate(spec.recipe.batch, middle, device)}
        row |= {"operations": work, "share": work / middle / peak}
        rows.append(row | {"loss": trainings[way].losses, "seconds": seconds[way]["total"]})
    losses = zip(*(trainings[way].losses for way in ("stock", "ours")), strict=True)
    difference = max(abs(a - b) / abs(a) for a, b in losses)
    return {"rows": rows, "loss_difference": difference, "most": base * peak / work}


def _ways(model, spec, device):
    """The ways to train a detector there, by name; each has the model's weights."""
    stocks = stock(copy.deepcopy(model))
    ways = {
        "stock": Trained(stocks.to(device), "detectron2"),
        "ours": Trained(place(model, device), "ours"),
    }
    return ways | (_ways_of_gpus(ways, spec, device) if device.type == "cuda" else {})


def _ways_of_gpus(ways, spec, device):
    """The authors' package, where it has the detector, and all in bf16."""
    others = {}
    if spec.first == "centernet" and spec.second in ("none", "cascade") and spec.zoom == 1:
        from p2s.bench import peers

        peer = peers.authors(ways["ours"].model, spec).train()
        others["authors"] = Trained(peer, "authors")
    copies = {name: copy.deepcopy(way.model) for name, way in (ways | others).items()}
    narrow = {name: Autocast(model) for name, model in copies.items()}
    narrow["ours"] = place(copies["ours"], device, "bf16")
    for name, model in narrow.items():
        others[f"{name}, bf16"] = Trained(model, (ways | others)[name].runtime, "bf16")
    return others


def _operations(model, spec):
    with FlopCounterMode(display=False) as counter:
        _Training(model, spec, seed=0)()
    return counter.get_total_flops()


def stock(model: nn.Module) -> nn.Module:
    """The same model the stock way, changed in place: NCHW and detectron2's own pooler."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, FastROIPooler):
                setattr(module, name, _stock_pooler(child))
    return model.to(memory_format=torch.contiguous_format)


def _stock_pooler(ours):
    canonical = (ours.canonical_box_size, ours.canonical_level)
    arguments = (ours.output_size, ours.scales, ours.sampling_ratio, "ROIAlignV2")
    return ROIPooler(*arguments, *canonical)


def noise_batch(spec: Spec, seed: int, objects: int = 7) -> list[dict]:
    """A training batch of square noise images of the recipe's size, COCO's 7 objects in each."""
    generator = torch.Generator().manual_seed(seed)
    _, edge = spec.recipe.image_edges
    return [_noise_input(spec, edge, objects, generator) for _ in range(spec.recipe.batch)]


def _noise_input(spec, edge, objects, generator):
    size = edge * (0.05 + 0.45 * torch.rand(objects, 2, generator=generator))
    corner = (edge - size) * torch.rand(objects, 2, generator=generator)
    return {
        "image": torch.randint(256, (3, edge, edge), dtype=torch.uint8, generator=generator),
        "height": edge,
        "width": edge,
        "instances": Instances(
            (edge, edge),
            gt_boxes=Boxes(torch.cat([corner, corner + size], 1)),
            gt_classes=torch.randint(spec.num_classes, (objects,), generator=generator),
        ),
    }


class _Training:
    """Steps of one model, a noise batch and a loss each; equal seeds give equal steps."""

    def __init__(self, model, spec, seed, device=CPU):
        self.model, self.spec, self.seed, self.device = model, spec, seed, device
        self.losses = []
        self.optimiser = optimizer(model, spec.recipe)
        for group in self.optimiser.param_groups:
            # That of a first step of warm-up: noise teaches nothing, a fast rate would diverge.
            group["lr"] = spec.recipe.scaled_rate / max(spec.recipe.warmup, 1000)

    def __call__(self):
        seed = self.seed + len(self.losses)
        inputs = noise_batch(self.spec, seed)
        inputs = pinned(inputs) if self.device.type == "cuda" else inputs
        torch.manual_seed(seed)  # which regions are sampled
        start = now(self.device)
        self.optimiser.zero_grad(set_to_none=True)
        with EventStorage():  # the authors' heads insist on one
            loss = sum(self.model(inputs).values())
        loss.backward()
        nn.utils.clip_grad_value_(self.model.parameters(), self.spec.recipe.clip)
        self.optimiser.step()
        self.losses.append(loss.item())
        return {"total": now(self.device) - start}
