"""Work for ranks, which a process of its own can import."""

import json
import os
import signal
import time

import torch
from torch import nn

from p2s.maths import ranks
from p2s.model.layers import BatchNorm
from p2s.train import engine, stops
from tests.support.tiny_training import DATA, SPEC, Tiny, batches


def write_what_each_gets(folder):
    told = {
        "mean": ranks.mean(torch.tensor([float(ranks.rank())])).item(),
        "normaliser": ranks.normaliser(torch.tensor(3.0 * ranks.rank())).item(),
        "least": ranks.normaliser(torch.tensor(0.0)).item(),
        "share": float(ranks.share(1 + 2 * ranks.rank(), torch.device("cpu"))),
        "anywhere": ranks.anywhere(ranks.rank() == 1),
        "nowhere": ranks.anywhere(False),
        "gathered": ranks.gathered(list(range(5))[ranks.part()]),
        "largest": ranks.largest([5 * ranks.rank(), 8 - ranks.rank()]),
        "first": ranks.by_first("to come", lambda: str(ranks.rank())),
    }
    with ranks.alone():
        told["alone"] = [ranks.rank(), ranks.ranks()]
    print(f"rank {ranks.rank()}")
    (folder / str(ranks.rank())).write_text(json.dumps(told))


def step_with_parts_that_rest(folder):
    """Two steps of AdamW in which a part of a model learns at all ranks, at one, at none."""
    torch.manual_seed(3)
    parts = [nn.Linear(3, 1) for _ in range(3)]
    optimizer = torch.optim.AdamW([w for part in parts for w in part.parameters()], lr=0.1)
    for inputs in torch.rand(2, 2, 3):
        optimizer.zero_grad()
        for image in range(2)[ranks.part()]:
            for part in parts[: 1 + image]:
                (part(inputs[image]).square().sum() * ranks.ranks() / 2).backward()
        ranks.average_gradients(w for part in parts for w in part.parameters())
        optimizer.step()
    weights = [w.tolist() for part in parts for w in part.parameters()]
    grads = [w.grad is not None for part in parts for w in part.parameters()]
    (folder / f"{ranks.rank()} of {ranks.ranks()}").write_text(json.dumps([weights, grads]))


class Refusing(Tiny):
    """A model that refuses what is not finite itself, while other ranks are in their step."""

    def forward(self, batch):
        if not all(one["image"].isfinite().all() for one in batch):
            raise FloatingPointError("predicted boxes are not finite")
        ranks.mean(torch.zeros(3))  # as a normaliser does: it waits for all ranks
        return super().forward(batch)


def spoilt(data, recipe, seed, at, part=slice(None)):
    """Batches whose second image, which is of rank 1, is broken at iteration 3."""
    batch = batches(data, recipe, seed, at)
    if at == 3:
        batch[1]["image"][0, 4, 4] = torch.inf
    return batch[part]


def train_to_a_broken_step(model, folder):
    engine.train_batch = spoilt
    engine.train(model(), SPEC, DATA, folder, seed=3)


def die(by):
    if ranks.rank() == 1:
        by()
    ranks.wait_for_all()


def be_killed():
    os.kill(os.getpid(), signal.SIGKILL)


def raise_an_error():
    raise ValueError("photo.jpg: not a readable image")


def raise_of_many_lines():
    raise TypeError("photo.jpg: odd\nas a report says\nand more")


def note_its_stop(folder):
    """What a training does with stops; the second would end it before it has noted the first."""
    with stops.noted() as asked:
        (folder / f"at work {ranks.rank()}").touch()
        while not asked:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGUSR2)  # as Slurm's own warning
        time.sleep(0.5)
        (folder / f"stopped {ranks.rank()}").touch()
    raise KeyboardInterrupt


class DyingWhereItArrives:
    """Work whose first copy ends the process that it is sent to, before that has joined."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self):
        time.sleep(60)

    def __setstate__(self, state):
        self.__dict__ = state
        try:
            (self.folder / "arrived").touch(exist_ok=False)
        except FileExistsError:
            return
        be_killed()


def normalise(folder):
    """A rank's part of four maps, normalised in fp32 and in bf16, and the statistics kept."""
    maps, kept = torch.rand(4, 3, 6, 5, generator=torch.Generator().manual_seed(0)), {}
    for kind in (torch.float32, torch.bfloat16):
        norm = BatchNorm(3)
        with torch.autocast("cpu", torch.bfloat16, kind == torch.bfloat16):
            kept[f"{kind}"] = norm(maps.to(kind)[ranks.part()])
        kept |= {f"{kind}, {name}": value for name, value in norm.named_buffers()}
    torch.save(kept, folder / f"{ranks.rank()} of {ranks.ranks()}")
