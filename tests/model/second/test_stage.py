"""Laws of the second stage; detectron2's own heads with the same weights are the oracle."""

import pytest
import torch
from detectron2.modeling.roi_heads import CascadeROIHeads, StandardROIHeads
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage

from p2s.model.second.stage import second_stage
from p2s.spec import Spec

SIZE, CHANNELS = (128, 128), 8
STRIDES = {f"p{k}": 2**k for k in range(3, 8)}
EVERYTHING = {"score_threshold": 0.0, "nms": 1.0, "detections": 10_000}


def heads(name="CenterNet2", **test):
    """A tiny second stage whose weights are large enough to tell regions apart."""
    torch.manual_seed(0)
    tiny = {"num_classes": 3, "second_stage": {"channels": 16, "regions": 16}, "test": test}
    stage = second_stage(Spec.named(name).changed(tiny), STRIDES, CHANNELS)
    for predictor in stage.box_predictor:
        torch.nn.init.normal_(predictor.cls_score.weight, std=1)
        torch.nn.init.normal_(predictor.bbox_pred.weight, std=0.5)
    return stage.eval()


def maps(images=2):
    shape = (images, CHANNELS)
    return {name: torch.randn(*shape, 128 // s, 128 // s) for name, s in STRIDES.items()}


def regions(count, logit=None):
    corner = torch.rand(count, 2) * 90
    boxes = torch.cat([corner, corner + 4 + torch.rand(count, 2) * 60], 1).clamp(max=128)
    logits = torch.randn(count) if logit is None else torch.full((count,), float(logit))
    level = torch.randint(3, 8, (count,))
    return Instances(SIZE, proposal_boxes=Boxes(boxes), objectness_logits=logits, level=level)


def infer(stage, features, proposals):
    with torch.no_grad():
        return stage(None, features, proposals)[0]


def peer_parts(stage, test):
    """Constructor arguments of detectron2's heads that share this stage's modules."""
    last = stage.box_predictor[-1]
    last.test_score_thresh, last.test_nms_thresh = test.score_threshold, test.nms
    last.test_topk_per_image = test.detections
    return {
        "box_in_features": stage.box_in_features,
        "box_pooler": stage.box_pooler,
        "num_classes": 3,
        "batch_size_per_image": 16,
        "positive_fraction": 0.25,
    }


def assert_same_detections(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert len(one) == len(other) > 0
        torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=1e-6)
        torch.testing.assert_close(one.pred_boxes.tensor, other.pred_boxes.tensor)
        assert torch.equal(one.pred_classes, other.pred_classes)


def test_faster_by_class_is_the_standard_head_of_detectron2():
    stage = heads("FasterRCNN-RPN (P3-P7)", fusion="class")
    parts = peer_parts(stage, stage.test) | {"proposal_matcher": stage.proposal_matchers[0]}
    head, predictor = stage.box_head[0], stage.box_predictor[0]
    peer = StandardROIHeads(box_head=head, box_predictor=predictor, **parts).eval()
    features, proposals = maps(), [regions(30), regions(20)]
    assert_same_detections(infer(stage, features, proposals), infer(peer, features, proposals))


def test_cascade_by_class_is_the_cascade_of_detectron2():
    stage = heads(fusion="class")
    parts = peer_parts(stage, stage.test) | {"proposal_matchers": stage.proposal_matchers}
    trunks, predictors = list(stage.box_head), list(stage.box_predictor)
    peer = CascadeROIHeads(box_heads=trunks, box_predictors=predictors, **parts).eval()
    features, proposals = maps(), [regions(30), regions(20)]
    assert_same_detections(infer(stage, features, proposals), infer(peer, features, proposals))


def test_certain_objects_score_by_class_alone():
    stage, features, proposals = heads(fusion="product"), maps(1), [regions(30, logit=50)]
    product = infer(stage, features, proposals)
    stage.set_test(stage.test.model_copy(update={"fusion": "class"}))
    assert_same_detections(product, infer(stage, features, proposals))


@pytest.mark.parametrize(
    ("fusion", "score"),
    [
        ("class", lambda p_class, p_object: p_class),
        ("product", lambda p_class, p_object: p_class * p_object),
        ("released", lambda p_class, p_object: (p_class * p_object.sqrt()).sqrt()),
    ],
)
def test_scores_descend_and_follow_from_the_parts(fusion, score):
    found = infer(heads(fusion=fusion, score_threshold=0.0), maps(1), [regions(40)])[0]
    assert len(found) > 10
    torch.testing.assert_close(found.scores, score(found.p_class, found.p_object))
    assert (found.scores.diff() <= 0).all()


def test_a_detection_carries_its_proposals_likelihood_and_level():
    proposals = regions(25)
    proposals.level = torch.arange(25)  # a name for each proposal
    found = infer(heads(**EVERYTHING), maps(1), [proposals])[0]
    assert len(found) == 25 * 3
    torch.testing.assert_close(found.p_object, proposals.objectness_logits.sigmoid()[found.level])


def test_classify_rows_follow_their_proposals():
    stage, features, proposals = heads(), maps(1), regions(25)
    order = torch.randperm(25)
    with torch.no_grad():
        boxes, p_class = stage.classify(features, [proposals])
        permuted = stage.classify(features, [proposals[order]])
    torch.testing.assert_close(boxes[0][order], permuted[0][0], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(p_class[0][order], permuted[1][0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(p_class[0].sum(1), torch.ones(25))


def test_no_score_at_or_under_the_threshold_and_no_more_than_asked():
    found = infer(heads(score_threshold=0.1, detections=7), maps(1), [regions(60)])[0]
    assert len(found) == 7
    assert (found.scores > 0.1).all()


def test_boxes_stay_inside_the_image():
    found = infer(heads(**EVERYTHING), maps(1), [regions(60)])[0].pred_boxes.tensor
    assert (found >= 0).all()
    assert (found <= 128).all()


def test_an_image_without_proposals_has_no_detections_and_leaves_its_neighbour_alone():
    stage, features, some = heads(), maps(2), regions(20)
    nothing, found = infer(stage, features, [regions(0), some])
    alone = infer(stage, {name: each[1:] for name, each in features.items()}, [some])
    assert len(nothing) == 0
    assert set(nothing.get_fields()) == set(found.get_fields())
    assert_same_detections([found], alone)


def test_without_a_level_the_level_is_the_pooled_one():
    sides = torch.tensor([8.0, 300, 500, 1000, 4000])
    boxes = torch.cat([torch.zeros(5, 2), sides[:, None].repeat(1, 2)], 1)
    bare = Instances((4000, 4000), proposal_boxes=Boxes(boxes), objectness_logits=torch.zeros(5))
    found = infer(heads(**EVERYTHING), maps(1), [bare])[0]
    assert found.level.unique().tolist() == [3, 4, 5, 6, 7]


def test_p6_of_p2_to_p6_is_not_pooled():
    spec = Spec.named("FasterRCNN-RPN").changed({"second_stage": {"channels": 4}})
    stage = second_stage(spec, {f"p{k}": 2**k for k in range(2, 7)}, 4)
    assert stage.box_in_features == ["p2", "p3", "p4", "p5"]


def test_training_accepts_images_without_truths_or_proposals():
    stage, features = heads().train(), maps(3)
    truth = Instances(SIZE, gt_boxes=Boxes([[9.0, 9, 60, 60]]), gt_classes=torch.tensor([2]))
    empty = Instances(SIZE, gt_boxes=Boxes(torch.zeros(0, 4)), gt_classes=torch.zeros(0).long())
    images = ImageList(torch.zeros(3, 3, *SIZE), [SIZE] * 3)
    with EventStorage():
        proposals = [regions(20), regions(20), regions(0)]
        _, losses = stage(images, features, proposals, [truth, empty, empty])
    sum(losses.values()).backward()
    assert sorted(losses) == sorted(
        f"loss_{part}_stage{k}" for part in ("cls", "box_reg") for k in range(3)
    )
    assert all(p.grad.isfinite().all() for p in stage.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_a_non_finite_weight_is_named_with_its_stage_and_count(training):
    stage = heads().train(training)
    stage.box_predictor[1].bbox_pred.bias.data[2] = float("nan")
    truth = Instances(SIZE, gt_boxes=Boxes([[9.0, 9, 60, 60]]), gt_classes=torch.tensor([2]))
    with pytest.raises(FloatingPointError, match="stage 2.* of "), EventStorage():
        stage(None, maps(1), [regions(20)], [truth])


def test_a_non_finite_objectness_or_box_is_refused():
    stage, features = heads(), maps(1)
    with pytest.raises(FloatingPointError, match="fused scores: 5 of 5"):
        infer(stage, features, [regions(5, logit=float("nan"))])
    stage.box_predictor[2].bbox_pred.bias.data.fill_(3e38)
    with pytest.raises(FloatingPointError, match="boxes of a cascade stage"):
        infer(stage, features, [regions(5)])


def test_new_test_settings_move_no_weight():
    stage = heads()
    before = {name: value.clone() for name, value in stage.state_dict().items()}
    stage.set_test(Spec.named("CascadeRCNN-RPN").test)
    after = stage.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert stage.test.fusion == "class"
