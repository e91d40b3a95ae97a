"""Kept: what a model found in each picture, so that an evaluation that was stopped goes on."""

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from detectron2.structures import Boxes, Instances
from safetensors.torch import load, save
from torch import Tensor

from p2s.files import bytes_of, write_atomic
from p2s.measure.coco import Pair

PARTS = ("detections", "proposals")
SIZE = "image_size"
OLD = 30 * 86400  # seconds
ENDING = ".kept"
SEAL = 32  # bytes before the content
MOST = 2**28  # bytes


@dataclass(frozen=True)
class Kept:
    """A folder with a file of each picture, by its number in the data and what it was when read.

    What cannot be written, or read, is not kept, and that is no error.
    """

    folder: Path

    def __len__(self):
        return len({path.name.partition("-")[0] for path in self.folder.glob(f"*{ENDING}")})

    def of(self, index: int, picture: Path) -> Pair | None:
        """What was found in a picture; None if that is not kept, or not as it was written."""
        try:
            file = self._file(index, picture)
            content = bytes_of(file, MOST)
        except (OSError, ValueError):
            return None
        seal, content = content[:SEAL], content[SEAL:]
        if seal != _seal(file, content):
            return None
        fields = load(content)
        detections, proposals = (_instances(fields, part) for part in PARTS)
        return detections, proposals

    def keep(self, index: int, picture: Path, pair: Pair) -> None:
        """Write what was found in a picture."""
        fields = {
            f"{part}.{name}": value
            for part, found in zip(PARTS, pair, strict=True)
            for name, value in _fields(found).items()
        }
        content = save(fields)
        with suppress(OSError):
            file = self._file(index, picture)
            write_atomic(file, _seal(file, content) + content)

    def remove(self) -> None:
        """Forget all of it: the evaluation is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_old(self) -> None:
        """Forget what is beside it of evaluations that nobody went on with."""
        for other in self.folder.parent.glob("*"):
            with suppress(OSError):
                if other != self.folder and time.time() - other.stat().st_mtime > OLD:
                    shutil.rmtree(other)

    def _file(self, index, picture):
        status = os.stat(picture)
        return self.folder / f"{index}-{status.st_size}-{status.st_mtime_ns}{ENDING}"


def _seal(file, content):
    """The SHA-256 of a content in its place: what has another is of something else."""
    place = f"{file.parent.name}/{file.name}\n"
    return sha256(place.encode() + content).digest()


class NotKept:
    """In place of a `Kept`, where weights change from one evaluation to the next."""

    def of(self, _index: int, _picture: Path) -> None:
        """Nothing is kept of a picture."""

    def keep(self, _index: int, _picture: Path, _pair: Pair) -> None:
        """Forget it."""


def _fields(found: Instances) -> dict[str, Tensor]:
    fields = {name: _plain(value) for name, value in found.get_fields().items()}
    return fields | {SIZE: torch.tensor(found.image_size)}


def _plain(value):
    """Memory of its own, as a file needs it."""
    tensor = value.tensor if isinstance(value, Boxes) else value
    return tensor.clone(memory_format=torch.contiguous_format)


def _instances(fields, part):
    own = {
        name.removeprefix(f"{part}."): value
        for name, value in fields.items()
        if name.startswith(f"{part}.")
    }
    height, width = own.pop(SIZE).tolist()
    boxed = {name: Boxes(v) if name.endswith("boxes") else v for name, v in own.items()}
    return Instances((height, width), **boxed)
