"""Identity: what says when a training or an evaluation must run again."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from p2s.files import WEIGHTS, canonical_hash, file_fingerprint
from p2s.spec.detector import Spec
from p2s.spec.pretraining import PUBLISHED, READINGS

# Raised by any change that moves a golden trace; older records then no longer count.
NUMERICS_VERSION = 1


def training_id(spec: Spec, train_fingerprint: str, seed: int, root: str | Path = "") -> str:
    """The identity of a training: every setting, the data and the seed that can move a weight.

    Weights that it starts from count by content, their path is relative to `root`; those of a
    reading count by how they are made.
    """
    return canonical_hash(training_settings(spec, train_fingerprint, seed, root))


def training_settings(
    spec: Spec, train_fingerprint: str, seed: int, root: str | Path = ""
) -> dict[str, Any]:
    """What the identity of a training is the hash of, as JSON values."""
    settings = spec.training_fields()
    if isinstance(spec.backbone.weights, Path):
        settings["backbone"]["weights"] = file_fingerprint(Path(root) / spec.backbone.weights)
    elif spec.backbone.weights in PUBLISHED:
        settings["backbone"]["weights"] = PUBLISHED[spec.backbone.weights]
    elif spec.backbone.weights:
        reading = READINGS[spec.backbone.weights]
        settings["backbone"]["weights"] = reading.model_dump(mode="json")
    if isinstance(spec.recipe.start, Path):
        started = Path(root) / spec.recipe.start  # its classes are carried over by their names
        files = (WEIGHTS, "classes.json")
        settings["recipe"]["start"] = [file_fingerprint(started / name) for name in files]
    return {
        "spec": settings,
        "data": train_fingerprint,
        "seed": seed,
        "numerics": NUMERICS_VERSION,
    }


def import_id(sha256: str, spec: str, classes: list[str]) -> str:
    """The identity of an import: of the released file, of its Spec as JSON, of class names."""
    return canonical_hash({"imported": sha256, "spec": spec, "classes": classes})


def imported_id(folder: Path) -> str:
    """The import_id of what a folder holds, as its texts say; one of a folder without them.

    ValueError names a text that is damaged.
    """
    path = folder / "imported.json"
    if not path.exists():
        return canonical_hash({"missing": folder.name})
    try:
        sha256 = json.loads(path.read_bytes())["sha256"]
        classes = json.loads((folder / "classes.json").read_bytes())
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{folder}: not as an import leaves it: {reason}") from None
    return import_id(sha256, (folder / "spec.json").read_text(), classes)


def released_id(imported: str) -> str:
    """What stands for a training's identity where weights are imported."""
    return canonical_hash({"released": imported, "numerics": NUMERICS_VERSION})


def evaluation_id(
    training: str, spec: Spec, val_fingerprint: str, measures: Iterable[str] = ()
) -> str:
    """The identity of an evaluation: its training's, its settings and data, and its measures."""
    fields = {"training": training, "test": spec.test_fields(), "data": val_fingerprint}
    names = list(measures)
    return canonical_hash(fields | ({"measures": names} if names else {}))
