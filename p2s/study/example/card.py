"""Card: what a model that comes with the package is, all of it read off its run's record."""

from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from p2s.files import read_json
from p2s.spec.data import Glyphs, Sha256
from p2s.spec.part import Part
from p2s.study.records import Number, Record

FILE = "card.json"
TOLD = ("AP", "AP50", "AP75", "APs", "APm", "APl")


class Card(Part):
    """A model's data, run, numbers and hash, in `card.json` beside its weights."""

    detector: str  # a name of the paper's tables
    data: str  # what it was trained and tested on, in words
    record: str  # its id; the file is results/runs/<scale>/<id>.json
    scale: str
    seed: int
    numbers: dict[str, Number]  # of the record: COCO's, in percent, by the weights as trained
    trained: Sha256  # of the file that the training left, as the record has it
    sha256: Sha256  # of model.safetensors here
    bytes: PositiveInt  # of the same
    precision: Literal["fp32", "fp16"]  # of its matrices and filters
    licence: Annotated[str, Field(min_length=1)]

    @classmethod
    def of(cls, record: Record, **here: Any) -> "Card":
        """The card of a record's weights; `here` are sha256, bytes and precision of the file."""
        return cls(
            detector=record.detector,
            data=_in_words(Glyphs.model_validate(record.spec["data"])),
            record=record.id,
            scale=record.scale,
            seed=record.seed,
            numbers={name: record.metrics[name] for name in TOLD if name in record.metrics},
            trained=record.weights,
            licence=metadata.metadata("p2s")["License-Expression"],
            **here,
        )

    def lines(self) -> dict[str, str]:
        """What `p2s info` tells of it, by name."""
        values = self.numbers.items()
        told = [f"{name} {'-' if value is None else f'{value:.1f}'}" for name, value in values]
        return {
            "AP": f"{', '.join(told)}, as recorded",
            "record": f"results/runs/{self.scale}/{self.record}.json",
            "data": self.data,
            "licence": self.licence,
        }


def read(folder: Path) -> Card | None:
    """The card of a model's folder; None for a model that did not come with the package."""
    path = folder / FILE
    return read_json(path, Card) if path.exists() else None


def _in_words(data):
    scenes = f"{data.train} synthetic scenes of {data.size} pixels a side"
    return f"{scenes} with {data.classes} classes, tested on {data.val} others"
