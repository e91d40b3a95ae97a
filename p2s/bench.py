"""Steps a second of a training: our way against the stock way, in the same run.

Ours is channels_last with the CPU-fast RoIAlign; the stock way is detectron2's as it comes: NCHW
with torchvision's RoIAlign, a map at a time. Both have the same weights, images and random
numbers, and take turns.
"""

import copy
import statistics
import time
from contextlib import contextmanager

import torch
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes, Instances
from torch import nn

from p2s.pooler import FastROIPooler
from p2s.provenance import machine
from p2s.zoo import build


def train(spec, *, steps=5, threads=1, seed=0):
    """Measure training steps of a detector on noise images, both ways in turns.

    Returns the median steps a second, "ours" and "stock", their "ratio", the "loss" of the last
    step of each and the "machine". The first step of each is not counted.
    """
    with _threads(threads):
        torch.manual_seed(seed)
        ours = build(spec)
        models = {"ours": ours, "stock": stock(copy.deepcopy(ours))}
        optimisers = {way: _optimiser(model, spec.recipe) for way, model in models.items()}
        seconds, losses = {way: [] for way in models}, {}
        for step in range(steps + 1):
            inputs = noise_batch(spec, seed + step)
            for way, model in models.items():
                torch.manual_seed(seed + step)  # which regions are sampled
                start = time.perf_counter()
                losses[way] = _step(model, optimisers[way], inputs, spec.recipe)
                seconds[way].append(time.perf_counter() - start)
        rates = {way: 1 / statistics.median(each[1:]) for way, each in seconds.items()}
        ratio = rates["ours"] / rates["stock"]
        return {**rates, "ratio": ratio, "loss": losses, "steps": steps, "machine": machine()}


def stock(model):
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


def noise_batch(spec, seed, objects=7):
    """A training batch of square noise images of the recipe's size, COCO's 7 objects in each."""
    generator = torch.Generator().manual_seed(seed)
    edge = max(spec.recipe.short_edge)
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


def _optimiser(model, recipe):
    # The rate of a first step of warm-up: noise teaches nothing, and a fast rate would diverge.
    rate = recipe.scaled_rate / max(recipe.warmup, 1000)
    return torch.optim.SGD(model.parameters(), rate, recipe.momentum)


def _step(model, optimiser, inputs, recipe):
    optimiser.zero_grad(set_to_none=True)
    loss = sum(model(inputs).values())
    loss.backward()
    nn.utils.clip_grad_value_(model.parameters(), recipe.clip)
    optimiser.step()
    return loss.item()


@contextmanager
def _threads(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
