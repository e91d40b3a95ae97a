"""From the same weights and images, our detectors and the authors' give the same numbers.

`AUTHORS` are their choices as fields of Spec, `peers.like_theirs` those that have no field.
"""

from functools import cache

import pytest
import torch
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

from p2s.model.zoo import build
from p2s.spec import Spec
from p2s.spec.released import AUTHORS

peers = pytest.importorskip(
    "p2s.bench.peers", exc_type=ImportError, reason="the authors' package is missing: make setup"
)
SMALL = {  # towers of 256 channels have 32 groups in theirs and in ours
    "num_classes": 4,
    "backbone": {"depth": 18},
    "first_stage": {"layers": 1, "pre_nms": 300, "proposals": 200},
    "second_stage": {"channels": 64, "regions": 64},
    "test": {"pre_nms": 250, "proposals": 100},
}
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
THEIR_LOSSES = {  # one-stage, two-stage; the second stage's names are detectron2's in both
    "loss_dense_positive": ("loss_centernet_pos", "loss_centernet_agn_pos"),
    "loss_dense_negative": ("loss_centernet_neg", "loss_centernet_agn_neg"),
    "loss_dense_box": ("loss_centernet_loc",) * 2,
}
DETECTORS = ["CenterNet*", "FasterRCNN-CenterNet", "CenterNet2"]


def picture(seed, height, width, boxes=()):
    """Noise in coarse squares; truths lie inside of it, the smallest first."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (3, height // 8, width // 8), generator=generator)
    truths = Boxes(torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    truths.clip((height, width))
    truths = truths[truths.area().argsort(stable=True)]
    annotated = Instances((height, width), gt_boxes=truths)
    annotated.gt_classes = torch.randint(SMALL["num_classes"], (len(truths),), generator=generator)
    image = pixels.repeat_interleave(8, 1).repeat_interleave(8, 2).to(torch.uint8)
    return {"image": image, "height": height, "width": width, "instances": annotated}


def crowd(seed, height, width, count):
    """Overlapping boxes of all sizes, each with one of half its sides around the same centre."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor([width, height])
    centers = torch.rand(count, 2, generator=generator) * size
    half = 4 + torch.rand(count, 2, generator=generator) * size * 0.45
    return torch.cat([torch.cat((centers - h, centers + h), 1) for h in (half, half / 2)])


BORDER = [(0, 0, 1280, 32), (0, 0, 700, 20), (0, 0, 9, 9), (1270, 1, 1280, 32), (500, 31, 900, 32)]
SCENES = {
    "crowded": [
        picture(0, 160, 192, crowd(0, 160, 192, 20)),
        picture(1, 192, 128, crowd(1, 192, 128, 9)),
    ],
    "one image empty": [picture(2, 128, 160), picture(3, 160, 160, crowd(3, 160, 160, 9))],
    "nothing": [picture(4, 128, 128), picture(5, 128, 160)],
    "at the border, of all levels": [picture(6, 32, 1280, BORDER)],
    "alone": [picture(7, 160, 160, [(44, 44, 124, 124)])],
    "side by side": [picture(7, 160, 160, [(44, 44, 124, 124), (60, 44, 140, 124)])],
}
COMMON = list(SCENES)[:4]


@cache
def pair(name, changes=(), scale=10.0):
    """Ours like theirs, and theirs; untrained heads differ from place to place."""
    torch.manual_seed(0)
    spec = Spec.named(name).changed(SMALL).changed(AUTHORS)
    spec = spec.changed({"first_stage": dict(changes)})
    ours = build(spec).eval()
    predictors = ours.roi_heads.box_predictor if spec.second != "none" else ()
    with torch.no_grad():
        ours.proposal_generator.head.score.weight.mul_(scale)
        ours.proposal_generator.head.score.bias.zero_()
        ours.proposal_generator.head.ltrb.weight.mul_(5)
        ours.proposal_generator.head.ltrb.bias.fill_(5)  # strides: most boxes are of their level
        for predictor in predictors:
            predictor.cls_score.weight.mul_(30)
            predictor.bbox_pred.weight.mul_(50)
    theirs = peers.authors(ours, spec)
    for model in (ours, theirs) if predictors else ():
        model.roi_heads.box_pooler.canonical_box_size = 24  # pixels: regions of all levels
    return peers.like_theirs(ours), theirs


