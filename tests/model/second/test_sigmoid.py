"""Laws of second stages with a sigmoid a class; detectron2's losses are the oracle."""

import pytest
import torch
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

from p2s.maths import federated
from p2s.maths.federated import Frequencies
from p2s.model.second.sigmoid import second_stage
from p2s.model.second.stage import SecondStage
from p2s.model.second.stage import second_stage as plain_second_stage
from p2s.spec import Spec

SIZE, CHANNELS, CLASSES = (128, 128), 8, 12
STRIDES = {f"p{k}": 2**k for k in range(3, 8)}
COUNTS = torch.tensor([900, 500, 300, 200, 100, 60, 40, 20, 10, 5, 2, 1])
LOSSES = ["sigmoid", "eql", "federated", "annotated"]
DETECTORS = ["FasterRCNN-CenterNet", "CenterNet2"]


def spec_of(cls_loss, name="CenterNet2", **stage):
    tiny = {"channels": 16, "regions": 32, "cls_loss": cls_loss, **stage}
    return Spec.named(name).changed({"num_classes": CLASSES, "second_stage": tiny})


def heads(spec):
    torch.manual_seed(0)
    stage = second_stage(spec, STRIDES, CHANNELS)
    for predictor in stage.box_predictor:
        torch.nn.init.normal_(predictor.cls_score.weight, std=1)
    if spec.second_stage.cls_loss.is_selective:
        stage.set_frequencies(Frequencies(COUNTS, 1000))
    return stage.train()


