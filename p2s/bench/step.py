"""A full-size training step: how much of it is not the network but assignment, losses, decoding."""

from functools import partial
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from p2s.bench.timing import CPU, medians, now, turns
from p2s.bench.training import noise_batch
from p2s.model.first.candidates import suppress
from p2s.model.zoo import build
from p2s.spec import Spec

EDGE = {"short_edge": [928], "long_edge": 928}  # a square of as many pixels as 800 x 1088
CHANGES = {"recipe": {"batch": 2, **EDGE}}


def step_shares(
    detector: str = "CenterNet2", rounds: int = 7, seed: int = 0, device: torch.device = CPU
) -> dict[str, Any]:
    """Seconds of a step and of the first stage's assignment, losses and decoding, a row each.

    `share` is of the step; losses are taken with their gradients.
    """
    spec = Spec.named(detector).changed(CHANGES)
    torch.manual_seed(seed)
    model, batch = build(spec).to(device), noise_batch(spec, seed)
    stage, seen = model.proposal_generator, []
    hook = stage.head.register_forward_hook(lambda _, maps, answer: seen.append((maps[0], answer)))
    model(batch)
    hook.remove()
    [(maps, answer)] = seen
    grid = stage.grid(maps)
    answer = tree_map_only(torch.Tensor, lambda values: values.detach().requires_grad_(), answer)
    truths = [sample["instances"].to(device) for sample in batch]
    ways = {
        "step": partial(_step, model, batch, device),
        "assignment and losses": lambda: _losses(stage, grid, answer, truths),
        "decoding": lambda: _decode(stage, grid, answer, truths),
    }
    timed = turns(ways, rounds, device=device)
    middle = {way: medians(seconds)["total"] for way, seconds in timed.items()}
    columns = {"detector": detector, "runtime": "ours"}
    rows = [
        {"way": way, **columns, "total": seconds, "share": seconds / middle["step"]}
        for way, seconds in middle.items()
    ]
    return {"rows": rows}


def _step(model, batch, device):
    start = now(device)
    model.zero_grad(set_to_none=True)
    sum(model(batch).values()).backward()
    return {"total": now(device) - start}


def _losses(stage, grid, answer, truths):
    sum(stage.objective(grid, answer, truths).values()).backward()


@torch.no_grad()
def _decode(stage, grid, answer, truths):
    selection = stage.train_selection
    candidates = stage.candidates(grid, answer, selection.pre_nms)
    for n, truth in enumerate(truths):
        suppress(candidates[n], truth.image_size, selection)
