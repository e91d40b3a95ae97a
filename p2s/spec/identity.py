"""Identity: what says when a training or an evaluation must run again."""

from collections.abc import Iterable
from pathlib import Path

from p2s.files import canonical_hash, file_fingerprint
from p2s.spec.detector import Spec
from p2s.spec.pretraining import READINGS

# Raised by any change that moves a golden trace; older records then no longer count.
NUMERICS_VERSION = 1


def training_id(spec: Spec, train_fingerprint: str, seed: int, root: str | Path = "") -> str:
    """The identity of a training: every setting, the data and the seed that can move a weight.

    Pretrained weights count by content, their path is relative to `root`; those of a reading
    count by how they are made.
    """
    settings = spec.training_fields()
    if isinstance(spec.backbone.weights, Path):
        settings["backbone"]["weights"] = file_fingerprint(Path(root) / spec.backbone.weights)
    elif spec.backbone.weights:
        reading = READINGS[spec.backbone.weights]
        settings["backbone"]["weights"] = reading.model_dump(mode="json")
    fields = {
        "spec": settings,
        "data": train_fingerprint,
        "seed": seed,
        "numerics": NUMERICS_VERSION,
    }
    return canonical_hash(fields)


def evaluation_id(
    training: str, spec: Spec, val_fingerprint: str, measures: Iterable[str] = ()
) -> str:
    """The identity of an evaluation: its training's, its settings and data, and its measures."""
    fields = {"training": training, "test": spec.test_fields(), "data": val_fingerprint}
    names = list(measures)
    return canonical_hash(fields | ({"measures": names} if names else {}))
