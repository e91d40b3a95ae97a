"""The heads of a region: hidden layers, and what predicts its class and box from them.

R regions, K classes.
"""

import torch
from detectron2.layers import cross_entropy
from detectron2.modeling.roi_heads import FastRCNNConvFCHead, FastRCNNOutputLayers
from detectron2.structures import Instances
from torch import Tensor
from torch.nn.functional import linear

from p2s.maths.ranks import share


class RegionPredictor(FastRCNNOutputLayers):
    """detectron2's predictor, whose losses are means over the regions of all ranks."""

    def losses(
        self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> dict[str, Tensor]:
        """As detectron2's, less its counts, for which a device would be waited for."""
        logits, deltas = predictions
        label = torch.cat([of_image.gt_classes for of_image in proposals])
        boxes = torch.cat([of_image.proposal_boxes.tensor for of_image in proposals])
        wanted = torch.cat([of_image.gt_boxes.tensor for of_image in proposals])
        weight = share(len(logits), logits.device)
        return {
            "loss_cls": weight * self.class_loss(logits, label),
            "loss_box_reg": weight * self.box_reg_loss(boxes, wanted, deltas, label),
        }

    def class_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """That of a softmax, the mean over regions (R, K + 1) with labels (R,)."""
        return cross_entropy(logits, labels, reduction="mean")


class RegionHead(FastRCNNConvFCHead):
    """detectron2's two hidden layers, which in training read regions in the order of channels_last.

    The first layer's weights are brought into that order, not the regions, which are far more.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Regions (R, C, P, Q) -> (R, hidden)."""
        if not self.training:
            return super().forward(x)
        weight = self.fc1.weight.unflatten(1, x.shape[1:]).permute(0, 2, 3, 1).flatten(1)
        hidden = linear(x.permute(0, 2, 3, 1).flatten(1), weight, self.fc1.bias).relu()
        return self.fc2(hidden).relu()
