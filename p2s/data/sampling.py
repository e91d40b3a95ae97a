"""Sampling: in which order images train.

An order gives the images of an epoch as a pure function of (data, seed, epoch), equally many in
each epoch; a training walks along the chain of the epochs.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from math import ceil

import numpy as np
from detectron2.data.samplers import RepeatFactorTrainingSampler

from p2s.data.coco import CocoSet
from p2s.spec import Recipe
from p2s.spec.recipe import ClassAware, RepeatFactor

ORDER, IMAGES = 0, 2  # a seed's streams of random numbers; the loader's augmentation has 1
Order = Callable[[CocoSet, int, int], np.ndarray]  # data, seed, epoch -> (L,) indices


def order_of(recipe: Recipe) -> Order:
    """The order that a recipe asks for, as a function (data, seed, epoch) -> (L,) indices."""
    match recipe.order:
        case RepeatFactor(threshold=threshold):
            return partial(repeat_factor, threshold=threshold, empty=recipe.empty)
        case ClassAware():
            return class_aware
    return partial(shuffled, empty=recipe.empty)


@lru_cache(maxsize=4)
def shuffled(data: CocoSet, seed: int, epoch: int, empty: bool = False) -> np.ndarray:
    """Each image with objects once an epoch, or each with those that are `empty` of objects."""
    return _shuffled(_images(data, empty), seed, epoch)


@lru_cache(maxsize=4)
def repeat_factor(
    data: CocoSet, seed: int, epoch: int, threshold: float, empty: bool = False
) -> np.ndarray:
    """Each image in proportion to its repeat factor (Gupta et al., 2019, App. B).

    Images without objects are among them if `empty`. An epoch has as many images as the factors'
    sum, rounded up. An image is in it as often as its share says, rounded down or up by chance:
    systematic sampling, which keeps all epochs equally long where to round each image on its own
    would not.
    """
    factors = repeat_factors(data, threshold, empty)
    rng = np.random.default_rng([seed, IMAGES, epoch])
    line = rng.permutation(len(factors))
    ends = factors[line].cumsum()  # image line[i] holds the stretch from ends[i - 1] to ends[i]
    length = ceil(ends[-1])
    picks = np.searchsorted(ends / ends[-1], (np.arange(length) + rng.random()) / length)
    return _shuffled(_images(data, empty)[line[picks]], seed, epoch)


@lru_cache(maxsize=4)
def class_aware(data: CocoSet, seed: int, epoch: int) -> np.ndarray:
    """One image of each class an epoch, the images of a class in turn (Shen et al., 2016).

    These are shuffled anew whenever all have been shown; a class without any is left out. The
    authors' code draws each image with replacement, with the same frequencies.
    """
    turns = []
    for label, images in _images_by_class(data).items():
        cycle, turn = divmod(epoch, len(images))
        rng = np.random.default_rng([seed, IMAGES, label, cycle])
        turns.append(images[rng.permutation(len(images))[turn]])
    return _shuffled(np.array(turns), seed, epoch)


@lru_cache(maxsize=2)
def repeat_factors(data: CocoSet, threshold: float, empty: bool = False) -> np.ndarray:
    """r = max(1, sqrt(threshold / f)) of the rarest class of each image with objects, float64.

    f is the share of these images that show the class (Gupta et al., 2019, App. B). With `empty`
    of every image: 1 of one without objects.
    """
    images = [
        {"annotations": [{"category_id": label} for label in data.present[i]]}
        for i in _images(data, empty).tolist()
    ]
    of_images = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency
    return of_images(images, threshold).double().numpy()  # float32's sums are exact in float64


def _images(data, empty):
    return np.arange(len(data)) if empty else np.array(data.trainable)


@lru_cache(maxsize=2)
def _images_by_class(data):
    images = {}
    for index, labels in enumerate(data.present):
        for label in labels:
            images.setdefault(label, []).append(index)
    return {label: np.array(images[label]) for label in sorted(images)}


def _shuffled(images, seed, epoch):
    return images[np.random.default_rng([seed, ORDER, epoch]).permutation(len(images))]
