"""Every named design learns what its publication says: losses against plain numbers.

The scene is a row of four cells of 8 pixels with two truths; RetinaNet's is one cell, its nine
anchors and one truth. One-stage detectors tell two classes apart, first stages see one.
"""

import math
from typing import NamedTuple

import pytest
import torch
from detectron2.structures import Boxes, Instances

from p2s.model.first.heads import Predictions
from p2s.model.zoo import first_stage, two_stages
from p2s.spec import Spec

POINTS = (4, 4), (12, 4), (20, 4), (28, 4)
SMALL, LARGE = (0, -2, 16, 14), (-4, -28, 60, 36)  # the truths, of classes 0 and 1
WIDE = (-24, -12, 24, 12)  # RetinaNet's, of class 1
# Predicted of each cell: P(C), distances to left, top, right, bottom in strides, centerness, and
# the logit of each length of a side. A first stage has the first P(C) alone, so that GFL's weights
# add up to less than 1.
P_CLASS = [(0.3, 0.1), (0.6, 0.2), (0.05, 0.4), (0.02, 0.7)]
SIDES = [(0.4, 0.7, 1.5, 0.95), (1.2, 0.5, 0.9, 1), (2.5, 3.8, 4.6, 3.5), (3.5, 4.5, 4, 3)]
P_CENTRAL = [0.2, 0.9, 0.4, 0.8]
LENGTHS = [[[-abs(b - k - a) / 2 for b in range(17)] for k in range(4)] for a in range(4)]
# Predicted of each anchor.
P_ANCHOR = [((a + 1) / 11, (10 - a) / 13) for a in range(9)]
DELTAS = [(0.02 * a, 0.1 - 0.03 * a, 0.05 * a, -0.1) for a in range(9)]


class Weighting(NamedTuple):
    """Of scores: alpha of positives and of all others, gamma, and the power of 1 - heat."""

    positive: float
    negative: float
    gamma: float
    beta: float


WEIGHTINGS = {"focal": Weighting(0.25, 0.75, 2, 4), "none": Weighting(1, 1, 0, 0)}


def distances(a, box):
    """From a cell's point to left, top, right, bottom."""
    x, y = POINTS[a]
    return x - box[0], y - box[1], box[2] - x, box[3] - y


def predicted(a):
    """The box of a cell."""
    x, y = POINTS[a]
    left, top, right, bottom = (8 * side for side in SIDES[a])
    return x - left, y - top, x + right, y + bottom


def area(box):
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def overlap(box, other):
    """IoU, and the generalised IoU (Rezatofighi et al., 2019, Alg. 1)."""
    pairs = list(zip(box, other, strict=True))
    common = area([*map(max, pairs[:2]), *map(min, pairs[2:])])
    hull = area([*map(min, pairs[:2]), *map(max, pairs[2:])])
    union = area(box) + area(other) - common
    return common / union, common / union - (hull - union) / hull


def entropy(wanted, p):
    """Cross entropy of a probability with the wanted one."""
    return -wanted * math.log(p) - (1 - wanted) * math.log(1 - p)


def focal(p, positive, weighting, share=lambda a, c: 1):
    """Of positive elements and of all others, per positive (Lin et al., 2017b, Eq. 5)."""
    hit = miss = 0
    for a, row in enumerate(p):
        for c, value in enumerate(row):
            if (a, c) in positive:
                hit += weighting.positive * (1 - value) ** weighting.gamma * entropy(1, value)
            else:
                cost = share(a, c) * value**weighting.gamma * entropy(0, value)
                miss += weighting.negative * cost
    return {"positive": hit / len(positive), "negative": miss / len(positive)}


def mean(costs, weights):
    """The mean by weight; weights of less than 1 in all count as 1."""
    total = sum(w * cost for w, cost in zip(weights, costs, strict=True))
    return total / max(sum(weights), 1)


def box_loss(truth_of, weights):
    """Mean gIoU loss of the cells that regress a truth."""
    return mean([1 - overlap(predicted(a), box)[1] for a, box in truth_of.items()], weights)


def central(a, box):
    """Centerness (Tian et al., 2019, Eq. 3)."""
    left, top, right, bottom = distances(a, box)
    shares = [min(pair) / max(pair) for pair in ((left, right), (top, bottom))]
    return math.sqrt(shares[0] * shares[1])


