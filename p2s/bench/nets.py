"""Full-size detectors to measure, ours and others', that find something everywhere.

Weights are random, with biases that give as many proposals and detections as a crowded picture.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from p2s.bench.timing import CPU
from p2s.deploy.means import means_of
from p2s.model.detector import first_head
from p2s.model.zoo import build
from p2s.scratch import scratch
from p2s.spec import Spec
from p2s.spec.memory import require_image

SAY_OBJECT = ("score", "centerness", "objectness_logits", "objectness", "location")  # layers
LIKELY_CLASSES = slice(1, 11)  # that random weights detect; torchvision's class 0 is background


def lively(spec: Spec, seed: int = 0) -> nn.Module:
    """A detector of random weights that finds something everywhere, in evaluation mode."""
    torch.manual_seed(seed)
    model = build(spec).eval().requires_grad_(False)
    head = first_head(model)
    certain = [name for name in SAY_OBJECT if hasattr(head, name)]
    if spec.second == "none":
        certain.remove("score")
        head.score.bias.view(-1, spec.num_classes)[:, LIKELY_CLASSES] = -1.0
    for name in certain:
        getattr(head, name).bias.fill_(2.0)
    for predictor in model.roi_heads.box_predictor if spec.second != "none" else ():
        predictor.cls_score.bias[LIKELY_CLASSES] = 8.0
    return model


def picture(size: tuple[int, int], seed: int = 0) -> list[dict]:
    """An input of noise, height and width in pixels."""
    require_image(*size, min(size))
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(256, (3, *size), dtype=torch.uint8, generator=generator)
    return [{"image": image, "height": size[0], "width": size[1]}]


def torchvisions(net: Callable, device: torch.device = CPU) -> nn.Module:
    """A torchvision detector of random weights that finds something everywhere, on our inputs."""
    torch.manual_seed(0)
    model = net(weights=None, weights_backbone=None, box_detections_per_img=100)
    if hasattr(model, "rpn"):
        scores = model.roi_heads.box_predictor.cls_score.bias[None]
    else:
        head = model.head.classification_head
        scores, model.detections_per_img = head.cls_logits.bias.view(-1, head.num_classes), 100
    with torch.no_grad():
        scores[:, LIKELY_CLASSES] = 8.0 if hasattr(model, "rpn") else -1.0
    return _OnOurInputs(model.eval().requires_grad_(False).to(device))


def with_our_means(net: Callable, device: torch.device = CPU) -> nn.Module:
    """The same as fast as our means make it: channels_last, backbone and dense head compiled."""
    detector, means = torchvisions(net, device), means_of(device)
    model = detector.model.to(memory_format=torch.channels_last)
    model.backbone = means.compiled(model.backbone)
    part = model.rpn if hasattr(model, "rpn") else model
    part.head = means.compiled(part.head)
    return detector


def onnx(model: nn.Module, size: tuple[int, int], calibration: Sequence[dict] = ()) -> Callable:
    """A detector as onnxruntime runs it, in int8 where calibration images are given."""
    from p2s.deploy.onnx_export import OnnxDetector, export
    from p2s.deploy.onnx_int8 import to_int8

    with scratch() as folder:
        path = folder / "model.onnx"
        export(model, path, size)
        if calibration:
            path, exported = path.with_name("int8.onnx"), path
            to_int8(exported, path, calibration)
        return OnnxDetector(path, torch.get_num_threads())


class _OnOurInputs(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, inputs):
        device = next(self.model.parameters()).device
        return self.model([image["image"].to(device) / 255 for image in inputs])


class Autocast(nn.Module):
    """A whole model, its losses and boxes too, under autocast to bf16, as detectron2 trains."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, inputs: list[dict]) -> list[dict] | dict[str, torch.Tensor]:
        """As the model."""
        with torch.autocast(next(self.model.parameters()).device.type, torch.bfloat16):
            return self.model(inputs)
