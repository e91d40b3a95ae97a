"""GA RPN and Cascade RPN at a few pixels, for tests."""

import torch
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage
from torch import nn

from p2s.maths.geometry import locations
from p2s.model.first.adaptive_rpn import Steps
from p2s.model.zoo import first_stage
from p2s.spec import Spec

STRIDES = {f"p{level}": 2**level for level in range(2, 7)}
CHANNELS, SIZE, SIZES = 8, 64, [(64, 64), (57, 44)]  # of two images, padded to the first
SIDES = [SIZE // stride for stride in STRIDES.values()]
GRID = locations([(side, side) for side in SIDES], list(STRIDES.values()))
COUNT = len(GRID.points)
EVERY = 10**6  # more than there are of anything
ALL = {"pre_nms": EVERY, "proposals": EVERY, "proposal_nms": 1.0}
GUIDED, CASCADE = "GA RPN", "Cascade RPN"


def network(name, **test):
    """An untrained network whose predictions differ from place to place; `test`: of spec.Test."""
    torch.manual_seed(0)
    changes = {"first_stage": {"weight": 1.0}, "test": test}
    net = first_stage(Spec.named(name).changed(changes), STRIDES, CHANNELS)
    for each in net.parameters():
        nn.init.normal_(each, std=0.2)
    return net


def scene(images=2):
    """An ImageList and features of noise."""
    torch.manual_seed(1)
    maps = [torch.randn(images, CHANNELS, side, side) for side in SIDES]
    pictures = ImageList(torch.zeros(images, 3, SIZE, SIZE), SIZES[:images])
    return pictures, dict(zip(STRIDES, maps, strict=True))


def truths(*boxes):
    """The Instances of an image with these boxes, each of a class of its own."""
    boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    return Instances((SIZE, SIZE), gt_boxes=boxes, gt_classes=torch.arange(len(boxes)))


CROWDED = truths([2.1, 3, 41, 31.7], [4, 5, 37.3, 28], [30, 29, 60.2, 60.9], [8, 36, 30, 60.5])
TWO = [CROWDED, truths([20, 20, 55.3, 50.1])]


def run(net, *per_image):
    """Proposals and losses of the scene with these truths; without any, of two images in test."""
    with EventStorage():  # detectron2's RPN logs to one
        torch.manual_seed(2)
        return net(*scene(len(per_image) or 2), list(per_image) or None)


def random_steps(images=2):
    """Steps that a head might predict, whose tensors take gradients."""
    torch.manual_seed(3)
    shapes = [(images, COUNT), (images, COUNT, 4)] * 2
    return Steps(*(torch.randn(each).requires_grad_() for each in shapes))


def says(net, **fields):
    """The network, whose head says these fields of Steps from now on, whatever it sees."""
    net.rpn_head.register_forward_hook(lambda _, inputs, steps: steps._replace(**fields))
    return net


def by_level(rows):
    """Rows (N, A, C) as a map (N, C, H, W) of each level."""
    levels = [rows[:, GRID.level == k] for k in range(len(SIDES))]
    return [each.mT.unflatten(-1, (side, side)) for each, side in zip(levels, SIDES, strict=True)]


def squares(maps=None):
    """The squares of each level, as an anchor generator of detectron2 gives them."""
    return [Boxes(GRID.anchors[GRID.level == k]) for k in range(len(SIDES))]


squares.box_dim = 4
