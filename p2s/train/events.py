"""Events: the curve of a training as TensorBoard reads it while it grows."""

import importlib.util
import math
from pathlib import Path

from p2s.maths.likelihood import AUDIT
from p2s.train.curve import ITERATION, Curve

FOLDER = "events"  # in a training's
MISSING = "tensorboard is missing: pip install tensorboard"


def require_tensorboard() -> None:
    """ImportError, with how to get it, unless TensorBoard is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ImportError(MISSING)


class Events:
    """A writer of a training's events; what is gone over again after a stop replaces the old."""

    def __init__(self, folder: Path):
        require_tensorboard()
        self.folder, self.writer = folder, None

    def __call__(self, curve: Curve) -> None:
        """Write what the last iteration has."""
        from torch.utils.tensorboard import SummaryWriter

        iteration = int(curve[ITERATION][-1])
        if self.writer is None:
            self.writer = SummaryWriter(str(self.folder), purge_step=iteration)
        for name, values in curve.items():
            if name != ITERATION and not math.isnan(values[-1]):
                tag = name if name.startswith((AUDIT, "AP")) else f"loss/{name}"
                self.writer.add_scalar(tag, values[-1], iteration)

    def close(self) -> None:
        """Write what is left."""
        if self.writer is not None:
            self.writer.close()