def centernet(p, small, large, weighting):
    """CenterNet*: a box is learnt in the cells around a centre; the third's is good already."""
    radius = {SMALL: 16, LARGE: 2 / 81 * 64**2}  # squared; of SMALL at least 4 pixels
    centre = {SMALL: (8, 6), LARGE: (28, 4)}

    def share(a, c):
        boxes = [box for box, each in ((SMALL, small), (LARGE, large)) if each == c]
        away = [math.dist(POINTS[a], centre[box]) ** 2 / radius[box] for box in boxes]
        return (1 - math.exp(-min(away))) ** weighting.beta

    truth_of = {0: SMALL, 1: SMALL, 2: LARGE, 3: LARGE}
    good = [a for a, box in truth_of.items() if 1 - overlap(predicted(a), box)[1] < 0.2]
    assert good == [2]
    scores = focal(p, {(1, small), (2, large), (3, large)}, weighting, share)
    return scores | {"box": 2 * box_loss(truth_of, [1] * 4)}


OF_ATSS = {0: SMALL, 1: SMALL, 3: LARGE}  # all anchors hold SMALL; LARGE is the last one


def atss(p, small, large, weighting):
    """ATSS: boxes are weighed by centerness, which is learnt too (Zhang et al., 2020b)."""
    weights = [central(*each) for each in OF_ATSS.items()]
    extra = mean([entropy(central(a, box), P_CENTRAL[a]) for a, box in OF_ATSS.items()], [1] * 3)
    scores = focal(p, {(0, small), (1, small), (3, large)}, weighting)
    return scores | {"box": 2 * box_loss(OF_ATSS, weights), "extra": extra}


def fcos(p, small, large, weighting):
    """FCOS: cells within 1.5 strides of a centre; all losses weigh alike (d2)."""
    truth_of = {0: SMALL, 1: SMALL, 2: LARGE, 3: LARGE}
    extra = mean([entropy(central(a, box), P_CENTRAL[a]) for a, box in truth_of.items()], [1] * 4)
    scores = focal(p, {(0, small), (1, small), (2, large), (3, large)}, weighting)
    return scores | {"box": box_loss(truth_of, [1] * 4), "extra": extra}


def gfl_distances(p, small, large, weighting):
    """GFL: a positive predicts its box's IoU, likely boxes weigh more (Li et al., 2020b, Eq. 4)."""
    quality = {
        (a, {SMALL: small, LARGE: large}[box]): overlap(predicted(a), box)[0]
        for a, box in OF_ATSS.items()
    }
    loss = {True: 0, False: 0}
    for a, row in enumerate(p):
        for c, value in enumerate(row):
            wanted = quality.get((a, c), 0)
            cost = abs(wanted - value) ** weighting.gamma * entropy(wanted, value)
            loss[(a, c) in quality] += cost / 3
    box = 2 * box_loss(OF_ATSS, [max(p[a]) for a in OF_ATSS])
    return {"positive": loss[True], "negative": loss[False], "box": box}


def of_length(logits, length):
    """Cross entropy of a distribution over lengths with the two that enclose one (Eq. 6)."""
    total = math.log(sum(map(math.exp, logits)))
    low, share = divmod(length, 1)
    below, above = logits[int(low) : int(low) + 2]
    return total - (1 - share) * below - share * above


def gfl(p, small, large, weighting):
    """GFL, whose sides are distributions over lengths in strides (Eq. 8: a quarter of them)."""
    costs = [
        sum(of_length(LENGTHS[a][k], side / 8) for k, side in enumerate(distances(a, box))) / 4
        for a, box in OF_ATSS.items()
    ]
    extra = 0.25 * mean(costs, [max(p[a]) for a in OF_ATSS])
    return gfl_distances(p, small, large, weighting) | {"extra": extra}


def retinanet(p, _, large, weighting):
    """RetinaNet: nine anchors a cell, IoU from .5 and below .4, smooth L1 from .1 (d2)."""
    positive, ignored, cost = set(), set(), 0
    for a, (scale, ratio) in enumerate((s, r) for s in range(3) for r in (0.5, 1, 2)):
        side = 32 * 2 ** (scale / 3)
        width, height = side / math.sqrt(ratio), side * math.sqrt(ratio)
        iou = overlap((-width / 2, -height / 2, width / 2, height / 2), WIDE)[0]
        if iou >= 0.5:
            positive.add((a, large))
            wanted = (0, 0, math.log(48 / width), math.log(24 / height))
            gaps = [abs(d - each) for d, each in zip(DELTAS[a], wanted, strict=True)]
            cost += sum(5 * gap**2 if gap < 0.1 else gap - 0.05 for gap in gaps)
        elif iou >= 0.4:
            ignored.add(a)
    assert (len(positive), len(ignored)) == (4, 2)
    scores = focal(p, positive, weighting, lambda a, c: a not in ignored)
    return scores | {"box": cost / 4}