def seen(ours, scene):
    """Images, the maps of our trunk, and truths of a scene."""
    images = ours.preprocess_image(SCENES[scene])
    with torch.no_grad():
        maps = ours.backbone(images.tensor)
    truths = [inputs["instances"] for inputs in SCENES[scene]]
    return images, {name: values.requires_grad_() for name, values in maps.items()}, truths


def proposals(ours, images, maps):
    """Our proposals, as detectron2 knows them; both second stages get the same."""
    with torch.no_grad():
        proposed, _ = ours.proposal_generator(images, maps)
    for of_image in proposed:
        of_image.remove("level")
    return proposed


def detections(outputs):
    """Boxes, scores and classes of each image."""
    images = [image["instances"] if isinstance(image, dict) else image for image in outputs]
    return [(image.pred_boxes.tensor, image.scores, image.pred_classes) for image in images]


def unmatched(ours, theirs):
    """How many of at least 50 rows of an image have no equal in the other, and the length's gap."""
    assert min(len(ours[0]), len(theirs[0])) >= 50
    same = (ours[0][:, None] - theirs[0]).abs().amax(2) < 0.01  # pixels
    same &= torch.isclose(ours[1][:, None], theirs[1], rtol=1e-4, atol=1e-6)
    same &= ours[2][:, None] == theirs[2]
    return int((~same.any(0)).sum() + (~same.any(1)).sum()) + abs(len(ours[0]) - len(theirs[0]))


def losses(part, *inputs):
    """The losses of a part in training, from the same random numbers; gradients of the maps."""
    torch.manual_seed(0)
    maps = list(inputs[1].values())
    with EventStorage():
        terms = part.train()(*inputs)[1]
    part.eval()
    return terms, torch.autograd.grad(sum(terms.values()), maps, allow_unused=True)


def assert_equal_losses(ours, theirs):
    (ours, our_grads), (theirs, their_grads) = ours, theirs
    torch.testing.assert_close(ours, theirs, **CLOSE)
    for our, their in zip(our_grads, their_grads, strict=True):
        assert (our is None) == (their is None)
        if our is not None:
            scale = their.abs().max().item()
            torch.testing.assert_close(our, their, rtol=0, atol=1e-4 * scale + 1e-9)


def named_as_ours(terms):
    """Their losses by our names."""
    ours = {their: our for our, both in THEIR_LOSSES.items() for their in both}
    return {ours.get(name, name): value for name, value in terms.items()}


@pytest.mark.parametrize("scene", COMMON)
@pytest.mark.parametrize("name", ["CenterNet*", "CenterNet2"])
@torch.no_grad()
def test_trunk_and_head_give_the_same_maps(name, scene):
    ours, theirs = pair(name)
    images, maps, _ = seen(ours, scene)
    for level, level_map in theirs.backbone(images.tensor).items():
        torch.testing.assert_close(
            maps[level], level_map, rtol=0, atol=1e-4 * level_map.abs().max().item()
        )
    classes, sides, objects = theirs.proposal_generator.centernet_head(list(maps.values()))
    scores = classes if name == "CenterNet*" else objects
    wanted = [
        torch.cat([x.permute(0, 2, 3, 1).flatten(1, 2) for x in y], 1) for y in (scores, sides)
    ]
    logit, box, _ = ours.proposal_generator.predict(maps)[1]
    torch.testing.assert_close([logit, box], wanted, **CLOSE)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("scene", ["crowded", "at the border, of all levels"])
@torch.no_grad()
def test_proposals_are_the_same_and_their_objectness_is_the_root_of_ours(scene, training):
    ours, theirs = pair("CenterNet2")
    images, maps, truths = seen(ours, scene)
    stages = [model.proposal_generator.train(training) for model in (ours, theirs)]
    proposed, wanted = (stage(images, maps, truths)[0] for stage in stages)
    for stage in stages:
        stage.eval()
    for our, their in zip(proposed, wanted, strict=True):
        p_object = our.objectness_logits.sigmoid(), their.objectness_logits**2
        boxes = our.proposal_boxes.tensor, their.proposal_boxes.tensor
        pairs = [(box, p, torch.zeros_like(p)) for box, p in zip(boxes, p_object, strict=True)]
        assert unmatched(*pairs) == 0


