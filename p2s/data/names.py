"""Names: where the picture is that an annotation file names, also as other systems write it.

`\\` for `/`, `%20` for a space, another Unicode form or case, and the image folder's own name in
front are overlooked, where one file alone answers to the name. Listings are cheaper than a question
for each file. Fast and light on purpose, as `health` is.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from p2s.data.inside import is_foreign, leaves

FOLDERS = 50  # within the image folder that are searched for a picture, at most


class ImageFolder:
    """An image folder, whose listings are made once."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.root = os.path.realpath(folder)
        self._listings: dict[str, dict[str, bool] | None] = {}
        self._alike: dict[str, dict[str, list[str]]] = {}

    def place(self, name: str) -> str | None:
        """The path in the folder of the picture of this name; None if there is none.

        ValueError, "outside", for a name that leads out of the folder.
        """
        parent, base = _split(name)
        entries = self._listing(parent)
        is_link = bool(entries and entries.get(base))
        if is_foreign(name) or entries is None or is_link and leaves(self.root, self.folder / name):
            raise ValueError("outside")
        return name if base in entries else self._otherwise(name)

    def elsewhere(self, name: str) -> str | None:
        """Where a picture of this name is, if it is not where the name says: it may be another.

        Of an address, such as `https://example.org/day%201/1.png?raw=1`, the path counts.
        """
        texts = dict.fromkeys((name, unquote(name), unquote(name.partition("?")[0])))
        places = (self._ending(_parts(text)) for text in texts)
        return next(filter(None, places), None)

    def _ending(self, parts):
        """The path of the last of these parts, as many as there are, here or in an inner folder."""
        ends = [parts[start:] for start in range(1, len(parts))]
        ends += [[entry, *parts[-1:]] for entry in self._inner if parts]
        return next(filter(None, map(self._walk, ends)), None)

    @cached_property
    def _inner(self):
        entries = sorted(self._listing("") or ())
        return [entry for entry in entries if (self.folder / entry).is_dir()][:FOLDERS]

    def _otherwise(self, name):
        own = [part.casefold() for part in Path(self.root).parts]
        for text in dict.fromkeys((name, unquote(name))):
            parts = _parts(text)
            for start in range(len(parts)):
                front = [part.casefold() for part in parts[:start]]
                if own[len(own) - start :] == front and (place := self._walk(parts[start:])):
                    return place
        return None

    def _walk(self, parts):
        """The path of these parts, each by its like alone; None if there is none, or it leaves."""
        here = ""
        for part in parts:
            likes = self._likes(here).get(_plain(part), [])
            if part in likes:
                likes = [part]
            if len(likes) != 1:
                return None
            here = f"{here}/{likes[0]}".lstrip("/")
        return here if parts and not leaves(self.root, self.folder / here) else None

    def _likes(self, parent):
        """The names in a folder by what they have in common with their likes."""
        if parent not in self._alike:
            self._alike[parent] = defaultdict(list)
            for entry in self._listing(parent) or ():
                self._alike[parent][_plain(entry)].append(entry)
        return self._alike[parent]

    def _listing(self, parent):
        """The names in a folder, and whether each is a link; None if it is not in the root."""
        if parent not in self._listings:
            self._listings[parent] = _listed(self.root, self.folder / parent)
        return self._listings[parent]


class Endings:
    """The names in an annotation file, by which a path may end; where it is, is not known."""

    def __init__(self, names: Iterable[str]):
        self._as_written, self._alike = defaultdict(list), defaultdict(list)
        for number, name in enumerate(names):
            self._as_written[name].append(number)
            for text in {name, unquote(name)}:
                self._alike[_key(_parts(text))].append(number)

    def of(self, path: Path) -> list[int]:
        """The numbers of the names, the longest that there are, by which a path ends."""
        parts = Path(os.path.abspath(path)).parts
        for end in (parts[start:] for start in range(1, len(parts))):
            if found := self._as_written.get("/".join(end)) or self._alike.get(_key(end)):
                return found
        return []


def _listed(root, folder):
    try:
        if leaves(root, folder):
            return None
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_symlink() for entry in entries}
    except (OSError, ValueError):  # ValueError: what no file system can name
        return {}


def _split(name):
    parent, _, base = name.rpartition("/")
    return (name, "") if base == ".." else (parent, base)


def _parts(name):
    parts = name.replace("\\", "/").split("/")
    return [] if ".." in parts else [part for part in parts if part not in ("", ".")]


def _key(parts):
    return "/".join(map(_plain, parts))


def _plain(part):
    return unicodedata.normalize("NFC", part).casefold()
