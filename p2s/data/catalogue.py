"""Catalogue: weights and data sets that others publish, where from and what is known of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, StringConstraints

from p2s.data import manifest
from p2s.plain_yaml import read_yaml
from p2s.spec.part import Part

CATALOGUE = Path(__file__).with_name("catalogue.yaml")
# How licences begin of pictures that a page may show: of COCO the annotations alone are CC BY.
FREE = "CC BY 4.0, https://creativecommons.org/licenses/by/"
Counts = dict[Literal["images", "annotations", "files"], PositiveInt]
# No part of a path begins with a dot, so none leads out of datasets/.
Place = Annotated[str, StringConstraints(pattern=r"^datasets(/[\w+-][\w.+-]*)+$")]
Hash = Annotated[str, StringConstraints(pattern=r"^(sha256|md5):[0-9a-f]{6,64}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]


class Listed(Part):
    """A folder in a zip, all of whose files that count are listed with their hashes."""

    folder: str
    hashes: Annotated[str, StringConstraints(pattern=r"^\w+\.sha256$")]  # beside the catalogue

    def read(self) -> manifest.Hashes:
        """The hashes by path in the folder."""
        return manifest.read(CATALOGUE.with_name(self.hashes))


class File(Part):
    """A published file, its place in a project, and what tells that it is right."""

    to: Place
    url: Url | None = None  # without one it is brought by hand
    bytes: PositiveInt | None = None
    hash: Hash | None = None  # may be its first digits, if no more are published
    counts: Counts = {}  # lengths of the lists of a JSON, or files in a folder, at least
    unpacked: dict[str, Counts] = {}  # what a zip leaves in its folder; then the zip is removed
    listed: Listed | None = None  # what a zip leaves in a folder of its own name; the same

    def places(self, root: Path) -> dict[Path, Counts]:
        """What is in a project once the file has been fetched, with its published counts."""
        target = root / self.to
        if self.listed:
            return {target.with_suffix(""): {}}
        if not self.unpacked:
            return {target: self.counts}
        return {target.parent / name: counts for name, counts in self.unpacked.items()}


class Source(Part):
    """Weights or a data set under one name."""

    about: str
    licence: str
    page: Url  # where a reader finds it
    detector: str | None = None  # of p2s.spec.released, if our nets can be it
    classes: Place | None = None  # annotations that name its classes; None: COCO's
    labels: Literal["yolo", "voc"] | None = None  # of a data set of which COCO's files are made
    files: Annotated[list[File], Field(min_length=1)]

    @property
    def credits(self) -> str:
        """Whose it is, as a text to keep beside it."""
        urls = [file.url for file in self.files if file.url]
        made = ["Unchanged; train.json and val.json are made of the labels."] * bool(self.labels)
        return "\n".join([self.about, self.page, f"Licence: {self.licence}", *urls, *made, ""])

    @property
    def bytes(self) -> int | None:
        """What there is to download, if it is published of every file."""
        sizes = [file.bytes for file in self.files]
        return None if None in sizes else sum(sizes)


def read_catalogue(path: Path = CATALOGUE) -> dict[str, Source]:
    """The sources by name; a slip in the file is a ValueError that names line and field."""
    return read_yaml(path, dict[str, Source])


def chosen(catalogue: dict[str, Source], names: Sequence[str]) -> dict[str, Source]:
    """The sources of these names, or of these detectors; ValueError lists the valid ones."""
    known = _detectors(catalogue) | {name: name for name in catalogue}
    if unknown := [name for name in names if name not in known]:
        valid = [*catalogue, *_detectors(catalogue)]
        raise ValueError(f"unknown {', '.join(unknown)}; valid: {', '.join(valid)}")
    return {known[name]: catalogue[known[name]] for name in names}


def bringing(catalogue: dict[str, Source], path: Path, root: Path) -> str | None:
    """The name of the source that brings a file under a root, or the folder it is in."""
    places = [(name, file.places(root)) for name, of in catalogue.items() for file in of.files]
    return next((name for name, of in places if any(p in (path, *path.parents) for p in of)), None)


def credit(path: Path, root: Path) -> str:
    """Whose the pictures of a folder under a root are, with licence and page; "" unless FREE."""
    known = read_catalogue()
    name = bringing(known, path, root)
    if name is None or not known[name].licence.startswith(FREE):
        return ""
    return f"{known[name].about}; {known[name].licence}; {known[name].page}. Shrunk."


def model_folder(root: Path, name: str) -> Path:
    """Where the model is that `p2s fetch` makes of a released detector's source of this name."""
    return root / "datasets" / "released" / name


def _detectors(catalogue):
    """The names of sources by what they are detectors of."""
    return {source.detector: name for name, source in catalogue.items() if source.detector}
