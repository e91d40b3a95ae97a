"""Imports: a released file becomes a folder such as a training leaves.

It holds `model.safetensors`, `spec.json`, `classes.json`, and `imported.json`: the file, its
SHA-256, the detector's name and which keys were not needed.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from detectron2.data import MetadataCatalog

from p2s.files import WEIGHTS, file_sha256
from p2s.model.released import Released, read_released
from p2s.spec.identity import import_id
from p2s.train import folder

TEXTS = ("spec.json", "classes.json", "imported.json")
FILES = (*TEXTS, WEIGHTS)
COCO = "coco_2017_val"  # detectron2's name of the data that has 80 classes


def import_file(
    path: Path,
    output: Path,
    name: str | None = None,
    classes: Sequence[str] = (),
    settings: Sequence[dict] = (),
) -> Released:
    """Write the detector of a released file into a folder that `p2s.train.folder.load` reads.

    Without `classes` a detector of 80 has COCO's names. See p2s.model.released for the rest.
    ValueError before anything is written, also if the folder holds anything else.
    """
    sha256 = file_sha256(path)
    found = read_released(path, name, settings)
    names = list(classes) or _coco(path, found.spec.num_classes)
    if len(names) != found.spec.num_classes:
        raise ValueError(f"{path} has {found.spec.num_classes} classes, but {len(names)} are named")
    spec = found.spec.model_dump_json(indent=2)
    identity = import_id(sha256, spec, names)
    if folder.finished(output, identity):
        return found
    if output.exists() and not all(map(_ours, output.iterdir())):
        raise ValueError(f"{output} is not empty; valid: a new folder")
    origin = {"file": path.name, "sha256": sha256, "as": found.name, "dropped": found.dropped}
    texts = spec, json.dumps(names, indent=1), json.dumps(origin, indent=1)
    folder.write_model(output, found.model, identity, dict(zip(TEXTS, texts, strict=True)))
    return found


def _ours(path):
    """Whether a file is of an import that was stopped before its weights were there."""
    return any(path.name == name or path.name.startswith(f".{name}.") for name in FILES)


def _coco(path, count):
    names = MetadataCatalog.get(COCO).thing_classes
    if count != len(names):
        raise ValueError(
            f"{path} has {count} classes, and does not tell their names; "
            "valid: --classes FILE.json, an annotation file of them"
        )
    return names
