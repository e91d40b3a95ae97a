"""The heat map of a dense first stage: where in an image it expects objects (Fig. 1)."""

import torch
from torch import Tensor

from p2s.model.first.dense import DenseProposer


def heat_map(
    stage: DenseProposer, features: dict[str, Tensor], size: tuple[int, int]
) -> tuple[Tensor, int]:
    """P(O) of one image on the cells of the finest level, (H, W), and that level's stride.

    Each cell has the most that any level and anchor says there: a coarse cell covers many.
    """
    grid, predictions = stage.predict(features)
    p_object = stage.score(predictions)[0].sigmoid().amax(-1)  # (A,)
    finest = int(stage.strides[0])
    height, width = (-(-side // finest) for side in size)
    levels = []
    for level, stride in enumerate(stage.strides.int().tolist()):
        shape = features[stage.in_features[level]].shape[-2:]
        cells = p_object[grid.level == level].view(*shape, -1).amax(-1)
        times = stride // finest
        wide = cells.repeat_interleave(times, 0).repeat_interleave(times, 1)
        levels.append(wide[:height, :width])
    return torch.stack(levels).amax(0), finest
