"""Any detector as an ONNX file for images of one size, and onnxruntime's answers from that file.

A graph is the model itself, where three things have another form: a selection always leaves the
same number of rows, the likeliest first, of which those that only fill up have score -inf; regions
are pooled by an operator; and a graph cannot raise, so it says whether all values were finite.

R boxes, G groups of boxes that compete in NMS (classes or levels).
"""

import copy
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from detectron2.structures import Boxes, ImageList
from torch import nn
from torch.nn import functional as F

from p2s.deploy.exported import FIELDS, OUTPUTS, Exported
from p2s.model.detector import OneStageDetector, TwoStageDetector, normalised, run_first_stage
from p2s.model.first.adaptive_rpn import AdaptiveRPN
from p2s.model.first.contract import DenseFirstStage, OneStage
from p2s.model.first.rpn import FlooredRPN

try:
    import onnxruntime

    from p2s.deploy.onnx_operators import OPERATORS
except ImportError as error:
    raise ImportError(f"{error}: run `pip install onnx onnxscript onnxruntime`") from None

INF = float("inf")
STAGES = {OneStageDetector: OneStage, TwoStageDetector: DenseFirstStage | FlooredRPN}


def export(
    model: OneStageDetector | TwoStageDetector, path: str | Path, size: tuple[int, int]
) -> None:
    """Write a detector as an ONNX file that takes one RGB image (3, H, W) in 0..255.

    `size` is (height, width) in pixels. The file holds the weights and test settings that the
    model has now; the model stays as it is. ValueError for another model or size.
    """
    size = _checked(size)
    _refuse_formless(model)
    graph = _Graph(copy.deepcopy(model).to("cpu", memory_format=torch.contiguous_format)).eval()
    with torch.no_grad():
        torch.onnx.export(
            graph,
            (torch.zeros(3, *size),),
            path,
            input_names=["image"],
            output_names=OUTPUTS,
            custom_translation_table=OPERATORS,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


class _Graph(nn.Module):
    """From an image to detections by tensors of fixed shape."""

    def __init__(self, model):
        super().__init__()
        self.model, self.notes = model, _Notes()
        model.preprocess_image = partial(_preprocess, model)
        first = model.proposal_generator
        first.select, first.check = partial(self.notes.select, _groups(first)), self.notes.check
        if heads := getattr(model, "roi_heads", None):
            heads.select, heads.check = self.notes.select_classes, self.notes.check
            heads.box_pooler.forward = partial(_pool, heads.box_pooler)

    def forward(self, image):
        self.notes.finite.clear()
        images, features, [rows] = run_first_stage(self.model, [{"image": image}])
        for values in features.values():  # a top-k may pass over what is not a number
            self.notes.check(values.isfinite(), None)
        if hasattr(self.model, "roi_heads"):
            [rows], _ = self.model.roi_heads(images, features, [rows])
        else:
            rows.p_class = (rows.scores <= 1).float()  # 1; of a constant the exporter would warn
        fields = [rows.get(name) for name in FIELDS[1:]]
        finite = torch.stack(self.notes.finite).all()
        return rows.pred_boxes.tensor, *fields, self.notes.count, finite


class _Notes:
    """Selections and checks as a graph can have them, and what they found."""

    def __init__(self):
        self.finite, self.count = [], None  # a flag for each check; rows of the last selection

    def check(self, finite, describe):
        """As `p2s.maths.finite.refuse_nonfinite`, but noted."""
        self.finite.append(finite.all())

    def select(self, groups, boxes, scores, classes, threshold, nms, keep):
        """As `p2s.maths.selection.select` of so many classes, always `keep` rows."""
        in_group = classes == torch.arange(groups)[:, None]  # (G, R)
        scores = torch.where(in_group, scores, -INF)
        row, _, scores = self.select_classes(boxes, scores.T, threshold, nms, keep)
        return row, scores

    def select_classes(self, boxes, scores, threshold, nms, keep):
        """As `p2s.maths.selection.select_classes`, always `keep` rows."""
        scores, rows = torch.ops.p2s.nms_by_group(boxes, scores.T, nms, threshold, keep)
        self.count = (scores > -INF).sum()
        label, row = rows.unbind(1)
        return row, label, scores


def _preprocess(model, inputs):
    # detectron2's own pads by a size that it computes with tensors.
    [image] = [normalised(model, of_image["image"]) for of_image in inputs]
    unit, (height, width) = model.backbone.size_divisibility, image.shape[1:]
    padded = F.pad(image, (0, -width % unit, 0, -height % unit))[None]
    return ImageList(padded, [(height, width)])


def _pool(pooler, maps, box_lists):
    # onnxruntime refuses a region that is not finite.
    boxes = Boxes(box_lists[0].tensor.nan_to_num(0, 0, 0))
    side, level = pooler.output_size[0], pooler.levels([boxes])
    return torch.ops.p2s.pool_by_level(maps, boxes.tensor, level, pooler.scales, side)


def _groups(stage):
    """How many groups of boxes compete in NMS: levels of an RPN, else classes."""
    if isinstance(stage, FlooredRPN):
        return len(stage.in_features)
    return stage.head.score.out_channels // len(stage.anchors.shapes)


def _checked(size):
    sides = list(size) if isinstance(size, tuple | list) else []
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(f"size {size!r}; valid: (height, width) in whole pixels")
    return tuple(sides)


def _refuse_formless(model):
    stage, stages = getattr(model, "proposal_generator", None), STAGES.get(type(model), ())
    if not isinstance(stage, stages) or isinstance(stage, AdaptiveRPN):
        kind = type(stage if stages else model).__name__
        valid = "what p2s.model.zoo builds, but GA RPN and Cascade RPN"
        raise ValueError(f"a {kind} has no ONNX form; valid: {valid}")
    predictors = getattr(getattr(model, "roi_heads", None), "box_predictor", ())
    if any(predictor.bbox_pred.out_features > 4 for predictor in predictors):
        raise ValueError("boxes by class have no ONNX form; valid: second_stage.boxes agnostic")


class OnnxDetector(Exported):
    """An exported file as a detector, by onnxruntime.

    `threads` None lets onnxruntime use all cores. ValueError for a file of something else.
    """

    def __init__(self, path: str | Path, threads: int | None = None):
        self.session = _session(path, threads)
        [image] = self.session.get_inputs()
        outputs = tuple(output.name for output in self.session.get_outputs())
        super().__init__(path, outputs, tuple(image.shape[1:]))

    def answers(self, image: np.ndarray) -> Sequence[np.ndarray]:
        """The values of OUTPUTS, in their order."""
        return self.session.run(OUTPUTS, {"image": image})


def _session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    providers = ["CPUExecutionProvider"]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's own errors have no base of theirs
        raise ValueError(f"{path} is no ONNX file: {str(error).splitlines()[0]}") from None
