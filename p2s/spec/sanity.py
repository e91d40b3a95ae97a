"""Sanity: settings that cannot train are refused before anything long starts."""

from p2s.spec.data import Glyphs
from p2s.spec.detector import Spec
from p2s.spec.memory import require_training

COARSEST = 32  # pixels of a cell of a trunk's last stage


def refuse_absurd(spec: Spec, processes: int) -> None:
    """ValueError, in a line with what is valid, for a Spec that so many processes cannot train."""
    recipe, backbone = spec.recipe, spec.backbone
    edge, _ = recipe.image_edges
    if recipe.batch == 1 and edge <= COARSEST and backbone.norm == "BN":
        raise ValueError(
            f"one image of {edge} pixels at a time is one cell to normalise over: set "
            "recipe.batch=2 or more, a larger size, or backbone.norm=GN"
        )
    if recipe.scaled_rate > 1:
        raise ValueError(
            f"learning rate {recipe.scaled_rate:g}: rate {recipe.rate:g} is for a batch of 16 and "
            f"is scaled to the batch of {recipe.batch}; more than 1 cannot train"
        )
    _refuse_idle_starts(spec)
    recipe.require_parts(processes)
    if backbone.norm == "BN" and backbone.trunk.kind == "lite0" and processes > 1:
        raise ValueError(
            f"backbone.norm BN of a {backbone.title} in {processes} processes: each would have "
            "statistics of its own (valid: FrozenBN, or one process)"
        )
    if recipe.warmup >= recipe.iterations:
        raise ValueError(
            f"warmup of {recipe.warmup} iterations in a training of {recipe.iterations}: "
            "the learning rate would never be reached"
        )
    require_training(spec, processes)
    if backbone.frozen_stages and backbone.weights is None and recipe.start is None:
        raise ValueError(
            f"backbone.frozen_stages {backbone.frozen_stages} without backbone.weights: random "
            "weights would stay frozen; set backbone.weights to a file, or "
            "backbone.frozen_stages=0 with backbone.norm BN or GN"
        )


def _refuse_idle_starts(spec):
    recipe, is_of_scenes = spec.recipe, isinstance(spec.data, Glyphs)
    if recipe.start and spec.backbone.weights:
        raise ValueError("backbone.weights with recipe.start, which brings its own (valid: None)")
    if recipe.pseudo_scenes and not (is_of_scenes and isinstance(recipe.start, str)):
        raise ValueError(
            f"recipe.pseudo_scenes {recipe.pseudo_scenes} (valid: 0, but for a row of a study on "
            "scenes that starts from another row)"
        )


def refuse_fixed_statistics(spec: Spec) -> None:
    """ValueError for a trunk whose normalisation nobody has learnt, nor will (FrozenBN)."""
    backbone = spec.backbone
    if backbone.norm == "FrozenBN" and backbone.weights is None and spec.recipe.start is None:
        raise ValueError(
            f"backbone.norm FrozenBN of a {backbone.title} without backbone.weights: its "
            "statistics would never be learnt; set backbone.weights to a file, or "
            f"backbone.norm to {' or '.join(backbone.trunk.norms[1:])}"
        )
