"""Training by the likelihood: a loop over locations is the oracle, laws hold between objectives."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from detectron2.structures import Boxes
from detectron2.utils.events import EventStorage
from pydantic import TypeAdapter
from torch.autograd import gradcheck

from p2s.maths.likelihood import BACKGROUND, class_log_probs
from p2s.maths.losses import peak_focal
from p2s.model.joint import AUDITED, BORDERS, Labels, Likelihood
from p2s.model.zoo import build
from p2s.spec import Spec
from p2s.train.curve import add
from p2s.train.kept import Curve
from tests.support.tiny import TINY, scene

OBJECTIVES = [name for name in BACKGROUND if name != "exact@K"]
A, K = 9, 3


def labels(seed=0, spread=2.0):
    """Nine locations: two positives, one of two objects, one ignored, one near an object."""
    drawn = torch.Generator().manual_seed(seed)
    logit = spread * torch.randn(A, generator=drawn, dtype=torch.float64)
    peaks = torch.zeros(A, K, dtype=torch.float64)
    peaks[1, 0], peaks[4, 1], peaks[4, 2] = 1, 1, 1
    heat = peaks.amax(1).index_fill(0, torch.tensor([6]), 1.0)
    heat[7] = 0.6
    likeliest = logit >= logit.topk(5)[0][-1]
    return Labels(logit, peaks, heat, likeliest, torch.ones(A, dtype=torch.bool))


def likelihood(name, focal=False):
    return Likelihood(name, near=0.6, likeliest=5, focal=focal)


def classes(seed=1, spread=2.0, rows=A):
    drawn = torch.Generator().manual_seed(seed)
    return spread * torch.randn(rows, K + 1, generator=drawn, dtype=torch.float64)


def losses(objective, labels, class_logit):
    with EventStorage() as storage:
        found = objective(labels, class_log_probs(class_logit))
    return found | {name: value for name, (value, _) in storage.latest().items()}


def by_hand(name, o, bg):
    """What background is worth by plain probabilities."""
    b1, b2 = math.log(1 - o), o * math.log(bg)
    exact = math.log(o * bg + 1 - o)
    return {"exact": exact, "B1": b1, "B2": b2, "max": max(b1, b2), "both": b1 + b2}[name]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_dense_loss_equals_a_loop_over_locations(name):
    given, class_logit = labels(), classes()
    positive = background = 0.0
    for a in range(A):
        o, p = given.logit[a].sigmoid().item(), class_logit[a].softmax(0).tolist()
        for k in range(K):
            positive += given.peaks[a, k].item() * math.log(o * p[k])
        if not given.peaks[a].any() and a != 6:
            background += by_hand(name, o, p[K])
    found = losses(likelihood(name), given, class_logit)
    assert found["loss_likelihood_positive"].item() == pytest.approx(-positive / 3)
    assert found["loss_likelihood_background"].item() == pytest.approx(-background / 3)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("focal", [False, True])
def test_gradients_equal_finite_differences(name, focal):
    given, objective = labels(), likelihood(name, focal)

    def total(logit, class_logit):
        found = losses(objective, replace(given, logit=logit), class_logit)
        return found["loss_likelihood_positive"] + found["loss_likelihood_background"]

    assert gradcheck(total, (given.logit.requires_grad_(), classes().requires_grad_()))


@pytest.mark.parametrize("seed", range(5))
def test_bounds_cost_more_than_the_exact_value_and_the_larger_at_most_log_2_more(seed):
    found = losses(likelihood("both"), labels(seed, 4.0), classes(seed + 9, 4.0))
    cost = {name: found[f"audit/{name}"] for name in AUDITED}
    assert cost["exact"] <= cost["max"] <= min(cost["B1"], cost["B2"])
    assert cost["exact"] <= cost["exact@K"] <= cost["B1"]
    assert cost["max"] - cost["exact"] <= found["audit/worst gap"] < math.log(2)
    count = int(labels(seed).background.sum())
    both = found["loss_likelihood_background"].item() * 3 / count
    assert both == pytest.approx(cost["B1"] + cost["B2"])


def test_the_audit_counts_where_the_first_bound_is_the_larger_one():
    given, class_logit = labels(3, 4.0), classes(12, 4.0)
    o, p = given.logit.sigmoid(), class_logit.softmax(1)[:, K]
    larger = ((1 - o).log() > o * p.log())[given.background]
    o = o[given.background]
    found = losses(likelihood("exact"), given, class_logit)
    shares = [
        found[f"audit/B1 active, P(O) {low:g} to {high:g}"] for low, high in pairwise(BORDERS)
    ]
    for share, low, high in zip(shares, BORDERS, BORDERS[1:], strict=False):
        mine = larger[(o > low) & (o <= high)].tolist()
        assert share == pytest.approx(sum(mine) / len(mine)) if mine else math.isnan(share)


def test_all_that_is_audited_is_read_back_from_the_state_of_a_training():
    curve = {}
    add(curve, 0, losses(likelihood("exact"), labels(), classes()))
    assert len(curve) > 10 and TypeAdapter(Curve).validate_python(curve).keys() == curve.keys()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_huge_logits_have_finite_losses_and_gradients(name):
    given, class_logit = labels(), classes()
    given = replace(given, logit=(given.logit.sign() * 1e4).requires_grad_())
    class_logit = (class_logit.sign() * 1e4).requires_grad_()
    found = losses(likelihood(name), given, class_logit)
    total = found["loss_likelihood_positive"] + found["loss_likelihood_background"]
    total.backward()
    assert total.isfinite() and given.logit.grad.isfinite().all()
    assert class_logit.grad.isfinite().all()


def test_what_is_not_among_the_likeliest_has_the_bound_of_the_first_stage():
    given = labels()
    seen = given.likeliest | (given.peaks.sum(1) > 0)
    class_logit = classes()
    o, p = given.logit.sigmoid().tolist(), class_logit.softmax(1)[:, K].tolist()
    mine = {a: given.likeliest[a].item() for a in (0, 2, 3, 5, 7, 8)}
    assert set(mine.values()) == {True, False}
    expected = -sum(by_hand("exact" if kept else "B1", o[a], p[a]) for a, kept in mine.items())
    found = losses(likelihood("exact@K"), replace(given, seen=seen), class_logit[seen])
    assert found["loss_likelihood_background"].item() == pytest.approx(expected / 3)
    assert not any(name.startswith("audit") for name in found)  # the exact value is not known
    audited = losses(likelihood("B1"), given, class_logit)["audit/exact@K"]
    assert audited == pytest.approx(expected / len(mine))


def test_with_focal_weights_the_first_bound_is_the_focal_loss_of_the_first_stage():
    given = labels()
    certain = torch.full((A, K + 1), -40.0, dtype=torch.float64)  # log P(C|O) is 0 for the label
    certain[:, :-1] = torch.where(given.peaks > 0, 0.0, certain[:, :-1])
    with EventStorage():
        found = likelihood("B1", focal=True)(given, certain.clamp(max=0))
    count = given.peaks.sum(1)
    first = peak_focal(given.logit, given.heat, count)
    named = (given.peaks * certain[:, :-1]).sum()
    assert named == 0
    assert found["loss_likelihood_positive"] * 3 == pytest.approx(first[count > 0].sum().item())
    assert found["loss_likelihood_background"] * 3 == pytest.approx(first[count == 0].sum().item())


def tiny(objective, **changes):
    torch.manual_seed(0)
    spec = Spec.named("FasterRCNN-CenterNet").changed(TINY)
    return build(spec.changed({"second_stage": {"objective": objective}, **changes}))


@pytest.mark.parametrize("objective", ["exact", "exact@K", "B1", "B2", "max", "both"])
def test_every_objective_trains_also_without_truths(objective):
    model = tiny(objective)
    for batch in ([scene(0), scene(1)], [scene(2, boxes=())]):
        model.zero_grad()
        found = model(batch)
        sum(found.values()).backward()
        assert all(loss.isfinite() for loss in found.values()), found
        grads = [one.grad for one in model.parameters() if one.grad is not None]
        assert all(grad.isfinite().all() for grad in grads)


def test_an_objective_changes_no_detection_of_the_same_weights():
    found = [tiny(name).eval()([scene(0)])[0]["instances"] for name in ("sampled", "exact")]
    assert torch.equal(found[0].pred_boxes.tensor, found[1].pred_boxes.tensor)
    assert torch.equal(found[0].scores, found[1].scores) and len(found[0])


def labelled(model, batch):
    images = model.preprocess_image(batch)
    truths = [one["instances"] for one in batch]
    features = model.backbone(images.tensor)
    return features, *model.proposal_generator(images, features, truths)


def test_every_location_is_a_proposal_with_the_class_of_its_object():
    model, batch = tiny("exact"), [scene(0), scene(1, boxes=())]
    _, proposals, found = labelled(model, batch)
    assert [len(each) for each in proposals] == [2 * (12**2 + 6**2 + 3**2 + 2**2 + 1) // 2] * 2
    peaks = proposals[0].peaks
    assert peaks.shape[1] == 3 and peaks.sum() >= 2 and not proposals[1].peaks.any()
    for k, truth in enumerate(batch[0]["instances"].gt_boxes.tensor):
        assert (proposals[0].target_boxes[peaks[:, k] > 0] == truth).all()
    assert set(found) == {"loss_dense_box"}


def test_the_second_stage_moves_weights_and_features_and_no_box():
    model, batch = tiny("exact"), [scene(0)]
    features, proposals, _ = labelled(model, batch)
    assert not proposals[0].proposal_boxes.tensor.requires_grad
    with EventStorage():
        _, found = model.roi_heads(None, features, proposals, None)
    sum(found.values()).backward()
    head = model.proposal_generator.head
    grads = {name: one.grad for name, one in head.named_parameters()}
    assert any(grad is not None and grad.any() for grad in grads.values())
    assert model.backbone.bottom_up.res4[0].conv1.weight.grad.any()
    boxes = [grad for name, grad in grads.items() if name.startswith(("ltrb", "scales"))]
    assert boxes and all(grad is None or not grad.any() for grad in boxes)


def test_the_likeliest_of_each_image_and_all_positives_are_seen():
    model = tiny("exact@K", first_stage={"weighting": "none"})
    _, proposals, _ = labelled(model, [scene(0), scene(1)])
    found = model.roi_heads.objective.labels(proposals)
    for n, each in enumerate(proposals):
        mine = slice(n * len(each), (n + 1) * len(each))
        kept, positive = found.likeliest[mine], each.peaks.sum(1) > 0
        assert kept.sum() == 16 and torch.equal(found.seen[mine], kept | positive)
        lowest = each.objectness_logits[kept].min()
        assert lowest >= each.objectness_logits[~kept].max()


def test_the_second_stage_at_every_location_equals_a_loop_over_them():
    model, batch = tiny("exact"), [scene(0)]
    features, [proposals], _ = labelled(model, batch)
    maps = [features[name] for name in model.roi_heads.box_in_features]
    together, _ = model.roi_heads._run_stage(maps, [proposals], 0)
    for row in (0, 57, len(proposals) - 1):
        alone, _ = model.roi_heads._run_stage(maps, [proposals[row : row + 1]], 0)
        torch.testing.assert_close(together[row], alone[0], atol=1e-5, rtol=1e-5)


def test_boxes_are_regressed_from_positives_near_their_object_alone():
    model = tiny("exact")
    _, [proposals], _ = labelled(model, [scene(0)])
    heads, deltas = model.roi_heads, torch.zeros(len(proposals), 4)
    assert heads._box_loss([proposals], deltas) == 0  # an untrained box is near no object
    positive = proposals.peaks.sum(1) > 0
    near = proposals.target_boxes + torch.tensor([1.0, 0, 0, 0])
    boxes = torch.where(positive[:, None], near, proposals.proposal_boxes.tensor)
    proposals.proposal_boxes = Boxes(boxes)
    width = (boxes[:, 2] - boxes[:, 0])[positive]
    moved = 10 * 0.5 / width, 5 * (1 + 1 / width).log()  # weights 10 of a centre, 5 of a side
    expected = 0.25 * (moved[0] + moved[1]).mean()  # L1, as detectron2's beta is 0
    torch.testing.assert_close(heads._box_loss([proposals], deltas), expected)
