"""Reading: what a trunk is pretrained on, and how, before it trains on a large vocabulary.

It is part of the identity of every training that begins with such a trunk; see p2s.train.pretrain.
"""

from pydantic import PositiveFloat, PositiveInt

from p2s.spec.data import Glyphs
from p2s.spec.part import Part
from p2s.spec.recipe import AdamW, Recipe

SIDE = 160  # pixels of a scene
LABELS = 1242  # every character in every style, see p2s.data.glyphs.ink


class Reading(Part):
    """A training that tells what given boxes show."""

    scenes: Glyphs = Glyphs(seed=1000, train=6000, val=1, size=SIDE, classes=LABELS)
    recipe: Recipe = Recipe(
        iterations=4000,
        batch=8,
        rate=2e-3,
        optimizer=AdamW(),
        warmup=200,
        flip=False,
        short_edge=(SIDE,),
        long_edge=SIDE,
    )
    jitter: PositiveFloat = 0.05  # of a box's size: its corners' deviation, as proposals are off
    channels: PositiveInt = 128  # of the head


READING = Reading()
