"""Watch: AP along a training, asked of whoever hands it over; the best weights may be kept."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

QUARTERS = 4


@dataclass(frozen=True)
class Watch:
    """What is asked for AP in percent, after how many iterations, and whether the best are kept.

    `ap` gets the weights that would be saved, and may leave the model in evaluation mode.
    """

    ap: Callable[[nn.Module], float]
    every: int = 0  # iterations; 0: at each quarter of all
    keep_best: bool = True  # beside the last ones, see p2s.train.folder.BEST

    def is_due(self, done: int, total: int) -> bool:
        """Whether AP is asked for after so many iterations of all; after the last always."""
        if self.every:
            return done == total or done % self.every == 0
        return done in {math.ceil(total * part / QUARTERS) for part in range(1, QUARTERS + 1)}
