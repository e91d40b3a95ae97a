"""The heat map of a first stage: where in an image it expects objects (Fig. 1)."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from p2s.model.first.adaptive_rpn import AdaptiveRPN


def heat_map(
    stage: nn.Module, features: dict[str, Tensor], size: tuple[int, int]
) -> tuple[Tensor, int]:
    """P(O) of one image on the cells of the finest level, (H, W), and that level's stride.

    Each cell has the most that any level and anchor says there: a coarse cell covers many.
    """
    maps = [*(_of_rpn if hasattr(stage, "rpn_head") else _of_dense)(stage, features)]
    finest = maps[0][1]
    height, width = (-(-side // finest) for side in size)
    levels = []
    for cells, stride in maps:
        times = stride // finest
        wide = cells.repeat_interleave(times, 0).repeat_interleave(times, 1)
        levels.append(wide[:height, :width])
    return torch.stack(levels).amax(0), finest


@torch.inference_mode()
def seen_in(model: nn.Module, inputs: dict, size: tuple[int, int]) -> Tensor:
    """P(O) of each pixel of a picture of a size, (H, W), from its model input.

    ValueError for a first stage that classifies no cells but anchors which it moves.
    """
    if isinstance(model.proposal_generator, AdaptiveRPN):
        raise ValueError(f"{type(model.proposal_generator).__name__}: it has no heat map")
    images = model.preprocess_image([inputs])
    features = model.backbone(images.tensor)
    cells, stride = heat_map(model.proposal_generator, features, images.image_sizes[0])
    rows, columns = (
        ((torch.arange(side) + 0.5) * seen / side / stride).long()
        for side, seen in zip(size, images.image_sizes[0], strict=True)
    )
    return cells.cpu()[rows][:, columns]


def _of_dense(stage, features) -> Iterator[tuple[Tensor, int]]:
    """A level's P(O), (h, w), and its stride, the finest first."""
    grid, predictions = stage.predict(features)
    p_object = stage.score(predictions)[0].sigmoid().amax(-1)  # (A,)
    for level, stride in enumerate(stage.strides.int().tolist()):
        shape = features[stage.in_features[level]].shape[-2:]
        yield p_object[grid.level == level].view(*shape, -1).amax(-1), stride


def _of_rpn(stage, features) -> Iterator[tuple[Tensor, int]]:
    """The same of anchors that are classified alone."""
    logits, _ = stage.rpn_head([features[name] for name in stage.in_features])
    for of_level, stride in zip(logits, stage.anchor_generator.strides, strict=True):
        yield of_level[0].sigmoid().amax(0), int(stride)
