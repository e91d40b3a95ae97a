"""Rules: what pages must keep to, to be published with the project."""

import os
import re
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from html import unescape
from pathlib import Path

from p2s.data.catalogue import FREE
from p2s.study.project import PACKAGE, Project

FOLDER = Path("docs/report")
MOST, MOST_A_FILE = 8_000_000, 1_000_000  # bytes, as git is to keep them
PHOTOGRAPHS = 20
CREDIT = re.compile(r'<p class="credit" data-photographs="(\d+)">(.*?)</p>')
LINK, PLACE = re.compile(r'\shref="([^"]*)"'), re.compile(r'\sid="([^"]*)"')
HOST = re.compile(r"\bhttps?://([\w.:-]+\w)")
PATH = re.compile(
    r"(?<![\w./-])(?:/(?:home|root|Users|tmp|var|mnt|opt|usr|srv)/[\w./-]+|[A-Z]:\\\w+)"
)
EMBEDDED = re.compile(r"""data:image/[^"&]*|xmlns[:\w]*="[^"]*\"""")
NAMES = ("*.ipynb", "*.yaml", "*.md", "*.py")  # of files that name hosts


def problems(pages: Mapping[str, str], project: Project) -> list[str]:
    """What is wrong with pages, by their names: a line each."""
    bare = {name: EMBEDDED.sub("", text) for name, text in pages.items()}
    return [
        *too_large(pages),
        *_photographs(bare),
        *_links(bare, project.root),
        *_of_a_machine(bare, project),
    ]


def too_large(pages: Mapping[str, str]) -> list[str]:
    """Which pages are too large, and whether all together are."""
    sizes = {name: len(text.encode()) for name, text in pages.items()}
    wide = [
        f"{name}: {size} bytes (valid: at most {MOST_A_FILE})"
        for name, size in sizes.items()
        if size > MOST_A_FILE
    ]
    total = sum(sizes.values())
    return wide + [f"all pages: {total} bytes (valid: at most {MOST})"] * (total > MOST)


def _photographs(pages) -> Iterator[str]:
    credits = [(name, *found) for name, text in pages.items() for found in CREDIT.findall(text)]
    for name, _, credit in credits:
        if FREE not in unescape(credit):
            yield f"{name}: photographs: {unescape(credit)} (valid: a licence {FREE})"
    if (count := sum(int(count) for _, count, _ in credits)) > PHOTOGRAPHS:
        yield f"all pages: {count} photographs (valid: at most {PHOTOGRAPHS})"


def _links(pages, root: Path) -> Iterator[str]:
    """Links that lead to no page, no place in one, and no file of the project."""
    places = {name: {*PLACE.findall(text)} for name, text in pages.items()}
    for name, text in pages.items():
        for link in dict.fromkeys(map(unescape, LINK.findall(text))):
            path, _, place = link.partition("#")
            if (
                HOST.match(link)
                or (path or name) in pages
                and _is_there(place, places[path or name])
            ):
                continue
            target = (root / FOLDER / path).resolve()
            if path in pages or not (target.is_relative_to(root.resolve()) and target.exists()):
                yield f"{name}: {link} leads nowhere (valid: a page, or a file of the project)"


def _is_there(place, places):
    return not place or place in places


def _of_a_machine(pages, project: Project) -> Iterator[str]:
    known, own = _hosts(project.root), _own(project)
    for name, text in pages.items():
        said = [word for word in own if word in text] + PATH.findall(text)
        said += sorted({*HOST.findall(text)} - known)
        for word in dict.fromkeys(said):
            yield f"{name}: {word} (valid: no path, name or host that only this machine knows)"


def _own(project) -> list[str]:
    """Paths and names of this machine that no page may tell."""
    folders = (project.root, project.cache, Path.home(), Path(sys.prefix))
    names = (socket.gethostname(), *(os.environ.get(name, "") for name in ("USER", "LOGNAME")))
    long = [str(folder) for folder in folders if len(folder.parts) > 2]
    return long + [name for name in {*names} if len(name) > 7]  # a short one may be a word


def _hosts(root: Path) -> set[str]:
    """The hosts that files of the project name."""
    folders = (root / "notebooks", root / "experiments", root / "docs", PACKAGE)
    return {*_named(path for folder in folders for name in NAMES for path in folder.rglob(name))}


def _named(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        yield from HOST.findall(path.read_text(encoding="utf-8"))
