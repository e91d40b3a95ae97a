"""Products: what the report keeps of one thing, such as an experiment, and how it becomes files."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from p2s.report.style import Picture
from p2s.study.experiments import Experiment


@dataclass(frozen=True)
class Products:
    """Pictures, tables as CSV text, and pages as Markdown, by name; "" is the whole's own."""

    pictures: dict[str, Picture] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)

    def files(self, name: str) -> dict[str, bytes]:
        """The bytes of all of them by place below results/, their names after this one."""
        files = {
            f"figures/{_joined(name, key)}.{picture.kind}": picture.content()
            for key, picture in self.pictures.items()
        }
        for kind, texts in (("csv", self.tables), ("md", self.pages)):
            files |= {
                f"tables/{_joined(name, key)}.{kind}": text.encode() for key, text in texts.items()
            }
        return files


def markdown(experiment: Experiment, blocks: dict[str, Any]) -> str:
    """A page of an experiment: sentences, and tables, under their titles."""
    parts = [heading(experiment)]
    for title, block in blocks.items():
        parts += [f"## {title}", grid(block) if isinstance(block, pd.DataFrame) else bullets(block)]
    return "\n\n".join(parts) + "\n"


def heading(experiment: Experiment) -> str:
    """The title of an experiment and what the paper claims."""
    return f"# {experiment.title}\n\nThe paper: {experiment.claim}"


def starred(text: str) -> str:
    """A text as Markdown, in which a star is a star, as of CenterNet*."""
    return text.replace("*", r"\*")


def bullets(sentences: list[str]) -> str:
    """Sentences as a list in Markdown."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def grid(frame: pd.DataFrame) -> str:
    """A table of texts in Markdown."""
    return frame.to_markdown(disable_numparse=True)


def _joined(*names):
    return "_".join(filter(None, names))
