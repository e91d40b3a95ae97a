"""Reading: what a trunk is pretrained on, and how, before a detector trains.

It is part of the identity of every training that begins with such a trunk; see p2s.train.pretrain.
"""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from p2s.spec.data import Glyphs
from p2s.spec.part import UNWRITTEN, Part
from p2s.spec.recipe import AdamW, Recipe

SIDE = 160  # pixels of a scene
LABELS = 1242  # every character in every style, see p2s.data.glyphs.ink
PLAIN = 69  # every character in the plain style


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
    # Locations of a box on each of its levels that are read too, as a one-stage detector does, the
    # first its centre; regions then have batch norm. 0: none.
    locations: Annotated[int, Field(ge=0), UNWRITTEN] = 0
    # Of the pyramid. None: the detector's own; else a detector takes the layers that it has too.
    levels: Annotated[tuple[PositiveInt, PositiveInt] | None, UNWRITTEN] = None


# Words that `backbone.weights` has for weights of others, which `p2s fetch` brings by the same
# name, with the SHA-256 of their file.
PUBLISHED = {"lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"}

# The words that it has for readings. `characters`: many plain ones, small and hard to
# see; all labels are plain, so of styles nothing is learnt. One trunk for all pyramids, as the
# paper's: P6 and P7 of P3-P7 are not in it.
READINGS = {
    "glyphs": Reading(),
    "characters": Reading(
        scenes=Glyphs(
            seed=1000,
            train=12_000,
            val=1,
            size=96,
            classes=PLAIN,
            objects=12,
            size_median=0.2,
            size_spread=0.8,
            largest=1.0,
            contrast=40,
            noise=25,
        ),
        recipe=Reading().recipe.model_copy(update={"iterations": 20_000}),
        locations=4,
        levels=(2, 6),
    ),
}