CLOSED_FORMS = {  # with the number of classes and the weight of all losses
    "RetinaNet": (retinanet, 2, 1),
    "FasterRCNN-RetinaNet": (retinanet, 1, 0.5),
    "CascadeRCNN-RetinaNet": (retinanet, 1, 0.5),
    "GFL": (gfl, 2, 1),
    "FasterRCNN-GFL": (gfl_distances, 1, 0.5),
    "CascadeRCNN-GFL": (gfl_distances, 1, 0.5),
    "ATSS": (atss, 2, 1),
    "FasterRCNN-ATSS": (atss, 1, 0.5),
    "CascadeRCNN-ATSS": (atss, 1, 0.5),
    "CenterNet*": (centernet, 2, 1),
    "FasterRCNN-CenterNet": (centernet, 1, 0.5),
    "CascadeRCNN-CenterNet": (centernet, 1, 0.5),
    "CenterNet2": (centernet, 1, 0.5),
    "FCOS-RT": (fcos, 2, 1),
}
designs = pytest.mark.parametrize("name", CLOSED_FORMS)


def built(name, **changes):
    """The dense part of a named design, narrow, on one level."""
    spec = Spec.named(name).changed({"num_classes": 2, "first_stage": {"layers": 1, **changes}})
    return first_stage(spec, {"p3": 8}, 8)


def scene(stage, form, classes):
    """The stage's own grid, what is predicted there, and the truths of an image."""
    anchored = form is retinanet
    grid, made = stage.predict({"p3": torch.zeros(1, 8, 1, 1 if anchored else 4)})
    p = [row[:classes] for row in (P_ANCHOR if anchored else P_CLASS)]
    extra = None
    if made.extra is not None:
        central = torch.tensor(P_CENTRAL).logit()[None, :, None]
        extra = central if made.extra.shape[-1] == 1 else torch.tensor(LENGTHS).flatten(1)[None]
    box = torch.tensor([DELTAS if anchored else SIDES])
    boxes, kinds = ([WIDE], [1]) if anchored else ([SMALL, LARGE], [0, 1])
    truths = Instances((8, 32), gt_boxes=Boxes(boxes), gt_classes=torch.tensor(kinds))
    return grid, Predictions(torch.tensor([p]).logit(), box, extra), truths, p


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@designs
def test_the_objective_of_a_design_equals_its_closed_form(name, weighting):
    form, classes, weight = CLOSED_FORMS[name]
    stage = built(name, weighting=weighting)
    grid, predictions, truths, p = scene(stage, form, classes)
    found = {key: loss.item() for key, loss in stage.objective(grid, predictions, [truths]).items()}
    expected = form(p, 0, classes - 1, WEIGHTINGS[weighting])
    expected = {f"loss_dense_{key}": weight * loss for key, loss in expected.items()}
    assert found == pytest.approx(expected, rel=1e-5)


@designs
def test_proposals_are_ranked_by_score_or_by_its_product_with_centerness(name):
    form, classes, _ = CLOSED_FORMS[name]
    stage = built(name)
    _, predictions, _, p = scene(stage, form, classes)
    factors = P_CENTRAL if form in (atss, fcos) else [1] * len(p)
    expected = [[value * q for value in row] for row, q in zip(p, factors, strict=True)]
    torch.testing.assert_close(stage.score(predictions).sigmoid(), torch.tensor([expected]))


@pytest.mark.parametrize(
    ("name", "iou"),
    [
        ("FasterRCNN-RPN", [0.5]),
        ("CascadeRCNN-RPN", [0.5, 0.6, 0.7]),
        ("FasterRCNN-CenterNet", [0.6]),
        ("CenterNet2", [0.6, 0.7, 0.8]),
        ("GA RPN", [0.6]),
        ("Cascade RPN", [0.65]),
    ],
)
def test_a_second_stage_has_a_head_for_each_iou_of_its_publication(name, iou):
    spec = Spec.named(name).changed({"second_stage": {"channels": 8}})
    low, high = spec.levels
    _, heads = two_stages(spec, {f"p{k}": 2**k for k in range(low, high + 1)}, 8)
    assert [each.thresholds[1] for each in heads.proposal_matchers] == iou
    assert len(heads.box_head) == len(heads.box_predictor) == len(iou)
