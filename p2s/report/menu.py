"""Menu: the pages of the report by their short names, in groups, as every page lists them."""

import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import nbformat

from p2s.files import shortened, text_of
from p2s.plain_yaml import read_yaml
from p2s.study.project import PAGE

INDEX, FRONT = "report", "Overview"  # the front page's notebook, and its short name
FILE = PAGE / "menu.yaml"
REST = "More"  # the group of notebooks that the file does not have


class Entry(NamedTuple):
    """A page: its file, its heading, its short name, and its group; the front page has none."""

    address: str
    title: str
    name: str
    group: str = ""


def address(notebook: Path | str) -> str:
    """The file name of a notebook's page; of one that is made of several things, `#thing` says."""
    place, _, thing = str(notebook).partition("#")
    stem = Path(place).stem
    return "_".join(filter(None, ("index" if stem == INDEX else stem, thing))) + ".html"


def title(notebook: Path | str) -> str:
    """The first heading of a notebook file, else its name; ValueError names a file that is none."""
    text = text_of(notebook)
    try:
        cells = nbformat.reads(text, as_version=4).cells
        prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    except Exception as error:  # whatever nbformat makes of a file that is none
        raise ValueError(f"{notebook}: not a notebook: {shortened(str(error))}") from None
    heading = re.search(r"^# +(.+)$", prose, re.MULTILINE)
    return heading[1].strip() if heading else Path(notebook).stem


def groups() -> dict[str, dict[str, str]]:
    """What the file says: short names of notebooks, by group."""
    return read_yaml(FILE, dict[str, dict[str, str]])


def entries(notebooks: Iterable[Path]) -> dict[Path, Entry]:
    """An Entry for each notebook file, in the order of the menu."""
    known = {INDEX: ("", FRONT)}
    known |= {
        stem: (group, name) for group, names in groups().items() for stem, name in names.items()
    }
    places = {path.stem: path for path in notebooks}
    ordered = [stem for stem in known if stem in places]
    ordered += sorted(places.keys() - known.keys())
    return {places[stem]: _entry(places[stem], *known.get(stem, (REST, stem))) for stem in ordered}


def grouped(every: Iterable[Entry]) -> list[tuple[str, list[Entry]]]:
    """Neighbours of one group together, as a page shows them."""
    return [(group, list(some)) for group, some in groupby(every, lambda entry: entry.group)]


def _entry(path, group, name):
    return Entry(address(path), title(path), name, group)
