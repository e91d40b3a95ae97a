"""Which classes count in a region's classification loss, where a vocabulary is large (App. D).

P(C|O) is a sigmoid a class, trained by binary cross entropy: summed over the classes that count,
averaged over regions. The equalization loss (EQL) counts no rare class as a negative of another
object; the federated loss counts a small set S of classes, drawn anew in every iteration.
N images, R regions, G truths, K classes; a label of K is background.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, pad

if TYPE_CHECKING:
    from p2s.data.coco import CocoSet

TAIL_SHARE = 900 / 1203  # App. D: EQL ignores the 900 tail categories; LVIS v1 has 1203
TAIL_IMAGES = 200  # C2 EQL_FREQ_CAT
TAIL_FREQUENCY = 0.00177  # lambda in the code of EQL (Tan et al., 2020a), which did so on LVIS v0.5


class Frequencies(NamedTuple):
    """In how many training images each class is annotated, and in how many any class is."""

    image_counts: Tensor  # (K,)
    images: int


def frequencies(data: "CocoSet") -> Frequencies:
    """The frequencies of the classes of a CocoSet."""
    return Frequencies(torch.from_numpy(data.image_counts), sum(map(bool, data.annotations)))


def sigmoid_ce(logit: Tensor, label: Tensor) -> Tensor:
    """Binary cross entropy of every class, (R, K) and (R,) to (R, K); background is all zero."""
    target = is_label(label, logit.shape[1]).to(logit.dtype)
    return binary_cross_entropy_with_logits(logit, target, reduction="none")


def is_label(label: Tensor, classes: int) -> Tensor:
    """Whether a class is a region's own, (R,) to (R, K)."""
    return label[:, None] == torch.arange(classes, device=label.device)


def equalized(label: Tensor, tail: Tensor) -> Tensor:
    """EQL's w_j = 1 - E(r) T(f_j) (1 - y_j) of labels (R,) and a tail (K,), as (R, K).

    E(r) is 1 for an object and 0 for background, T(f_j) 1 in the tail, y_j 1 for the label.
    """
    is_object = label[:, None] < len(tail)
    return ~(is_object & tail) | is_label(label, len(tail))


def least_frequent(frequencies: Frequencies) -> Tensor:
    """The tail of the paper's words, (K,): the 900 least frequent of 1203, or the same share."""
    counts = frequencies.image_counts
    rarest = counts.argsort(stable=True)[: round(len(counts) * TAIL_SHARE)]
    return torch.zeros_like(counts, dtype=torch.bool).index_fill(0, rarest, True)


def in_few_images(frequencies: Frequencies) -> Tensor:
    """The tail that the authors' code names, (K,): classes in fewer than 200 images."""
    return frequencies.image_counts < TAIL_IMAGES


def in_small_share(frequencies: Frequencies) -> Tensor:
    """The tail of EQL's own code, (K,): classes in a smaller share of the images than lambda."""
    return frequencies.image_counts < TAIL_FREQUENCY * frequencies.images


TAILS = {"rank": least_frequent, "images": in_few_images, "share": in_small_share}


def drawn_classes(
    positive: Tensor, weight: Tensor, size: int, generator: torch.Generator | None = None
) -> Tensor:
    """The set S (App. D): positive classes (K,), filled up with negatives to `size`, as (K,).

    Negatives are drawn one after the other without replacement, in proportion to `weight` (K,);
    one of weight 0 is never drawn, so S may be smaller.
    """
    weight = weight.masked_fill(positive, 0)
    count = min(size - int(positive.sum()), int(weight.count_nonzero()))
    if count <= 0:
        return positive
    return positive.index_fill(0, torch.multinomial(weight, count, generator=generator), True)


def sets_of_images(
    truths: list[Tensor], weight: Tensor, size: int, generator: torch.Generator | None = None
) -> Tensor:
    """A set S for each image (App. D), whose positives are its annotated classes (G,), (N, K)."""
    classes = len(weight)
    return torch.stack(
        [
            drawn_classes(is_label(labels, classes).any(0), weight, size, generator)
            for labels in truths
        ]
    )


def set_of_batch(
    label: Tensor, weight: Tensor, size: int, generator: torch.Generator | None = None
) -> Tensor:
    """One set S for all regions (C2), whose positives are their labels (R,), as (K,).

    Background, where there is any, is one of the positives and of the `size`.
    """
    positive = is_label(label, len(weight) + 1).any(0)  # (K + 1,)
    return drawn_classes(positive, pad(weight, (0, 1)), size, generator)[:-1]
