"""Made: a run of the study becomes the folder of a model that a package may hold."""

from pathlib import Path

import torch
from safetensors.torch import save

from p2s.files import WEIGHTS, file_sha256, write_atomic
from p2s.model import weights
from p2s.spec import Spec
from p2s.study.example import card as cards
from p2s.study.example.card import Card
from p2s.study.project import Project
from p2s.study.records import Record, read
from p2s.study.runs import Run

MOST = 3_000_000  # bytes of weights that a package holds
ASKED = {  # the run behind `glyphs`: the paper's CenterNet2
    "experiment": "table5",
    "row": "CascadeRCNN-CenterNet w. prob.",
    "variant": "scores above .05",
    "seed": 0,
}


def example(run: Run, project: Project, target: Path) -> Card:
    """Make a model of what a run has left, in the cache and as its record; returns its card.

    ValueError says what to run where either is missing.
    """
    path, kept = project.record(run), project.weights(run)
    for needed in (path, kept / WEIGHTS):
        if not needed.exists():
            asked = f"`p2s study run --scale {run.scale} --only {run.experiment}`"
            raise ValueError(f"{run.label}: {needed} is not there yet: {asked}")
    return written(read(path), kept, target)


def written(record: Record, trained: Path, target: Path) -> Card:
    """Write the model that a training left, with a record's settings; returns its card.

    Weights beyond MOST bytes are stored in fp16. ValueError if they are not the record's, or
    too many for that too.
    """
    source = trained / WEIGHTS
    if (digest := file_sha256(source)) != record.weights:
        raise ValueError(f"{source}: SHA-256 {digest}; valid: {record.weights}, of {record.id}")
    precision, content = _content(source)
    texts = {name: (trained / name).read_bytes() for name in ("classes.json", "training.json")}
    texts["spec.json"] = Spec.model_validate(record.spec).model_dump_json(indent=1).encode()
    for name, each in {**texts, WEIGHTS: content}.items():
        write_atomic(target / name, each)
    here = {"sha256": file_sha256(target / WEIGHTS), "bytes": len(content)}
    card = Card.of(record, precision=precision, **here)
    write_atomic(target / cards.FILE, card.model_dump_json(indent=1).encode() + b"\n")
    return card


def _content(source):
    """The precision and the bytes of a file of weights that is no larger than MOST."""
    if source.stat().st_size <= MOST:
        return "fp32", source.read_bytes()
    tensors = halved(weights.read_weights(source))
    weights.require_finite(source, tensors)
    content = save(tensors, weights.metadata(source))
    if len(content) > MOST:
        raise ValueError(f"{source}: {len(content)} bytes in fp16; valid: {MOST} at most")
    return "fp16", content


def halved(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights with matrices and filters in fp16; vectors, such as variances, are few and stay.

    Whoever fills a model with them has them in its own precision again.
    """
    return {
        name: value.half() if value.ndim > 1 and value.is_floating_point() else value
        for name, value in tensors.items()
    }
