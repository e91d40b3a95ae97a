"""Laws of the whole detectors: their inputs, their outputs, the image's own pixels."""

import pytest
import torch
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage
from torch import nn

from p2s.model.detector import OneStageDetector, TwoStageDetector
from p2s.spec import Pixels as Statistics
from p2s.spec.released import MSRA


class Pixels(nn.Module):
    """A backbone whose only feature is the normalised image."""

    size_divisibility, padding_constraints = 32, {}

    def forward(self, images):
        return {"p0": images}


class Boxed(nn.Module):
    """A stage that answers with fixed instances and remembers what it was given."""

    def __init__(self, **fields):
        super().__init__()
        self.fields, self.given, self.test = fields, [], None

    def set_test(self, test):
        self.test = test

    def forward(self, images: ImageList, features, *rest):
        self.given.append((images, features, *rest))
        answer = [
            Instances(s, **{k: v.clone() for k, v in self.fields.items()})
            for s in images.image_sizes
        ]
        losses = {f"loss_{len(self.fields)}": features["p0"].mean()}
        return answer, losses


PROBABILITY = torch.tensor([0.75, 0.5])
BOXES = Boxes([[2.0, 4, 10, 12], [0.0, 0, 20, 16]])
FOUND = {
    "pred_boxes": BOXES,
    "scores": PROBABILITY,
    "pred_classes": torch.tensor([1, 0]),
    "p_object": PROBABILITY,
    "p_class": torch.ones(2),
    "level": torch.tensor([3, 4]),
}
PROPOSED = {"proposal_boxes": BOXES, "objectness_logits": PROBABILITY.logit()}


def two_stage(*pixels):
    return TwoStageDetector(Pixels(), Boxed(**PROPOSED), Boxed(**FOUND), *pixels)


def one_stage(*pixels):
    return OneStageDetector(Pixels(), Boxed(**FOUND), *pixels)


def photo(**fields):
    return {"image": torch.randint(0, 256, (3, 16, 20), dtype=torch.uint8), **fields}


def truth():
    return Instances((16, 20), gt_boxes=BOXES, gt_classes=torch.tensor([1, 0]))


@pytest.mark.parametrize("detector", [two_stage, one_stage])
def test_boxes_are_answered_in_the_original_pixels(detector):
    model = detector().eval()
    big = photo(height=32, width=60)
    wanted = torch.tensor([[6.0, 8, 30, 24], [0.0, 0, 60, 32]])
    assert torch.equal(model([big])[0]["instances"].pred_boxes.tensor, wanted)
    assert torch.equal(model.propose([big])[0].proposal_boxes.tensor, wanted)
    assert torch.equal(model([photo()])[0]["instances"].pred_boxes.tensor, BOXES.tensor)


@pytest.mark.parametrize("detector", [two_stage, one_stage])
def test_detect_is_both_answers_in_one_pass(detector):
    model, inputs = detector().eval(), [photo(height=32, width=60), photo()]
    detections, proposals = model.detect(inputs)
    assert len(model.proposal_generator.given) == 1
    for found, answer in zip(detections, model(inputs), strict=True):
        assert torch.equal(found.pred_boxes.tensor, answer["instances"].pred_boxes.tensor)
    for found, answer in zip(proposals, model.propose(inputs), strict=True):
        assert torch.equal(found.proposal_boxes.tensor, answer.proposal_boxes.tensor)
        torch.testing.assert_close(found.objectness_logits.sigmoid(), PROBABILITY)


@pytest.mark.parametrize("detector", [two_stage, one_stage])
def test_training_answers_with_the_losses_of_all_stages(detector):
    model = detector().train()
    losses = model([photo(instances=truth()), photo(instances=truth())])
    stages = [m for m in model.modules() if isinstance(m, Boxed)]
    assert set(losses) == {f"loss_{len(stage.fields)}" for stage in stages}
    assert all(len(stage.given[0][-1]) == 2 for stage in stages)  # the truths of two images


@pytest.mark.parametrize("detector", [two_stage, one_stage])
def test_pixels_are_normalised_as_imagenets_rgb_and_padded(detector):
    model, picture = detector().eval(), photo()
    model([picture])
    images = model.proposal_generator.given[0][0]
    mean, std = torch.tensor([[123.675, 116.28, 103.53], [58.395, 57.12, 57.375]])[..., None, None]
    torch.testing.assert_close(images.tensor[0, :, :16, :20], (picture["image"] - mean) / std)
    assert images.tensor.shape == (1, 3, 32, 32)
    assert images.image_sizes == [(16, 20)]


@pytest.mark.parametrize("detector", [two_stage, one_stage])
def test_caffes_trunks_get_blue_first_and_no_deviation(detector):
    red = torch.tensor([255.0, 0, 0])[:, None, None].expand(3, 16, 20)
    prepared = detector(MSRA["pixels"]).preprocess_image([photo() | {"image": red}]).tensor
    wanted = torch.tensor([-103.53, -116.28, 255 - 123.675])
    torch.testing.assert_close(prepared[0, :, 3, 7], wanted)
    assert Statistics().order == "RGB" != MSRA["pixels"].order


def test_one_stage_proposals_keep_the_order_of_the_detections():
    found = one_stage().eval().propose([photo()])[0]
    assert found.get_fields().keys() == {"proposal_boxes", "objectness_logits", "level"}
    assert (found.objectness_logits.diff() <= 0).all()


def test_a_callers_event_storage_is_used():
    class Scalar(Boxed):
        def forward(self, *given):
            from detectron2.utils.events import get_event_storage

            get_event_storage().put_scalar("asked", 1)
            return super().forward(*given)

    model = TwoStageDetector(Pixels(), Boxed(**PROPOSED), Scalar(**FOUND)).train()
    model([photo(instances=truth())])  # none is needed
    with EventStorage() as storage:
        model([photo(instances=truth())])
    assert storage.latest()["asked"][0] == 1


@pytest.mark.parametrize("detector", [two_stage, one_stage])
def test_test_settings_reach_every_stage(detector):
    model = detector()
    model.set_test("settings")
    assert {m.test for m in model.modules() if isinstance(m, Boxed)} == {"settings"}


@pytest.mark.parametrize("pixels", [Statistics(), MSRA["pixels"]])
@pytest.mark.parametrize("detector", [one_stage, two_stage])
def test_images_are_prepared_as_a_pass_prepares_them(detector, pixels):
    model, inputs = (
        detector(pixels).eval(),
        [photo(height=16, width=20), photo(height=16, width=20)],
    )
    model.detect(inputs)
    given = model.proposal_generator.given[0][0]
    prepared = model.preprocess_image(inputs)
    assert torch.equal(prepared.tensor, given.tensor)
    assert prepared.image_sizes == given.image_sizes
