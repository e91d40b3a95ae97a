from itertools import product

import pytest
import torch
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage

from p2s.maths.geometry import pairwise_iou
from p2s.model.first.assign import as_assigned, near_center_positives
from p2s.model.first.cascade_rpn import CascadeRPN
from p2s.model.first.guided_anchoring import GuidedAnchoring
from p2s.model.first.rpn import FlooredRPN
from p2s.model.zoo import first_stage
from p2s.spec import Spec

STRIDES = {f"p{level}": 2**level for level in range(3, 8)}
CHANNELS, SIZE = 8, 64
RPN, CENTERNET, DETECTOR = "CascadeRCNN-RPN (P3-P7)", "CenterNet2", "CenterNet*"
DENSE = [CENTERNET, "CascadeRCNN-RetinaNet", "CascadeRCNN-ATSS", "CascadeRCNN-GFL"]
ADAPTIVE = ["GA RPN", "Cascade RPN"]
PROPOSERS = [*DENSE, RPN, *ADAPTIVE]
DETECTORS = [DETECTOR, "RetinaNet", "ATSS", "GFL", "FCOS-RT"]
proposers = pytest.mark.parametrize("name", PROPOSERS)
everything = pytest.mark.parametrize("name", PROPOSERS + DETECTORS)


def spec_of(name):
    return Spec.named(name).changed({"num_classes": 3})


def build(name, **changes):
    torch.manual_seed(0)
    stage = first_stage(spec_of(name).changed({"first_stage": changes}), STRIDES, CHANNELS)
    if hasattr(stage, "head") and stage.head.scales is not None:
        # boxes smaller than the image, so that clipping leaves them apart
        torch.nn.init.constant_(stage.head.ltrb.bias, 0.8)
    if name == "GA RPN":  # untrained, about half of its locations have no anchor in test
        torch.nn.init.zeros_(stage.rpn_head.location.bias)
    return stage


