"""Any detector as an ONNX file for images of one size, and onnxruntime's answers from that file.

A selection always leaves the same number of rows, the likeliest first; those that only fill up
have score -inf. A graph cannot raise: it says whether all its values were finite.

R candidates or regions, L levels, A locations or anchors, K classes, G groups of boxes that
compete in NMS (classes or levels).
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import torch
from detectron2.modeling import detector_postprocess
from detectron2.modeling.poolers import assign_boxes_to_levels
from detectron2.structures import Boxes, Instances
from torch import nn
from torch.nn import functional as F
from torchvision.ops import clip_boxes_to_image

from p2s.maths.likelihood import FUSIONS, fuse
from p2s.model.detector import OneStageDetector, TwoStageDetector
from p2s.model.first.adaptive_rpn import AdaptiveRPN
from p2s.model.first.contract import FirstStage, OneStage
from p2s.model.first.dense import Candidates, to_logit
from p2s.model.first.rpn import FlooredRPN

try:
    import onnxruntime
    from onnxscript import opset18 as op
except ImportError as error:
    raise ImportError(f"{error}: run `pip install onnx onnxscript onnxruntime`") from None

INF = float("inf")
FIELDS = ("pred_boxes", "scores", "pred_classes", "p_object", "p_class", "level")
OUTPUTS = (*FIELDS, "count", "finite")

# Two operators that exist in graphs only, where one of torch's would have a data-dependent shape.
# NMS of boxes (R, 4) within each group, by scores (G, R) above the floor: the best `keep` scores
# of all groups, and their rows, (keep, 2): a group and a box.
torch.library.define(
    "p2s::nms_by_group",
    "(Tensor boxes, Tensor scores, float iou, float floor, int keep) -> (Tensor, Tensor)",
)
# RoIAlign of boxes (R, 4) with `side` cells a side, each on the map (1, C, H, W) of its level (R,).
torch.library.define(
    "p2s::pool_by_level",
    "(Tensor[] maps, Tensor boxes, Tensor level, float[] scales, int side) -> Tensor",
)


@torch.library.register_fake("p2s::nms_by_group")
def _(boxes, scores, iou, floor, keep):
    return scores.new_empty(keep), scores.new_empty((keep, 2), dtype=torch.long)


@torch.library.register_fake("p2s::pool_by_level")
def _(maps, boxes, level, scales, side):
    return boxes.new_empty((len(boxes), maps[0].shape[1], side, side))


def _nms_in_onnx(boxes, scores, iou: float, floor: float, keep: int):
    image = (op.Unsqueeze(boxes, [0]), op.Unsqueeze(scores, [0]))
    rows = op.NonMaxSuppression(*image, [keep], [iou], [floor])
    rows = op.Slice(rows, [1], [3], [1])  # a group and a box, without the image
    scores = op.Pad(op.GatherND(scores, rows), [0, keep], -INF)
    scores, order = op.TopK(scores, [keep])
    return scores, op.Gather(op.Pad(rows, [0, 0, keep, 0]), order)


def _pool_in_onnx(maps, boxes, level, scales: Sequence[float], side: int):
    shape = {"output_height": side, "output_width": side, "sampling_ratio": 0}
    pooled, rows = [], []
    for index, (features, scale) in enumerate(zip(maps, scales, strict=True)):
        row = op.Squeeze(op.NonZero(op.Equal(level, index)), [0])
        places = (op.Gather(boxes, row), op.Sub(row, row))  # all in image 0
        aligned = {"coordinate_transformation_mode": "half_pixel", "spatial_scale": scale}
        pooled.append(op.RoiAlign(features, *places, **aligned, **shape))
        rows.append(row)
    row = op.Concat(*rows, axis=0)
    _, order = op.TopK(row, op.Shape(row), largest=0)
    return op.Gather(op.Concat(*pooled, axis=0), order)


OPERATORS = {
    torch.ops.p2s.nms_by_group.default: _nms_in_onnx,
    torch.ops.p2s.pool_by_level.default: _pool_in_onnx,
}


def export(model, path, size):
    """Write a detector as an ONNX file that takes one RGB image (3, H, W) in 0..255.

    `size` is (height, width) in pixels. The file holds the weights and test settings that the
    model has now; the model stays as it is. ValueError for another model or size.
    """
    graph = _graph(model, _checked(size))
    with torch.no_grad():
        torch.onnx.export(
            graph,
            (torch.zeros(3, *graph.size),),
            path,
            input_names=["image"],
            output_names=OUTPUTS,
            custom_translation_table=OPERATORS,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


class OnnxDetector:
    """An exported file as a detector, which takes and answers what ours do in evaluation.

    `threads` None lets onnxruntime use all cores. ValueError for a file of something else or an
    image of another size, FloatingPointError where a score or box is not finite.
    """

    def __init__(self, path, threads=None):
        self.session = _session(path, threads)
        if tuple(each.name for each in self.session.get_outputs()) != OUTPUTS:
            raise ValueError(f"{path} is no detector that p2s exported")
        self.path, self.size = path, tuple(self.session.get_inputs()[0].shape[1:])

    def __call__(self, batched_inputs):
        """The detections of each image, one after the other."""
        return [{"instances": self._detect(one)} for one in batched_inputs]

    def _detect(self, one):
        shape, wanted = tuple(one["image"].shape), (3, *self.size)
        if shape != wanted:
            raise ValueError(f"image of shape {shape}; {self.path} takes {wanted}")
        image = torch.as_tensor(one["image"]).float().numpy()
        *fields, count, finite = map(torch.from_numpy, self.session.run(OUTPUTS, {"image": image}))
        if not finite:
            raise FloatingPointError(f"non-finite score or box in {self.path}")
        found = Instances(self.size, **dict(zip(FIELDS, fields, strict=True)))[: int(count)]
        found.pred_boxes = Boxes(found.pred_boxes)
        height, width = self.size
        return detector_postprocess(found, one.get("height", height), one.get("width", width))


class _OneStage(nn.Module):
    """From an image to detections by tensors of fixed shape."""

    def __init__(self, model, size):
        super().__init__()
        self.model, self.size = model, size

    def forward(self, image):
        found, finite = self.propose(self.features(image))
        scores = found.logit.sigmoid()
        p_class = (scores <= 1).float()  # 1; the exporter warns of an output that is a constant
        fields = (found.boxes, scores, found.classes, scores, p_class, found.level)
        return *fields, (found.logit > -INF).sum(), finite

    def features(self, image):
        image = (image - self.model.pixel_mean) / self.model.pixel_std
        unit, (height, width) = self.model.backbone.size_divisibility, self.size
        return self.model.backbone(F.pad(image, (0, -width % unit, 0, -height % unit))[None])

    def propose(self, features):
        """Rows that leave the first stage, and whether all its values were finite."""
        return _of_locations(self.model.proposal_generator, features, self.size)


class _TwoStage(_OneStage):
    def __init__(self, model, size):
        super().__init__(model, size)
        self.has_anchors = isinstance(model.proposal_generator, FlooredRPN)
        if self.has_anchors:  # its own would leave lists of any length
            model.proposal_generator.predict_proposals = lambda *predictions: predictions

    def forward(self, image):
        features, heads = self.features(image), self.model.roi_heads
        proposals, finite = self.propose(features)
        boxes, p_class, finite_too = _classify(heads, features, proposals.boxes, self.size)
        p_object, test = proposals.logit.sigmoid(), heads.test
        scores = fuse(p_class, p_object[:, None], *FUSIONS[test.fusion])
        scores = scores.masked_fill(proposals.logit[:, None] == -INF, -INF)
        limits = (test.nms, test.score_threshold, test.detections)
        scores, rows = torch.ops.p2s.nms_by_group(boxes, scores.T, *limits)
        label, row = rows.unbind(1)
        level = proposals.level[row]
        fields = (boxes[row], scores, label, p_object[row], p_class[row, label], level)
        return *fields, (scores > -INF).sum(), finite & finite_too

    def propose(self, features):
        if not self.has_anchors:
            return super().propose(features)
        rows, finite = _of_anchors(self.model.proposal_generator, features, self.size)
        regions = Instances(self.size, proposal_boxes=Boxes(rows.boxes))
        return replace(rows, level=self.model.roi_heads._levels(regions)), finite


def _session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    providers = ["CPUExecutionProvider"]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's own errors have no base of theirs
        raise ValueError(f"{path} is no ONNX file: {str(error).splitlines()[0]}") from None


def _checked(size):
    sides = list(size) if isinstance(size, tuple | list) else []
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(f"size {size!r}; valid: (height, width) in whole pixels")
    return tuple(sides)


def _graph(model, size):
    stages = {
        OneStageDetector: (_OneStage, OneStage),
        TwoStageDetector: (_TwoStage, FirstStage | FlooredRPN),
    }
    graph, stage = stages.get(type(model), (None, ()))
    proposer = getattr(model, "proposal_generator", None)
    if not isinstance(proposer, stage) or isinstance(proposer, AdaptiveRPN):
        kind = type(model if graph is None else proposer).__name__
        valid = "what p2s.model.zoo builds, but GA RPN and Cascade RPN"
        raise ValueError(f"a {kind} has no ONNX form; valid: {valid}")
    alone = copy.deepcopy(model).to("cpu", memory_format=torch.contiguous_format)
    return graph(alone, size).eval()


def _of_locations(stage, features, size):
    grid, predictions = stage.predict(features)
    rule, anchors = stage.test_selection, len(stage.anchors.shapes)
    counts = [anchors * features[name][0, 0].numel() for name in stage.in_features]
    logit = stage.score(predictions)[0]  # (A, K)
    boxes = stage.objective.coding.decode(grid, predictions.box[0])  # (A, 4)
    finite = _finite(logit, boxes)
    boxes = clip_boxes_to_image(boxes, size) if rule.clip else boxes
    best = _best(boxes, logit, counts, rule.pre_nms)
    limits = (rule.nms, to_logit(rule.floor), rule.keep)
    rows = _suppress(best, best.classes, logit.shape[1], limits)
    return replace(rows, level=stage.strides.log2().long()[rows.level]), finite


def _of_anchors(stage, features, size):
    (anchors, logits, deltas, _), _ = stage(SimpleNamespace(image_sizes=[size]), features)
    counts = [len(each) for each in anchors]
    logit, deltas = torch.cat(logits, 1)[0, :, None], torch.cat(deltas, 1)  # (A, 1), (1, A, 4)
    boxes = stage._decode_proposals([Boxes.cat(anchors)], [deltas])[0][0]
    boxes = clip_boxes_to_image(boxes, size)
    best = _best(boxes, logit, counts, stage.pre_nms_topk[False])
    limits = (stage.nms_thresh, stage.test_floor, stage.post_nms_topk[False])
    return _suppress(best, best.level, len(counts), limits), _finite(logit, deltas)


def _best(boxes, logit, counts, most):
    """At most so many candidates of each level, which has `counts` of A boxes; `level` from 0."""
    levels, parts = [], zip(boxes.split(counts), logit.split(counts), strict=True)
    for level, (box, of_level) in enumerate(parts):
        best, index = of_level.flatten().topk(min(most, of_level.numel()))  # of (A K,)
        at, label = index // logit.shape[1], index % logit.shape[1]
        levels.append((box[at], best, label, torch.full_like(label, level)))
    return Candidates(*map(torch.cat, zip(*levels, strict=True)))


def _suppress(rows, group, groups, limits):
    competes = (group == torch.arange(groups)[:, None]) & Boxes(rows.boxes).nonempty()  # (G, R)
    scores = torch.where(competes, rows.logit, -INF)
    logit, kept = torch.ops.p2s.nms_by_group(rows.boxes, scores, *limits)
    return replace(rows[kept[:, 1]], logit=logit)


def _classify(heads, features, boxes, size):
    maps, stage_probs, finite = [features[name] for name in heads.box_in_features], [], []
    for head, predictor in zip(heads.box_head, heads.box_predictor, strict=True):
        logits, deltas = predictor(head(_pool(heads.box_pooler, maps, boxes)))
        boxes = predictor.box2box_transform.apply_deltas(deltas, boxes)
        finite.append(_finite(logits, deltas, boxes))
        boxes = clip_boxes_to_image(boxes, size)
        stage_probs += predictor.predict_probs((logits, deltas), [boxes])
    p_class = torch.stack(stage_probs).mean(0)[:, :-1]  # without background
    return boxes, p_class, torch.stack(finite).all()


def _pool(pooler, maps, boxes):
    boxes = boxes.nan_to_num(0, 0, 0)  # onnxruntime refuses a region that is not finite
    sizes = (pooler.canonical_box_size, pooler.canonical_level)
    level = assign_boxes_to_levels([Boxes(boxes)], pooler.min_level, pooler.max_level, *sizes)
    return torch.ops.p2s.pool_by_level(maps, boxes, level, pooler.scales, pooler.output_size[0])


def _finite(*tensors):
    return torch.stack([each.isfinite().all() for each in tensors]).all()
