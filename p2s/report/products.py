"""Products: what a kind of experiment gives to the report, and how it becomes files."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from p2s.report.style import Picture
from p2s.report.tables.ablation import csv
from p2s.study.experiments import Experiment


@dataclass(frozen=True)
class Products:
    """Pictures, frames and pages by name; "" is the experiment's own.

    A page is Markdown, or blocks under their titles: sentences, or a table.
    """

    pictures: dict[str, Picture] = field(default_factory=dict)
    frames: dict[str, pd.DataFrame] = field(default_factory=dict)
    pages: dict[str, str | dict[str, Any]] = field(default_factory=dict)

    def files(self, experiment: Experiment) -> dict[str, bytes]:
        """The bytes of all of them by place below results/."""
        name = experiment.name
        drawn = {
            f"figures/{_joined(name, key)}.{picture.kind}": picture.content()
            for key, picture in self.pictures.items()
        }
        texts = {f"{_joined(name, key)}.csv": csv(frame) for key, frame in self.frames.items()}
        for key, page in self.pages.items():
            text = page if isinstance(page, str) else markdown(experiment, page)
            texts[f"{_joined(name, key)}.md"] = text
        return drawn | {f"tables/{place}": text.encode() for place, text in texts.items()}


def markdown(experiment: Experiment, blocks: dict[str, Any]) -> str:
    """A page of an experiment: sentences, and tables, under their titles."""
    parts = [heading(experiment)]
    for title, block in blocks.items():
        parts += [f"## {title}", grid(block) if isinstance(block, pd.DataFrame) else bullets(block)]
    return "\n\n".join(parts) + "\n"


def heading(experiment: Experiment) -> str:
    """The title of an experiment and what the paper claims."""
    return f"# {experiment.title}\n\nThe paper: {experiment.claim}"


def bullets(sentences: list[str]) -> str:
    """Sentences as a list in Markdown."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def grid(frame: pd.DataFrame) -> str:
    """A table of texts in Markdown."""
    return frame.to_markdown(disable_numparse=True)


def _joined(*names):
    return "_".join(filter(None, names))
