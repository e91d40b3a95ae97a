"""Telling: what a command says of an error, in a line."""

import json
import os
import time
from contextlib import suppress
from pathlib import Path

import click

from p2s import NO_DETECTRON2, environment
from p2s.files import cut, first_problem, printable

# Modules of the extra `study`, which training and prediction do without.
STUDY = {"papermill", "submitit", "traitlets", "ipywidgets", "nbconvert", "nbformat"}
STUDY |= {"latex2mathml", "seaborn"}


def is_first() -> bool:
    """Whether this process is the one of torchrun's ranks that speaks for all, or alone.

    Of ranks whose variables are wrong each speaks.
    """
    try:
        return not environment.is_rank() or environment.Rank.read().rank == 0
    except ValueError:
        return True


def say(*lines: object, err: bool = False) -> None:
    """Print lines with anybody's names in them, in which a terminal obeys nothing."""
    click.echo("\n".join(printable(f"{line}") for line in lines), err=err)


def warn(line: str) -> None:
    """Print a line of anybody's on stderr, at a moderate length; the command goes on."""
    click.echo(cut(line), err=True)


def tell(text: str) -> None:
    """Say on stderr why a command ends, and where torchrun looks for what ended a rank."""
    text = plain(text)
    click.echo(text, err=True)
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if path and (Path(path).is_file() or not os.path.exists(path)):
        more = {"py_callstack": text, "timestamp": str(int(time.time()))}
        with suppress(OSError):  # the line above is what counts
            Path(path).write_text(json.dumps({"message": {"message": text, "extraInfo": more}}))


def plain(text: str) -> str:
    """The lines of anybody's text at a moderate length, in which a terminal obeys nothing."""
    return "\n".join(map(cut, text.splitlines()))


def in_a_line(error: Exception) -> str:
    """An error of a command in one line: of pydantic's the first problem."""
    if isinstance(error, ModuleNotFoundError):
        missing = (error.name or "").partition(".")[0]
        if missing == "detectron2":
            return NO_DETECTRON2
        if missing in STUDY:
            return f"{missing} is missing: run `pip install '.[study]'` in the project's folder"
    return " ".join(first_problem(error).split())
