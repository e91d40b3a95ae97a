"""Detectors on detectron2's contract: dict in, dict out.

An input is {"image": (3, H, W) RGB in 0..255, "height", "width", "instances" in training}; the
answer is a dict of losses in training, else a list of {"instances"} in the pixels of an image of
the input's height and width. "padded_to", if it is there, is the height and width of all
images of the batch, or more than theirs: of a square crop, or the largest of several ranks.
"""

from contextlib import nullcontext

from detectron2.modeling import GeneralizedRCNN, ProposalNetwork, detector_postprocess
from detectron2.structures import ImageList, Instances
from detectron2.utils.events import EventStorage, has_event_storage
from torch import Tensor, nn
from torch.nn.functional import pad

from p2s.spec import Pixels, Test

TORCHVISION = Pixels()


class TwoStageDetector(GeneralizedRCNN):
    """A first stage that infers P(O) and a second that infers P(C|O) (Eq. 1)."""

    def __init__(
        self,
        backbone: nn.Module,
        first_stage: nn.Module,
        second_stage: nn.Module,
        pixels: Pixels = TORCHVISION,
    ):
        super().__init__(
            backbone=backbone,
            proposal_generator=first_stage,
            roi_heads=second_stage,
            pixel_mean=pixels.mean,
            pixel_std=pixels.std,
            input_format="RGB",
        )
        self.pixels = pixels

    def forward(self, batched_inputs: list[dict]) -> dict[str, Tensor] | list[dict]:
        """As detectron2's, also outside of an EventStorage, which its heads insist on."""
        with nullcontext() if has_event_storage() else EventStorage():
            return super().forward(batched_inputs)

    def preprocess_image(self, batched_inputs: list[dict]) -> ImageList:
        """Normalised images, padded to one size, as an `ImageList`."""
        return _padded(self, batched_inputs)

    def propose(self, inputs: list[dict]) -> list[Instances]:
        """First-stage proposals of each image, the likeliest first, as `Instances`."""
        images, _, proposals = self.first_stage(inputs)
        return _in_original_pixels(proposals, inputs, images.image_sizes)

    def detect(self, inputs: list[dict]) -> tuple[list[Instances], list[Instances]]:
        """Detections and first-stage proposals of each image, as two lists, in one pass."""
        images, features, proposals = self.first_stage(inputs)
        detections, _ = self.roi_heads(images, features, proposals)
        sizes = images.image_sizes
        return (
            _in_original_pixels(detections, inputs, sizes),
            _in_original_pixels(proposals, inputs, sizes),
        )

    def set_test(self, test: Test) -> None:
        """Test by these settings (spec.Test) from now on; no weight changes."""
        self.proposal_generator.set_test(test)
        self.roi_heads.set_test(test)

    def first_stage(
        self, inputs: list[dict]
    ) -> tuple[ImageList, dict[str, Tensor], list[Instances]]:
        """The normalised images, their features by name, and proposals in them."""
        return run_first_stage(self, inputs)


class OneStageDetector(ProposalNetwork):
    """A first stage with classes, alone: its proposals are detections."""

    def __init__(
        self, backbone: nn.Module, dense_detector: nn.Module, pixels: Pixels = TORCHVISION
    ):
        super().__init__(
            backbone=backbone,
            proposal_generator=dense_detector,
            pixel_mean=pixels.mean,
            pixel_std=pixels.std,
        )
        self.pixels = pixels

    def forward(self, batched_inputs: list[dict]) -> dict[str, Tensor] | list[dict]:
        """As detectron2's, whose own pads images by its own rule; detections are "instances"."""
        images = self.preprocess_image(batched_inputs)
        features = self.backbone(images.tensor)
        if self.training:
            truths = [inputs["instances"].to(self.device) for inputs in batched_inputs]
            return self.proposal_generator(images, features, truths)[1]
        found, _ = self.proposal_generator(images, features, None)
        found = _in_original_pixels(found, batched_inputs, images.image_sizes)
        return [{"instances": of_image} for of_image in found]

    def preprocess_image(self, batched_inputs: list[dict]) -> ImageList:
        """Normalised images, padded to one size, as an `ImageList`."""
        return _padded(self, batched_inputs)

    def propose(self, inputs: list[dict]) -> list[Instances]:
        """The detections of each image as class-agnostic proposals, the likeliest first."""
        return self.detect(inputs)[1]

    def detect(self, inputs: list[dict]) -> tuple[list[Instances], list[Instances]]:
        """Detections, and the same as class-agnostic proposals, of each image, as two lists."""
        detections = [of_image["instances"] for of_image in self(inputs)]
        return detections, [_as_proposals(of_image) for of_image in detections]

    def set_test(self, test: Test) -> None:
        """Test by these settings (spec.Test) from now on; no weight changes."""
        self.proposal_generator.set_test(test)


def normalised(model: nn.Module, image: Tensor) -> Tensor:
    """An RGB image (3, H, W) as the trunk of a detector has it: its order, its statistics."""
    image = _ordered(model, image.to(model.pixel_mean.device, non_blocking=True))
    return (image - model.pixel_mean) / model.pixel_std


def run_first_stage(
    model: nn.Module, inputs: list[dict]
) -> tuple[ImageList, dict[str, Tensor], list[Instances]]:
    """What any detector on detectron2's contract makes of inputs before its second stage.

    The normalised images, their features by name, and proposals in them; the detections of a
    one-stage detector.
    """
    images = model.preprocess_image(inputs)
    features = model.backbone(images.tensor)
    proposals, _ = model.proposal_generator(images, features, None)
    return images, features, proposals


def first_head(model: nn.Module) -> nn.Module:
    """The head of a detector's first stage."""
    return getattr(model.proposal_generator, _head_name(model))


def set_first_head(model: nn.Module, head: nn.Module) -> None:
    """Replace the head of a detector's first stage."""
    setattr(model.proposal_generator, _head_name(model), head)


def _head_name(model):
    return "rpn_head" if hasattr(model.proposal_generator, "rpn_head") else "head"


def region_heads(model: nn.Module) -> list[nn.Module]:
    """The heads of a detector's second stage, one a stage; none of a one-stage detector."""
    return list(model.roi_heads.box_head) if hasattr(model, "roi_heads") else []


def _ordered(model, image):
    return image if model.pixels.order == "RGB" else image.flip(0)


def _padded(model, batched_inputs):
    images = [normalised(model, inputs["image"]) for inputs in batched_inputs]
    padding = model.backbone.size_divisibility, model.backbone.padding_constraints
    images = ImageList.from_tensors(images, padding[0], padding_constraints=padding[1])
    if size := batched_inputs[0].get("padded_to"):
        wanted = [-(-side // padding[0]) * padding[0] for side in size]
        height, width = (
            more - has for more, has in zip(wanted, images.tensor.shape[-2:], strict=True)
        )
        images.tensor = pad(images.tensor, (0, width, 0, height))
    return images


def _in_original_pixels(instances, inputs, sizes):
    return [
        detector_postprocess(rows, image.get("height", size[0]), image.get("width", size[1]))
        for rows, image, size in zip(instances, inputs, sizes, strict=True)
    ]


def _as_proposals(detections):
    return Instances(
        detections.image_size,
        proposal_boxes=detections.pred_boxes,
        objectness_logits=detections.p_object.logit(),
        level=detections.level,
    )
