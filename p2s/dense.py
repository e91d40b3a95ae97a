"""The one dense skeleton: head -> assign -> loss -> decode -> top-k -> NMS.

N images, L levels, A locations (all levels, concatenated), K classes, P positives, R regions.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from detectron2.structures import Boxes
from torch import Tensor, nn
from torchvision.ops import batched_nms

from p2s.assign import Targets, as_assigned, center_peaks
from p2s.geometry import decode_ltrb, locations
from p2s.losses import giou_loss, peak_focal
from p2s.norms import group_norm

GROUP_WIDTH = 8  # least channels of a group: 32 groups at the paper's 256 channels; C2
PRIOR = 0.01  # P(positive) of an untrained head; Lin et al. (2017b), Sec. 4.1
FIRST_SIDE = 8.0  # strides from a location to each side of an untrained box; C2


def tower(channels: int, layers: int) -> nn.Sequential:
    """3x3 convolutions of equal width, each with group normalisation and ReLU (Sec. 5; C2)."""
    modules = [
        module
        for _ in range(layers)
        for module in (_conv(channels, channels), group_norm(channels, GROUP_WIDTH), nn.ReLU())
    ]
    return nn.Sequential(*modules)


def shared_tower(channels: int, layers: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    """One tower for scores and boxes: enough for a class-agnostic first stage (Sec. 5)."""
    return tower(channels, layers), nn.Identity(), nn.Identity()


def separate_towers(channels: int, layers: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    """A tower for scores and one for boxes, as a K-class one-stage detector has (Sec. 5)."""
    return nn.Identity(), tower(channels, layers), tower(channels, layers)


class DenseHead(nn.Module):
    """Scores and distances to the four sides at every location; one set of weights for all levels.

    `towers` are what comes before both outputs, before the scores alone, before the boxes alone.
    """

    def __init__(self, towers, channels: int, num_classes: int, num_levels: int):
        super().__init__()
        self.shared_tower, self.score_tower, self.box_tower = towers
        self.score = _conv(channels, num_classes, bias=-math.log((1 - PRIOR) / PRIOR))
        self.ltrb = _conv(channels, 4, bias=FIRST_SIDE)
        self.scales = nn.Parameter(torch.ones(num_levels))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits (N, A, K) and non-negative distances in strides (N, A, 4), in float32."""
        logits, sides = [], []
        for features, scale in zip(maps, self.scales, strict=True):
            features = self.shared_tower(features)
            logits.append(_rows(self.score(self.score_tower(features))))
            sides.append(_rows(scale * self.ltrb(self.box_tower(features))).relu())
        return torch.cat(logits, 1), torch.cat(sides, 1)


@dataclass(frozen=True)
class Objective:
    """How predictions and truths become losses; each function can be replaced by its like."""

    assign: Callable = center_peaks  # grid and truths of an image -> Targets
    refine: Callable = as_assigned  # Targets, predicted boxes -> Targets
    score_loss: Callable = peak_focal  # logit, heat, peaks -> (N, A, K)
    box_loss: Callable = giou_loss  # boxes, boxes -> (P,)
    weight: float = 1.0  # of all losses
    box_weight: float = 2.0  # C2: of the box loss, beside 1 for scores

    def __call__(self, grid, logit: Tensor, ltrb: Tensor, truths: list) -> dict[str, Tensor]:
        """Losses of N images: of scores per positive, of boxes per unit of weight."""
        targets = Targets.stack(
            [
                self.assign(*grid, each.gt_boxes.tensor, each.gt_classes, logit.shape[-1])
                for each in truths
            ]
        )
        boxes = decode_ltrb(grid.points, ltrb * grid.stride[:, None])  # (N, A, 4)
        targets = self.refine(targets, boxes.detach())
        score_loss = self.score_loss(logit, targets.heat, targets.peaks)
        image, location = targets.weight.nonzero(as_tuple=True)  # (P,)
        unit = grid.stride[location, None]  # in strides, levels weigh alike in any box loss
        box_loss = self.box_loss(
            boxes[image, location] / unit, targets.boxes[image, location] / unit
        )
        weight = targets.weight[image, location]
        box_loss = self.box_weight * (weight * box_loss).sum() / weight.sum().clamp(min=1)
        positive = targets.peaks > 0
        score_loss = score_loss / targets.peaks.sum().clamp(min=1)
        return {
            "loss_dense_positive": self.weight * score_loss[positive].sum(),
            "loss_dense_negative": self.weight * score_loss[~positive].sum(),
            "loss_dense_box": self.weight * box_loss,
        }


@dataclass(frozen=True)
class Selection:
    """Which predictions leave: likely enough, the best of a level, after NMS, at most so many."""

    floor: float  # probability that must be exceeded
    pre_nms: int  # candidates a level
    nms: float  # IoU above which the less likely box of a class goes
    keep: int  # boxes an image
    clip: bool = True  # cut boxes at the image's border; C2 leaves its proposals uncut in test


