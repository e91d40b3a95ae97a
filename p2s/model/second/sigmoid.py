"""Second stages of a large vocabulary: a sigmoid a class in place of one softmax (App. D, Table 9).

detectron2's predictor has a sigmoid cross entropy and a federated loss. Ours differs in its prior,
in the probability of no class, and in a set S for each image, of any size; see p2s.maths.federated.
N images, R regions, K classes.
"""

from collections.abc import Callable
from functools import partial

import torch
from detectron2.structures import Instances
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from p2s.maths import federated
from p2s.maths.federated import Frequencies
from p2s.maths.ranks import normaliser
from p2s.model.layers import prior_bias
from p2s.model.second.heads import RegionPredictor
from p2s.model.second.stage import SecondStage
from p2s.model.second.stage import second_stage as of_spec
from p2s.spec import Spec
from p2s.spec.second_stage import AnnotatedClasses, Eql, Federated


class SigmoidPredictor(RegionPredictor):
    """detectron2's predictor with a sigmoid a class; the last of its K + 1 logits is not used."""

    def predict_probs(
        self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> tuple[Tensor, ...]:
        """P(C|O) of each image, (R, K + 1); the last is that no class is there, all independent."""
        logit = predictions[0][:, :-1]
        none = logsigmoid(-logit).sum(1, keepdim=True).exp()
        return torch.cat((logit.sigmoid(), none), 1).split(
            [len(of_image) for of_image in proposals]
        )

    def class_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """detectron2's: a sigmoid's cross entropy, summed over classes, a mean over regions."""
        return self.sigmoid_cross_entropy_loss(logits, labels)


class SelectivePredictor(SigmoidPredictor):
    """A sigmoid predictor whose loss counts some classes of a region only.

    Which ones, (R, K) or (1, K), `counted` tells of the labels (R,) and images (R,) of all regions.
    """

    def losses(
        self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> dict[str, Tensor]:
        """As detectron2's."""
        rows = torch.tensor([len(of_image) for of_image in proposals])
        label = torch.cat([of_image.gt_classes for of_image in proposals])
        image = torch.arange(len(rows)).repeat_interleave(rows).to(label.device)
        cost = federated.sigmoid_ce(predictions[0][:, :-1], label)  # (R, K)
        total = normaliser(cost.new_tensor(float(len(label))))
        loss = (cost * self.counted(label, image)).sum() / total
        return super().losses(predictions, proposals) | {"loss_cls": loss}

    def class_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Nothing: nobody tells a region's image here, `losses` knows it."""
        return logits.new_zeros(())


class SelectiveSecondStage(SecondStage):
    """A second stage whose class loss counts some classes of a region only.

    Once an iteration, `choose_classes` of truths (a list of `Instances`) and Frequencies tells
    which. Frequencies are saved with the weights; ValueError in training while they are missing.
    """

    def __init__(self, choose_classes: Callable, **heads):
        super().__init__(**heads)
        self.choose_classes = choose_classes
        self.register_buffer("image_counts", torch.zeros(self.num_classes, dtype=torch.long))
        self.register_buffer("images", torch.zeros((), dtype=torch.long))

    def set_frequencies(self, frequencies: Frequencies) -> None:
        """Train with these class frequencies from now on; ValueError if they are of others."""
        counts, images = frequencies
        if counts.shape != self.image_counts.shape or not 0 < counts.max() <= images:
            raise ValueError(
                f"frequencies of {len(counts)} classes in up to {int(counts.max())} of {images} "
                f"images; the second stage has {self.num_classes} classes"
            )
        self.image_counts.copy_(counts)
        self.images.fill_(images)

    def _forward_box(self, features, proposals, targets=None):
        if self.training:
            counted = self.choose_classes(targets, self._frequencies())
            for predictor in self.box_predictor:
                predictor.counted = counted
        return super()._forward_box(features, proposals, targets)

    def _frequencies(self):
        if not self.images:
            raise ValueError(
                "the class frequencies are missing: call roi_heads.set_frequencies before training"
            )
        return Frequencies(self.image_counts, int(self.images))


def second_stage(spec: Spec, strides: dict[str, int], channels: int) -> SecondStage:
    """The Faster or Cascade head of a Spec whose cls_loss is no softmax; see `stage`."""
    where, loss = (spec, strides, channels), spec.second_stage.cls_loss
    make, predict = SecondStage, SigmoidPredictor
    if loss.is_selective:
        make = partial(SelectiveSecondStage, _selection(loss))
        predict = SelectivePredictor
    heads = of_spec(*where, make, partial(predict, use_sigmoid_ce=True))
    for predictor in heads.box_predictor:
        nn.init.constant_(predictor.cls_score.bias, prior_bias())  # C2
    return heads


def _selection(loss):
    match loss:
        case AnnotatedClasses():
            return _annotate
        case Eql(tail=tail):
            return partial(_equalize, federated.TAILS[tail])
        case Federated(classes=size, power=power, sets="per_image"):
            return partial(_federate_images, size, power)
        case Federated(classes=size, power=power):
            return partial(_federate_batch, size, power)


def _annotate(truths, frequencies):
    known = torch.stack([of_image.gt_known.any(0) for of_image in truths])  # (N, K)
    return lambda label, image: known[image]


def _equalize(choose_tail, truths, frequencies):
    tail = choose_tail(frequencies)
    return lambda label, image: federated.equalized(label, tail)


# Draws are from torch's global generator, which replay.gradients seeds for each iteration.
def _federate_images(size, power, truths, frequencies):
    weight = frequencies.image_counts.float() ** power
    classes = [of_image.gt_classes for of_image in truths]
    sets = federated.sets_of_images(classes, weight, size)  # of all stages of the cascade
    return lambda label, image: sets[image]


def _federate_batch(size, power, truths, frequencies):
    weight = frequencies.image_counts.float() ** power
    return lambda label, image: federated.set_of_batch(label, weight, size)[None]
