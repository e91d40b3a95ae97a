"""The second stage: P(C|O) of each proposal, and P(O) carried into the score (Sec. 4, Eq. 1).

Faster R-CNN's head is a cascade of one stage; training is detectron2's throughout.
N images, R regions, K classes.
"""

from collections.abc import Callable

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.proposal_generator.proposal_utils import (
    add_ground_truth_to_proposals,
)
from detectron2.modeling.roi_heads import CascadeROIHeads
from detectron2.structures import Boxes, ImageList, Instances, pairwise_iou
from torch import Tensor
from torch.nn.functional import pad
from torchvision.ops import clip_boxes_to_image

from p2s.maths.finite import finite_rows, refuse_nonfinite
from p2s.maths.likelihood import FUSIONS, fuse
from p2s.maths.selection import boxes_of, select_classes
from p2s.model.regions import Matching, Transform
from p2s.model.second.heads import RegionHead, RegionPredictor
from p2s.model.second.pooler import CANONICAL_SIZE, FastROIPooler
from p2s.spec import Spec, Test

RESOLUTION = 7  # cells a side of a pooled region; d2
CODING = ((10, 10, 5, 5), (20, 20, 10, 10), (30, 30, 15, 15))  # box weights of a stage; d2


class SecondStage(CascadeROIHeads):
    """detectron2's cascade whose detections remember their proposal: P(O), P(C|O) and level.

    `set_test` decides how proposals become detections, at any time. `select` and `check` are what
    selects and what refuses values that are not finite; another of their like may take their place.
    """

    select = staticmethod(select_classes)
    check = staticmethod(refuse_nonfinite)

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        proposals: list[Instances],
        targets: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """As detectron2's; a truth that is there for the first stage alone is left out."""
        if targets is not None:
            targets = [_annotated(truths) for truths in targets]
        return super().forward(images, features, proposals, targets)

    def set_test(self, test: Test) -> None:
        """Detect by these settings (spec.Test) from now on; no weight changes."""
        self.test = test

    def classify(
        self, features: dict[str, Tensor], proposals: list[Instances]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Final boxes (R, 4) and class probabilities (R, K+1), background last, of each image.

        Row r belongs to proposal r. Boxes are clipped; probabilities are the mean of the stages.
        With boxes by class a row has one box for each, (R, 4 K).
        """
        boxes, p_class = self.classify_by_stage(features, proposals)
        return boxes, [by_stage.mean(0) for by_stage in p_class]

    def classify_by_stage(
        self, features: dict[str, Tensor], proposals: list[Instances]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """As `classify`, with the class probabilities of each of S stages: (S, R, K+1)."""
        maps = [features[name] for name in self.box_in_features]
        sizes = [of_image.image_size for of_image in proposals]
        boxes, stage_probs = [of_image.proposal_boxes.tensor for of_image in proposals], []
        for stage, predictor in enumerate(self.box_predictor):
            regions = [
                Instances(size, proposal_boxes=Boxes(of_image))
                for size, of_image in zip(sizes, boxes, strict=True)
            ]
            outputs = self._run_stage(maps, regions, stage)
            boxes = predictor.predict_boxes(outputs, regions)
            stage_probs.append(predictor.predict_probs(outputs, regions))
            self._refuse_nonfinite("boxes of a cascade stage", torch.cat(boxes))
            pairs = zip(boxes, sizes, strict=True)
            boxes = [clip_boxes_to_image(of_image.detach(), size) for of_image, size in pairs]
        p_class = [torch.stack(of_image) for of_image in zip(*stage_probs, strict=True)]
        return boxes, p_class

    @torch.no_grad()
    def label_and_sample_proposals(
        self, proposals: list[Instances], targets: list[Instances]
    ) -> list[Instances]:
        """As detectron2's, less its counts, for which a device would be waited for.

        Truths are proposals too, so these may hold only what a truth has.
        """
        bare = [
            Instances(
                of_image.image_size,
                proposal_boxes=of_image.proposal_boxes,
                objectness_logits=of_image.objectness_logits,
            )
            for of_image in proposals
        ]
        pairs = zip(add_ground_truth_to_proposals(targets, bare), targets, strict=True)
        return [self._sampled(*of_image) for of_image in pairs]

    def _sampled(self, regions, truths):
        truth, label = self._match(regions, truths, self.proposal_matcher)
        rows, classes = self._sample_proposals(truth, label, truths.gt_classes)
        return _taught(regions[rows], classes, truths, truth[rows])

    @torch.no_grad()
    def _match_and_label_boxes(self, proposals, stage, targets):
        """As detectron2's, less its counts."""
        for regions, truths in zip(proposals, targets, strict=True):
            truth, label = self._match(regions, truths, self.proposal_matchers[stage])
            classes = pad(truths.gt_classes, (0, 1), value=self.num_classes)[truth]
            classes = classes.masked_fill(label == 0, self.num_classes)
            _taught(regions, classes, truths, truth)
        return proposals

    def _match(self, regions, truths, matcher):
        return matcher(pairwise_iou(truths.gt_boxes, regions.proposal_boxes))

    def _run_stage(self, features, proposals, stage):
        logits, deltas = super()._run_stage(features, proposals, stage)
        self._refuse_nonfinite(f"class logits of cascade stage {stage + 1}", logits)
        self._refuse_nonfinite(f"box deltas of cascade stage {stage + 1}", deltas)
        return logits, deltas

    def _create_proposals_from_boxes(self, boxes, image_sizes):
        # detectron2's asserts for each image that its boxes are finite.
        self._refuse_nonfinite("boxes of a cascade stage", torch.cat(boxes))
        pairs = zip(boxes, image_sizes, strict=True)
        clipped = [Boxes(clip_boxes_to_image(of_image.detach(), size)) for of_image, size in pairs]
        return [
            Instances(size, proposal_boxes=of_image[of_image.nonempty()])
            for of_image, size in zip(clipped, image_sizes, strict=True)
        ]

    def _forward_box(self, features, proposals, targets=None):
        if self.training:
            return super()._forward_box(features, proposals, targets)
        outputs = zip(*self.classify(features, proposals), proposals, strict=True)
        return [self._detections(*of_image) for of_image in outputs]

    def _detections(self, boxes, p_class, proposals):
        p_object = proposals.objectness_logits.sigmoid()  # (R,)
        p_class = p_class[:, :-1]  # (R, K)
        scores = fuse(p_class, p_object[:, None], *FUSIONS[self.test.fusion])  # (R, K)
        self._refuse_nonfinite("fused scores", scores)
        # What surely is no object never leaves: in a graph such rows fill up the proposals.
        scores = scores.masked_fill(proposals.objectness_logits[:, None] == -torch.inf, -torch.inf)
        limits = self.test.score_threshold, self.test.nms, self.test.detections
        row, label, scores = self.select(boxes, scores, *limits)
        return Instances(
            proposals.image_size,
            pred_boxes=Boxes(boxes_of(boxes, row, label)),
            scores=scores,
            pred_classes=label,
            p_object=p_object[row],
            p_class=p_class[row, label],
            level=self.levels(proposals)[row],
        )

    def levels(self, proposals: Instances) -> Tensor:
        """The level of each proposal of an image, 3 for P3, (R,).

        detectron2's own RPN drops it: then it is the one that the region is pooled at.
        """
        if proposals.has("level"):
            return proposals.level
        return self.box_pooler.min_level + self.box_pooler.levels([proposals.proposal_boxes])

    def _refuse_nonfinite(self, what, values):
        self.check(
            finite_rows(values), lambda bad: f"{what}: {int(bad.sum())} of {len(bad)} regions"
        )


def second_stage(
    spec: Spec,
    strides: dict[str, int],
    channels: int,
    make: Callable = SecondStage,
    predict: Callable = RegionPredictor,
) -> SecondStage:
    """The Faster or Cascade head of a Spec on maps `{name: stride}` with `channels` channels.

    `make` takes what detectron2's CascadeROIHeads does, `predict` what its predictors do.

    Regions are pooled from the levels that a Spec names, else from all, but P6 of P2-P6: there it
    serves the RPN only (Lin et al., 2017, Feature Pyramid Networks, Sec. 4.2).
    """
    every = (2, 5) if spec.levels == (2, 6) else spec.levels
    finest, coarsest = spec.second_stage.pooled or every
    names = [name for name in strides if finest <= int(name[1:]) <= coarsest]
    pooled = ShapeSpec(channels=channels, height=RESOLUTION, width=RESOLUTION)
    stage, ious = spec.second_stage, spec.second_stage.iou
    trunks = [RegionHead(pooled, conv_dims=[], fc_dims=[stage.channels] * 2) for _ in ious]
    predictors = [
        predict(
            trunk.output_shape,
            box2box_transform=Transform(weights=coding),
            num_classes=spec.num_classes,
            cls_agnostic_bbox_reg=stage.boxes == "agnostic",
        )
        for trunk, coding in zip(trunks, CODING, strict=False)
    ]
    heads = make(
        num_classes=spec.num_classes,
        batch_size_per_image=stage.regions,
        positive_fraction=stage.positive_share,
        proposal_matchers=[Matching([iou], [0, 1]) for iou in ious],
        box_in_features=names,
        box_pooler=FastROIPooler(
            RESOLUTION,
            [1 / strides[name] for name in names],
            canonical_box_size=CANONICAL_SIZE * spec.zoom,
        ),
        box_heads=trunks,
        box_predictors=predictors,
    )
    heads.set_test(spec.test)
    return heads


def _taught(regions, classes, truths, truth):
    """Regions that know their classes (R,) and the box of their truth (R,); of none, no box."""
    regions.gt_classes = classes
    regions.gt_boxes = Boxes(pad(truths.gt_boxes.tensor, (0, 0, 0, 1))[truth])
    return regions


def _annotated(truths):
    return truths[truths.gt_annotated] if truths.has("gt_annotated") else truths