@dataclass(frozen=True)
class Candidates:
    """Boxes of an image, or of N with a leading dimension, with their logits, classes, levels."""

    boxes: Tensor  # (R, 4)
    logit: Tensor  # (R,)
    classes: Tensor  # (R,)
    level: Tensor  # (R,): log2 of the stride: 3 for P3

    def __getitem__(self, rows):
        fields = (self.boxes, self.logit, self.classes, self.level)
        return Candidates(*(field[rows] for field in fields))


class DenseProposer(nn.Module):
    """A head, its objective and its selection on the contract of detectron2's RPN.

    Subclasses say what leaves: `instances(image_size, candidates) -> Instances`.
    `train_selection` None: nothing leaves in training but losses.
    """

    def __init__(
        self,
        head: nn.Module,
        strides: dict[str, int],
        objective: Objective,
        train_selection: Selection | None,
        test_selection: Selection,
    ):
        super().__init__()
        self.head, self.objective = head, objective
        self.train_selection, self.test_selection = train_selection, test_selection
        self.in_features = list(strides)
        self.register_buffer(
            "strides", torch.tensor(list(strides.values()), dtype=torch.float32), False
        )

    def forward(self, images, features: dict[str, Tensor], gt_instances=None):
        """A list of N Instances, without gradient, and the losses: none outside of training.

        FloatingPointError, naming level and image, if a candidate is not finite.
        """
        maps = [features[name] for name in self.in_features]
        grid = locations([each.shape[-2:] for each in maps], self.strides)
        logit, ltrb = self.head(maps)
        losses = self.objective(grid, logit, ltrb, gt_instances) if self.training else {}
        selection = self.train_selection if self.training else self.test_selection
        if selection is None:
            return [], losses
        with torch.no_grad():
            candidates = top_candidates(grid, logit, ltrb, selection.pre_nms)
            chosen = [
                self.instances(size, suppress(candidates[n], size, selection))
                for n, size in enumerate(images.image_sizes)
            ]
        return chosen, losses


def top_candidates(grid, logit: Tensor, ltrb: Tensor, count: int) -> Candidates:
    """The `count` likeliest of each level and image, decoded: N images in a leading dimension."""
    borders = [0, *grid.level.bincount(minlength=len(grid.strides)).cumsum(0).tolist()]
    best = [_top(logit[:, a:b], count, first=a) for a, b in pairwise(borders)]
    logit, location, classes = (torch.cat(each, 1) for each in zip(*best, strict=True))  # (N, R)
    stride = grid.stride[location]
    ltrb = ltrb.gather(1, location[..., None].expand(-1, -1, 4)) * stride[..., None]
    boxes = decode_ltrb(grid.points[location], ltrb)  # (N, R, 4)
    candidates = Candidates(boxes, logit, classes, stride.log2().long())
    _refuse_nonfinite(candidates)
    return candidates


def suppress(candidates: Candidates, image_size, selection: Selection) -> Candidates:
    """Candidates of an image above the floor, after NMS by class, the likeliest first."""
    boxes = Boxes(candidates.boxes)
    if selection.clip:
        boxes.clip(image_size)
    possible = (candidates.logit > to_logit(selection.floor)) & boxes.nonempty()
    candidates = replace(candidates, boxes=boxes.tensor)[possible]
    places = (candidates.boxes, candidates.logit, candidates.classes)
    return candidates[first_kept(*places, selection.nms, selection.keep)]


def first_kept(boxes: Tensor, scores: Tensor, classes: Tensor, iou: float, count: int) -> Tensor:
    """The first `count` rows that NMS by class keeps of R, the likeliest first.

    What NMS keeps depends on likelier boxes alone, so only as many as are needed are looked at:
    NMS takes time with their square.
    """
    order, looked = scores.argsort(descending=True, stable=True), 0
    kept = order[:0]
    while len(kept) < count and looked < len(order):
        looked = min(len(order), max(2 * count, 4 * looked))
        first = order[:looked]
        kept = first[batched_nms(boxes[first], scores[first], classes[first], iou)]
    return kept[:count]


def to_logit(probability: float) -> float:
    """log p / (1 - p) in double precision; infinite at 0 and 1."""
    return torch.tensor(probability, dtype=torch.float64).logit().item()


def _conv(channels, outputs, bias=0.0):
    conv = nn.Conv2d(channels, outputs, 3, padding=1)
    nn.init.normal_(conv.weight, std=0.01)
    nn.init.constant_(conv.bias, bias)
    return conv


def _rows(maps):
    return maps.permute(0, 2, 3, 1).flatten(1, 2).float()  # (N, HW, C); free in channels_last


def _top(logit, count, first):
    flat = logit.flatten(1)  # (N, A K)
    best, index = flat.topk(min(count, flat.shape[1]), 1)
    return best, first + index // logit.shape[-1], index % logit.shape[-1]


def _refuse_nonfinite(candidates):
    bad = ~(candidates.logit.isfinite() & candidates.boxes.isfinite().all(-1))  # (N, R)
    if bad.any():
        image, row = bad.nonzero()[0].tolist()
        level = candidates.level[image, row].item()
        raise FloatingPointError(f"non-finite score or box at level p{level}, image {image}")