@pytest.mark.parametrize("scene", COMMON)
@pytest.mark.parametrize("ignore_above", [None, 0.85])
@pytest.mark.parametrize("name", ["CenterNet*", "CenterNet2"])
def test_losses_of_the_dense_stage_are_the_same(name, ignore_above, scene):
    ours, theirs = pair(name, (("ignore_above", ignore_above),))
    inputs = seen(ours, scene)
    terms = losses(ours.proposal_generator, *inputs)
    wanted, grads = losses(theirs.proposal_generator, *inputs)
    assert_equal_losses(terms, (named_as_ours(wanted), grads))


@pytest.mark.parametrize(
    "scene, ours_count, their_count", [("alone", 5, 5), ("side by side", 9, 10)]
)
@pytest.mark.parametrize("name", ["CenterNet*", "CenterNet2"])
def test_extra_positives_are_theirs_but_count_once_where_two_objects_claim_a_cell(
    name, scene, ours_count, their_count
):
    ours, theirs = pair(name, (("extra_positives", True),))
    with torch.no_grad():  # 10 strides a side: right at a centre, a gIoU loss of .18 beside it
        ours.proposal_generator.head.ltrb.weight.zero_()
        theirs.proposal_generator.centernet_head.bbox_pred.weight.zero_()
    inputs = seen(ours, scene)
    terms, _ = losses(ours.proposal_generator, *inputs)
    wanted = named_as_ours(losses(theirs.proposal_generator, *inputs)[0])
    # Losses are over the number of positives; in theirs an extra one is a faint negative as well.
    both = (ours_count * terms["loss_dense_negative"], their_count * wanted["loss_dense_negative"])
    torch.testing.assert_close(*both, rtol=1e-3, atol=0)
    if ours_count == their_count:
        same = (terms["loss_dense_positive"], wanted["loss_dense_positive"])
        torch.testing.assert_close(*same, **CLOSE)


@pytest.mark.parametrize("scene", COMMON)
@pytest.mark.parametrize("name", ["FasterRCNN-CenterNet", "CenterNet2"])
def test_losses_of_the_second_stage_are_the_same(name, scene):
    ours, theirs = pair(name)
    images, maps, truths = seen(ours, scene)
    regions = proposals(ours, images, maps)
    terms = losses(ours.roi_heads, images, maps, regions, truths)
    wanted, grads = losses(theirs.roi_heads, images, maps, regions, truths)
    if name != "CenterNet2":
        wanted = {f"{loss}_stage0": value for loss, value in wanted.items()}
    assert_equal_losses(terms, (wanted, grads))


@pytest.mark.parametrize("scene", ["crowded", "at the border, of all levels"])
@pytest.mark.parametrize("name", ["FasterRCNN-CenterNet", "CenterNet2"])
@torch.no_grad()
def test_class_logits_of_every_region_and_stage_are_the_same(name, scene):
    ours, theirs = pair(name)
    images, maps, _ = seen(ours, scene)
    regions, by_side = proposals(ours, images, maps), []
    for heads in (ours.roi_heads, theirs.roi_heads):
        layers = [layer for part, layer in heads.named_modules() if part.endswith("cls_score")]
        logits = []
        hooks = [
            layer.register_forward_hook(lambda *call, into=logits: into.append(call[2]))
            for layer in layers
        ]
        heads(images, maps, regions)
        for hook in hooks:
            hook.remove()
        by_side.append(torch.stack(logits))
    assert by_side[0].shape[:2] == (len(ours.roi_heads.box_predictor), sum(map(len, regions)))
    torch.testing.assert_close(*by_side, rtol=1e-4, atol=1e-4 * by_side[1].abs().max().item())


@pytest.mark.parametrize("scene", ["crowded", "one image empty", "at the border, of all levels"])
@pytest.mark.parametrize("name", DETECTORS)
@torch.no_grad()
def test_detections_are_the_same(name, scene):
    models = pair(name)
    detected = [detections(model(SCENES[scene])) for model in models]
    apart = [unmatched(*of_image) for of_image in zip(*detected, strict=True)]
    assert apart == [0] * len(detected[0])