def scene(truths):
    """Maps, some regions and truths of these classes, an image a list."""
    torch.manual_seed(1)
    corner = torch.rand(len(truths), 30, 2) * 80
    boxes = torch.cat([corner, corner + 8 + torch.rand(len(truths), 30, 2) * 40], 2)
    maps = {
        name: torch.randn(len(truths), CHANNELS, 128 // s, 128 // s) for name, s in STRIDES.items()
    }
    logit = {"objectness_logits": torch.zeros(30)}
    regions = [Instances(SIZE, proposal_boxes=Boxes(corners), **logit) for corners in boxes]
    objects = [
        Instances(SIZE, gt_boxes=Boxes(box[: len(label)]), gt_classes=torch.tensor(label).long())
        for box, label in zip(boxes, truths, strict=True)
    ]
    return maps, regions, objects


def losses(stage, truths=((2, 2, 7), (0,), ()), seed=3):
    """The losses of a step, and the gradients of each class's weights: (S, K + 1, channels)."""
    maps, regions, objects = scene(truths)
    torch.manual_seed(seed)
    stage.zero_grad()
    with EventStorage():
        _, told = stage(None, maps, regions, objects)
    sum(told.values()).backward()
    return told, torch.stack([predictor.cls_score.weight.grad for predictor in stage.box_predictor])


def learnt(gradient):
    """The classes of a cascade stage that got a gradient."""
    return set(gradient.abs().sum(1).nonzero()[:, 0].tolist())


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("size", [1, 5, 9])
@pytest.mark.parametrize("cls_loss", ["sigmoid", "federated"])
def test_losses_of_a_batch_are_those_of_detectron2(name, cls_loss, size):
    stage_settings = {"federated_sets": "per_batch", "federated_classes": size}
    spec = spec_of(cls_loss, name, **(stage_settings if cls_loss == "federated" else {}))

    def predictor(shape, **settings):
        weights, fed = COUNTS**0.5, cls_loss == "federated"
        fed = {"use_fed_loss": fed, "get_fed_loss_cls_weights": lambda: weights}
        fed |= {"fed_loss_num_classes": size, "use_sigmoid_ce": True}
        return FastRCNNOutputLayers(shape, **settings, **fed)

    ours = heads(spec)
    peer = plain_second_stage(spec, STRIDES, CHANNELS, SecondStage, predictor).train()
    peer.load_state_dict(ours.state_dict(), strict=False)
    (terms, gradient), (wanted, their_gradient) = losses(ours), losses(peer)
    torch.testing.assert_close(terms, wanted)
    torch.testing.assert_close(gradient, their_gradient)


@pytest.mark.parametrize("name", DETECTORS)
def test_an_images_set_is_that_of_all_stages_and_has_its_annotated_classes(name):
    stage = heads(spec_of("federated", name, federated_classes=4))
    _, gradients = losses(stage, [[2, 2, 7]])
    sets = [learnt(gradient) for gradient in gradients]
    assert len(sets) == len(stage.box_predictor) and all(classes == sets[0] for classes in sets)
    assert len(sets[0]) == 4 and {2, 7} <= sets[0]


@pytest.mark.parametrize("sets", ["per_image", "per_batch"])
def test_a_set_is_drawn_anew_and_again_with_the_same_seed(sets):
    stage = heads(spec_of("federated", federated_classes=4, federated_sets=sets))
    first, again, other = (losses(stage, seed=seed) for seed in (3, 3, 4))
    assert first[0] == again[0] and torch.equal(first[1], again[1])
    drawn = {tuple(learnt(losses(stage, [[]], seed)[1][0])) for seed in range(10)}
    assert len(drawn) > 3


def shares(sets, power):
    """How often each class is the only one that is drawn, of 1000 sets without objects."""
    settings = {"federated_classes": 1, "federated_power": power, "federated_sets": sets}
    stage, none = heads(spec_of("federated", **settings)), torch.zeros(0).long()
    counted = stage.choose_classes(
        [Instances(SIZE, gt_classes=none)] * 1000, Frequencies(COUNTS, 1000)
    )
    torch.manual_seed(0)
    if sets == "per_image":
        return counted(none, torch.arange(1000)).float().mean(0)
    return torch.cat([counted(none, none) for _ in range(1000)]).float().mean(0)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("sets", ["per_image", "per_batch"])
def test_classes_are_drawn_in_proportion_to_the_power_of_their_frequency(sets, power):
    weight = COUNTS**power
    torch.testing.assert_close(shares(sets, power), weight / weight.sum(), atol=0.05, rtol=0)


def test_sets_of_images_are_kept_apart():
    stage = heads(spec_of("federated", federated_classes=0))
    losses(stage, [[2], [], [5, 1]])
    counted = stage.box_predictor[0].counted(None, torch.tensor([0, 2, 1]))
    assert [row.nonzero()[:, 0].tolist() for row in counted] == [[2], [1, 5], []]


def informed(truths, known):
    """The `scene` of truths whose images tell of these classes."""
    maps, regions, objects = scene(truths)
    for of_image, classes in zip(objects, known, strict=True):
        row = torch.zeros(CLASSES, dtype=torch.bool).index_fill(
            0, torch.tensor(classes).long(), True
        )
        of_image.gt_known = row.expand(len(of_image), -1)
    return maps, regions, objects


def test_the_annotated_loss_counts_what_an_image_tells_of_alone():
    stage = heads(spec_of("annotated"))
    with EventStorage():
        _, costs = stage(None, *informed([[2, 2, 7], [0]], [[1, 2, 7], [0, 5]]))
    sum(costs.values()).backward()
    assert learnt(stage.box_predictor[0].cls_score.weight.grad) == {0, 1, 2, 5, 7}
    counted = stage.box_predictor[0].counted(None, torch.tensor([1, 0]))
    assert [row.nonzero()[:, 0].tolist() for row in counted] == [[0, 5], [1, 2, 7]]


def test_the_annotated_loss_of_images_that_tell_all_is_sigmoid_ce():
    ours, wanted = heads(spec_of("annotated")), heads(spec_of("sigmoid"))
    every = informed([[2, 7], [0]], [range(CLASSES)] * 2)
    with EventStorage():
        torch.manual_seed(3)
        _, terms = ours(None, *every)
        torch.manual_seed(3)
        _, other = wanted(None, *every)
    assert terms == other


@pytest.mark.parametrize("cls_loss", ["sigmoid", "federated"])
def test_a_box_without_annotation_is_nothing_to_the_second_stage(cls_loss):
    def costs(flags, keep):
        maps, regions, objects = scene([[2, 7, 1], [0]])
        for of_image in objects:
            of_image.gt_annotated = torch.tensor(flags[: len(of_image)])
        torch.manual_seed(3)
        with EventStorage():
            kept = [of_image[keep] for of_image in objects]
            return heads(spec_of(cls_loss))(None, maps, regions, kept)[1]

    mixed = costs([True, False, False], slice(None))
    assert mixed == costs([True] * 3, slice(0, 1)) != costs([True] * 3, slice(None))


def test_the_largest_set_gives_the_losses_of_sigmoid_ce():
    ours = losses(heads(spec_of("federated", federated_classes=CLASSES)))
    wanted = losses(heads(spec_of("sigmoid")))
    for loss, other in zip(ours[0].values(), wanted[0].values(), strict=True):
        torch.testing.assert_close(loss, other)
    torch.testing.assert_close(ours[1], wanted[1])


def test_eql_differs_from_sigmoid_ce_by_what_objects_cost_rare_classes():
    eql, wanted = losses(heads(spec_of("eql")))[1], losses(heads(spec_of("sigmoid")))[1]
    rare = federated.least_frequent(Frequencies(COUNTS, 1000))
    changed = ((eql - wanted).abs().amax(2) > 1e-7)[:, :-1]  # (S, K)
    assert torch.equal(changed[0], rare)


@pytest.mark.parametrize("tail", ["rank", "images", "share"])
def test_eql_has_the_tail_that_its_spec_says(tail):
    stage = heads(spec_of("eql", eql_tail=tail))
    losses(stage)
    counted = stage.box_predictor[0].counted(torch.tensor([0]), torch.tensor([0]))[0]
    limit = {"rank": 201, "images": 200, "share": 1.77}[tail]  # 9 of 12; .00177 of 1000 images
    assert torch.equal(counted, limit <= COUNTS)


@pytest.mark.parametrize("cls_loss", LOSSES)
@pytest.mark.parametrize("name", DETECTORS)
def test_an_untrained_classifier_says_the_prior(name, cls_loss):
    stage = second_stage(spec_of(cls_loss, name), STRIDES, CHANNELS).eval()
    maps, regions, _ = scene([[]])
    with torch.no_grad():
        _, [p_class] = stage.classify(maps, regions)
    torch.testing.assert_close(p_class[:, :-1], torch.full((30, CLASSES), 0.01), atol=2e-3, rtol=0)


@torch.no_grad()
def test_classes_are_independent_and_the_last_probability_is_that_of_none():
    stage = heads(spec_of("sigmoid", "FasterRCNN-CenterNet")).eval()
    maps, regions, _ = scene([[], []])
    outputs = stage._run_stage(list(maps.values()), regions, 0)
    first, other = stage.classify(maps, regions)[1]
    p = torch.cat((first, other))
    torch.testing.assert_close(p[:, :-1], outputs[0][:, :-1].sigmoid())
    torch.testing.assert_close(p[:, -1], (1 - p[:, :-1]).prod(1))
    assert first.shape == (30, CLASSES + 1)


@torch.no_grad()
def test_huge_logits_leave_probabilities_between_zero_and_one():
    stage = heads(spec_of("sigmoid", "FasterRCNN-CenterNet")).eval()
    logits = torch.tensor([[1e30] * CLASSES + [0], [-1e30] * CLASSES + [0]])
    [p] = stage.box_predictor[0].predict_probs((logits, None), [range(2)])
    assert p.tolist() == [[1.0] * CLASSES + [0], [0.0] * CLASSES + [1]]


@pytest.mark.parametrize("cls_loss", ["eql", "federated", "annotated"])
def test_training_without_frequencies_is_refused_and_detecting_is_not(cls_loss):
    stage = second_stage(spec_of(cls_loss), STRIDES, CHANNELS).train()
    with pytest.raises(ValueError, match="frequencies are missing: call roi_heads.set_freq"):
        losses(stage)
    stage.eval()(None, *scene([[]])[:2])


@pytest.mark.parametrize(
    ("counts", "images"), [(COUNTS[:-1], 1000), (COUNTS, 899), (0 * COUNTS, 0)]
)
def test_frequencies_of_other_data_are_refused(counts, images):
    with pytest.raises(ValueError, match="frequencies of 1. classes .* has 12 classes"):
        heads(spec_of("eql")).set_frequencies(Frequencies(counts, images))


@pytest.mark.parametrize("cls_loss", LOSSES)
def test_images_without_truths_or_proposals_can_be_trained_on(cls_loss):
    stage = heads(spec_of(cls_loss))
    maps, regions, objects = informed([[3], [], []], [[3, 5], [], []])
    regions[2] = regions[2][:0]
    with EventStorage():
        _, told = stage(None, maps, regions, objects)
    sum(told.values()).backward()
    assert all(loss.isfinite() for loss in told.values())
    assert all(weight.grad.isfinite().all() for weight in stage.parameters())


def test_no_region_at_all_costs_nothing():
    stage = heads(spec_of("federated"))
    maps, regions, objects = scene([[]])
    with EventStorage():
        _, told = stage(None, maps, [regions[0][:0]], objects)
    assert sum(told.values()) == 0
