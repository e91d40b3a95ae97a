"""Work for ranks, which a process of its own can import."""

import json
import os
import signal

import torch

from p2s.maths import ranks


def write_what_each_gets(folder):
    told = {
        "mean": ranks.mean(torch.tensor([float(ranks.rank())])).item(),
        "normaliser": ranks.normaliser(torch.tensor(3.0 * ranks.rank())).item(),
        "least": ranks.normaliser(torch.tensor(0.0)).item(),
        "share": float(ranks.share(1 + 2 * ranks.rank(), torch.device("cpu"))),
        "anywhere": ranks.anywhere(ranks.rank() == 1),
        "nowhere": ranks.anywhere(False),
        "gathered": ranks.gathered(list(range(5))[ranks.part()]),
    }
    print(f"rank {ranks.rank()}")
    (folder / str(ranks.rank())).write_text(json.dumps(told))


def average_gradients(folder):
    weights = [torch.nn.Parameter(torch.zeros(2, 3)), torch.nn.Parameter(torch.zeros(4))]
    (weights[0] * (1 + ranks.rank())).sum().backward()
    if ranks.rank() == 1:
        weights[1].sum().backward()
    ranks.average_gradients(weights)
    (folder / str(ranks.rank())).write_text(
        json.dumps([weight.grad.tolist() for weight in weights])
    )


def die(by):
    if ranks.rank() == 1:
        by()
    ranks.wait_for_all()


def be_killed():
    os.kill(os.getpid(), signal.SIGKILL)


def raise_an_error():
    raise ValueError("photo.jpg: not a readable image")
