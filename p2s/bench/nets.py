"""What is measured: full-size detectors, ours and others', that find something everywhere.

Weights are random, with biases that give as many proposals and detections as a crowded picture.
"""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torchvision.models import detection

from p2s.bench.train import stock
from p2s.deploy.fast import compiled, first_head, optimize
from p2s.model.zoo import build
from p2s.spec import NAMED, Spec
from p2s.study.experiments import cells

SAY_OBJECT = ("score", "centerness", "objectness_logits", "objectness", "location")  # layers
LIKELY_CLASSES = slice(1, 11)  # that random weights detect; torchvision's class 0 is background
LARGE_VOCABULARY = {"classes": 365, "detections": 300}  # what Tables 7 and 8 keep of an image
TORCHVISION = {
    "torchvision fasterrcnn_resnet50_fpn": detection.fasterrcnn_resnet50_fpn,
    "torchvision retinanet_resnet50_fpn": detection.retinanet_resnet50_fpn,
}


@dataclass(frozen=True)
class Way:
    """A way to run a detector: what makes the model, and what can be said of it."""

    make: Callable  # () -> a callable on detectron2's inputs
    spec: Spec | None = None  # of the network; None of another project's
    precision: str = "fp32"
    staged: bool = True  # whether its parts can be timed one by one
    detector: str = ""  # a name of the paper's tables


def lively(spec, seed=0):
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


def picture(size, seed=0):
    """An input of noise, height and width in pixels."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(256, (3, *size), dtype=torch.uint8, generator=generator)
    return [{"image": image, "height": size[0], "width": size[1]}]


def means(detector, size):
    """Every way to run one detector on an image of a size, by name; others' come first.

    The first is the reference: the authors' package where it has the detector, else detectron2's
    layout and RoIAlign.
    """
    spec = Spec.named(detector)
    if (spec.first, spec.second) == ("centernet", "cascade"):
        from p2s.bench import peers

        spec = spec.changed(peers.AUTHORS)
        model = peers.like_theirs(lively(spec))
        found = {"authors' centernet2": Way(partial(peers.authors, model, spec), spec)}
    else:
        model = lively(spec)
        found = {"detectron2's way": Way(lambda: stock(copy.deepcopy(model)), spec)}
    found["ours, as trained"] = Way(lambda: model, spec)
    found["ours, optimised, eager"] = Way(partial(optimize, model, compile=False), spec)
    for precision in ("fp32", "bf16"):
        fast = partial(optimize, model, precision)
        found[f"ours, optimised, {precision}"] = Way(fast, spec, precision)
    int8 = partial(optimize, model, "int8", calibration=picture(size))
    found["ours, optimised, int8"] = Way(int8, spec, "int8")
    found["ours, onnxruntime"] = Way(partial(onnx, model, size), spec, staged=False)
    int8 = partial(onnx, model, size, calibration=picture(size))
    found["ours, onnxruntime, int8"] = Way(int8, spec, "int8", staged=False)
    for name, net in TORCHVISION.items():
        as_shipped = partial(torchvisions, net)
        found[name] = Way(as_shipped, staged=False)
        found[f"{name}, our means"] = Way(partial(_our_means, as_shipped), staged=False)
    return found


def detectors(names=tuple(NAMED)):
    """The optimised model of every named detector, CenterNet2 the reference."""
    ordered = sorted(names, key=lambda name: name != "CenterNet2")  # stable: the others as named
    return {name: _optimised(name, Spec.named(name)) for name in ordered}


def with_classes(names, counts):
    """The optimised models of detectors with so many classes; 300 detections from 365 on."""
    found = {}
    for name in names:
        for count in counts:
            spec = Spec.named(name).changed({"num_classes": count})
            if count >= LARGE_VOCABULARY["classes"]:
                detections = LARGE_VOCABULARY["detections"]
                spec = spec.changed({"test": {"detections": detections}})
            found[f"{name}, {count} classes"] = _optimised(name, spec)
    return found


def with_proposals(names, counts):
    """The optimised models of detectors with so many proposals an image."""
    return {
        f"{name}, {count} proposals": _optimised(
            name, Spec.named(name).changed({"test": {"proposals": count}})
        )
        for name in names
        for count in counts
    }


def of_rows(experiment, scale):
    """The optimised model of each row of an experiment at a `Scale`, in the first variant.

    All keep scores above detectron2's threshold: a variant with all scores is for AP. It has the
    classes of the experiment's data set, and is not compiled: that takes a minute a row and gains
    little over the means before it. Raises ValueError where it has no row at that scale.
    """
    scale = scale.on(experiment.data_set)
    classes = {name: n for name, n in scale.changes.items() if name == "num_classes"}
    pairs, found = cells(experiment, scale), {}
    for row, variant in pairs:
        if variant is pairs[0][1]:
            named = Spec.named(row.detector)
            spec = named.changed(classes).changed(row.changes)
            spec = spec.changed(variant.changes if variant else {})
            spec = spec.changed({"test": {"score_threshold": named.test.score_threshold}})
            found[row.name] = _optimised(row.detector, spec, compile=False)
    if not found:
        raise ValueError(f"experiment {experiment.name}: no row has a full size, all are of scenes")
    return found


def torchvisions(net):
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
    return _OnOurInputs(model.eval().requires_grad_(False))


class _OnOurInputs(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, inputs):
        return self.model([one["image"] / 255 for one in inputs])


def _optimised(detector, spec, compile=True):
    return Way(lambda: optimize(lively(spec), compile=compile), spec, detector=detector)


def _our_means(make):
    detector = make()
    model = detector.model.to(memory_format=torch.channels_last)
    model.backbone = compiled(model.backbone)
    part = model.rpn if hasattr(model, "rpn") else model
    part.head = compiled(part.head)
    return detector


def onnx(model, size, calibration=()):
    """A detector as onnxruntime runs it, in int8 where calibration images are given."""
    from p2s.deploy.onnx_export import OnnxDetector, export
    from p2s.deploy.onnx_int8 import to_int8

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export(model, path, size)
        if calibration:
            path, exported = path.with_name("int8.onnx"), path
            to_int8(exported, path, calibration)
        return OnnxDetector(path, torch.get_num_threads())
