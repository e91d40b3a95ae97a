"""Tiny: `p2s` with a network of four channels; with $STOP_BEFORE, training is stopped there."""

import os

from pytest import MonkeyPatch

from p2s.cli import own_data
from p2s.cli.main import main
from p2s.train import engine
from tests.support import tiny_training

LAST = int(os.environ.get("STOP_BEFORE", 0))


def batches(data, recipe, seed, iteration, part=slice(None)):
    """As those of a tiny training, up to the step at which it is stopped."""
    if LAST and iteration == LAST:
        raise KeyboardInterrupt
    return tiny_training.batches(data, recipe, seed, iteration, part)


if __name__ == "__main__":
    patch = MonkeyPatch()
    tiny_training.install(patch)
    patch.setattr(engine, "train_batch", batches)
    patch.setattr(own_data, "build", lambda spec, classes: tiny_training.Tiny())
    main()