def scene(images=2):
    torch.manual_seed(1)
    features = {
        name: torch.randn(images, CHANNELS, -(-SIZE // stride), -(-SIZE // stride))
        for name, stride in STRIDES.items()
    }
    sizes = [(SIZE, SIZE), (SIZE - 7, SIZE - 20)][:images]
    return ImageList(torch.zeros(images, 3, SIZE, SIZE), sizes), features


def truths(*boxes):
    classes = torch.arange(len(boxes)) % 3
    boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    return Instances((SIZE, SIZE), gt_boxes=boxes, gt_classes=classes)


def run(stage, *per_image):
    with EventStorage():  # detectron2's RPN logs to one
        torch.manual_seed(2)
        return stage(*scene(len(per_image) or 2), list(per_image) or None)


CROWDED = truths([2, 3, 40, 30], [4, 5, 38, 28], [30, 30, 60, 60])


@everything
@pytest.mark.parametrize("truth", [truths(), truths([5, 5, 6, 6]), truths([-99, -99, 300, 300])])
def test_any_truth_trains_with_finite_losses_and_gradients(name, truth):
    stage = build(name)
    _, losses = run(stage, truth, CROWDED)
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert all(p.grad.isfinite().all() for p in stage.parameters())


@everything
def test_a_batch_without_any_truth_trains(name):
    stage = build(name)
    _, losses = run(stage, truths(), truths())
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())


@everything
def test_doubling_the_weight_doubles_every_loss(name):
    _, one = run(build(name, weight=0.5), CROWDED, CROWDED)
    _, two = run(build(name, weight=1.0), CROWDED, CROWDED)
    for name, loss in one.items():
        torch.testing.assert_close(two[name], 2 * loss)


@proposers
@pytest.mark.parametrize("training", [True, False])
def test_proposals_are_likeliest_first_within_the_image_and_without_gradient(name, training):
    stage = build(name).train(training)
    proposals, _ = run(stage, CROWDED, CROWDED) if training else run(stage)
    for each, (height, width) in zip(proposals, scene()[0].image_sizes, strict=True):
        boxes, logits = each.proposal_boxes.tensor, each.objectness_logits
        assert len(each) > 0 and not boxes.requires_grad and not logits.requires_grad
        assert (logits.diff() <= 0).all()
        assert (boxes >= 0).all() and (boxes <= torch.tensor([width, height] * 2)).all()


@everything
def test_in_test_there_are_no_losses(name):
    instances, losses = run(build(name).eval())
    assert losses == {} and len(instances) == 2


@proposers
def test_objectness_logits_are_logits(name):
    proposals, _ = run(build(name).eval())
    prior = proposals[0].objectness_logits.sigmoid().median().item()
    rpns = dict.fromkeys([RPN, *ADAPTIVE], 0.5)
    expected = {**rpns, "CascadeRCNN-ATSS": 0.005}.get(name, 0.01)  # ATSS: by a centerness of .5
    assert prior == pytest.approx(expected, abs=0.3 * expected)


@proposers
def test_test_settings_hold_at_once_and_in_test_only(name):
    stage, test = build(name), spec_of(name).test
    before, _ = run(stage, CROWDED, CROWDED)
    stage.set_test(test.model_copy(update={"proposals": 3, "proposal_nms": 0.6, "pre_nms": 50}))
    after, _ = run(stage, CROWDED, CROWDED)
    assert [len(each) for each in before] == [len(each) for each in after]
    few, _ = run(stage.eval())
    assert [len(each) for each in few] == [3, 3]


def test_nms_of_the_test_holds_across_levels_for_centernet():
    stage = build(CENTERNET).eval()
    stage.set_test(spec_of(CENTERNET).test.model_copy(update={"proposal_nms": 0.3}))
    boxes = run(stage)[0][0].proposal_boxes.tensor
    assert pairwise_iou(boxes, boxes).fill_diagonal_(0).max() <= 0.3 + 1e-5


@proposers
def test_a_stricter_nms_in_test_leaves_fewer_proposals(name):
    stage, test = build(name).eval(), spec_of(name).test
    counts = []
    for iou in (0.9, 0.2):
        stage.set_test(test.model_copy(update={"proposal_nms": iou}))
        counts.append(len(run(stage)[0][0]))
    assert counts[1] < counts[0]


@proposers
def test_training_keeps_the_specs_number_of_proposals(name):
    proposals, _ = run(build(name, proposals=5, pre_nms=40, nms=0.95), CROWDED, CROWDED)
    assert [len(each) for each in proposals] == [5, 5]


@proposers
def test_a_floor_drops_exactly_the_unlikelier_proposals(name):
    stage, test = build(name).eval(), spec_of(name).test
    every = run(stage)[0][0]
    middle = every.objectness_logits.double().sigmoid().median().item()
    stage.set_test(test.model_copy(update={"proposal_floor": middle}))
    some = run(stage)[0][0].objectness_logits
    expected = every.objectness_logits[every.objectness_logits.double().sigmoid() > middle]
    assert 0 < len(some) < len(every)
    torch.testing.assert_close(some, expected)


@everything
def test_an_image_alone_gives_what_it_gives_in_a_batch(name):
    stage = build(name).eval()
    images, features = scene()
    together, _ = stage(images, features)
    alone = ImageList(images.tensor[1:], images.image_sizes[1:])
    (single,), _ = stage(alone, {name: each[1:] for name, each in features.items()})
    assert len(single) == len(together[1])
    for name, value in single.get_fields().items():
        other = together[1].get(name)
        pair = [each.tensor if isinstance(each, Boxes) else each for each in (value, other)]
        torch.testing.assert_close(*pair, rtol=1e-4, atol=1e-4)


def test_centernet_proposals_know_their_level_and_stay_one_class():
    stage = build(CENTERNET).eval()
    levels = run(stage)[0][0].level
    assert levels.dtype == torch.long and set(levels.tolist()) <= {3, 4, 5, 6, 7}
    assert stage.head.score.out_channels == 1


def test_classes_of_truths_dont_matter_to_a_first_stage():
    other = Instances((SIZE, SIZE), gt_boxes=CROWDED.gt_boxes, gt_classes=torch.tensor([9, 70, 9]))
    _, one = run(build(CENTERNET), CROWDED)
    _, two = run(build(CENTERNET), other)
    assert one == two


def test_detections_carry_every_field_above_the_threshold():
    stage = build(DETECTOR).eval()
    stage.set_test(spec_of(DETECTOR).test.model_copy(update={"score_threshold": 0.0095}))
    for each in run(stage)[0]:
        assert 0 < len(each) <= 100 and (each.scores > 0.0095).all()
        assert torch.equal(each.scores, each.p_object) and (each.p_class == 1).all()
        assert set(each.pred_classes.tolist()) <= {0, 1, 2}
        assert each.level.dtype == torch.long and len(each.pred_boxes) == len(each)


def test_the_one_stage_detector_returns_only_losses_in_training():
    detections, losses = run(build(DETECTOR), CROWDED, CROWDED)
    assert detections == [] and len(losses) == 3


def test_the_spec_chooses_the_algorithms():
    plain = build(CENTERNET, extra_positives=False, ignore_above=0.85).objective
    assert plain.refine is as_assigned
    assert plain.score_loss.keywords == {"ignore_above": 0.85}
    assert build(CENTERNET).objective.refine is near_center_positives


@pytest.mark.parametrize("name", [*DENSE, RPN, *DETECTORS])
@pytest.mark.parametrize("layers", [1, 4])
def test_towers_have_the_specs_number_of_layers(name, layers):
    modules = build(name, layers=layers).modules()
    convolutions = sum(isinstance(each, torch.nn.Conv2d) for each in modules)
    towers = 2 if name in DETECTORS else 1
    outputs = 3 if "ATSS" in name or "FCOS" in name else 2  # centerness
    assert convolutions == towers * layers + outputs


SHAPES = {  # width and height on the finest level: by octave, and of it wide, square, tall
    "rpn": [(45.255, 22.627), (32, 32), (22.627, 45.255)],
    "retinanet": [
        *((45.255, 22.627), (32, 32), (22.627, 45.255)),
        *((57.018, 28.509), (40.317, 40.317), (28.509, 57.018)),
        *((71.838, 35.919), (50.797, 50.797), (35.919, 71.838)),
    ],
}


@pytest.mark.parametrize("anchors", SHAPES)
def test_rpn_anchors_start_at_32_pixels_and_double(anchors):
    stage = build(RPN, anchors=anchors)
    shapes = torch.tensor(SHAPES[anchors])
    around_zero = torch.cat((-shapes, shapes), 1) / 2  # detectron2's cells start at their corner
    maps = list(scene()[1].values())
    for level, found in enumerate(stage.anchor_generator(maps)):
        cells = maps[level].shape[-1]
        stride, first = 8 * 2**level, around_zero * 2**level
        expected = [
            first + stride * torch.tensor([x, y] * 2) for y, x in product(range(cells), repeat=2)
        ]
        torch.testing.assert_close(found.tensor, torch.cat(expected), rtol=1e-4, atol=1e-3)
    assert stage.rpn_head.objectness_logits.out_channels == len(shapes)


@pytest.mark.parametrize(
    ("name", "kind", "nms", "weight", "kept"),
    [
        ("FasterRCNN-RPN", FlooredRPN, 0.7, 1.0, (2000, 1000)),  # detectron2
        ("GA RPN", GuidedAnchoring, 0.7, 1.0, (300, 300)),  # mmdetection, as the next
        ("Cascade RPN", CascadeRPN, 0.8, 0.7, (300, 300)),
    ],
)
def test_a_proposal_network_has_the_settings_of_its_publication(name, kind, nms, weight, kept):
    stage = build(name)
    assert type(stage) is kind and set(stage.loss_weight.values()) == {weight}
    training = stage.pre_nms_topk[True], stage.post_nms_topk[True], stage.nms_thresh
    assert training == (2000, kept[0], nms)
    selection = stage.test_selection
    assert (selection.pre_nms, selection.keep, selection.nms) == (1000, kept[1], nms)


def test_a_short_training_finds_every_object():
    stage = build(CENTERNET)
    optimiser = torch.optim.Adam(stage.parameters(), 0.01)
    for _ in range(60):
        _, losses = run(stage, CROWDED, CROWDED)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
    best = run(stage.eval())[0][0]
    overlap = pairwise_iou(CROWDED.gt_boxes.tensor, best.proposal_boxes.tensor[:5])
    assert overlap.amax(1).min() > 0.7


@pytest.mark.parametrize("training", [True, False])
@proposers
def test_a_map_that_is_not_finite_is_told_by_level_and_image(name, training):
    stage = build(name).train(training)
    images, features = scene()
    features["p5"][1, 0, 0, 0] = torch.nan
    with EventStorage(), pytest.raises(FloatingPointError, match="level p5, image 1"):
        stage(images, features, [CROWDED, CROWDED] if training else None)
